//! The choice of the application and of the endpoint for a path.

pub(crate) mod mounted_app;
pub(crate) mod path_router;
pub(crate) mod route_table;
