//! [`About`]: what the description of an application says besides its endpoints.

use crate::application::UNNAMED;
use crate::ingress::response::error_format::ErrorFormat;

/// An application, as its description names it.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) title: String,
    pub(crate) prefix: String,
    /// The ingress deployment.
    pub(crate) deployment: String,
    /// The limit of a body whose endpoint sets none, in bytes.
    pub(crate) max_body: usize,
    pub(crate) error_format: ErrorFormat,
    /// True if requests need an API key.
    pub(crate) needs_key: bool,
    /// True if the number of requests is limited.
    pub(crate) has_rate_limit: bool,
    /// True if `#[routes]` serves other paths.
    pub(crate) has_routes: bool,
}

/// Returns the title of an application: its name, or else the name of the function that built it, or
/// else that of its ingress.
pub(crate) fn title(application: &str, function: Option<&str>, ingress: &str) -> String {
    if application != UNNAMED {
        return application.to_owned();
    }
    let function = function.map(|function| function.rsplit(':').next().unwrap_or(function));
    function.unwrap_or(ingress).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unnamed_application_has_the_name_of_its_function() {
        assert_eq!(title("books", Some("shop:library"), "Shelf"), "books");
        assert_eq!(title("default", Some("shop:library"), "Shelf"), "library");
        assert_eq!(title("default", None, "Shelf"), "Shelf");
    }
}
