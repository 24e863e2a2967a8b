//! [`FilePart`]: a file of a form, as a parameter.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of [`FilePart`] in serde, by which a parameter of this type is known.
pub(crate) const FILE_PART: &str = "serve_core::http::FilePart";

/// A file of a `multipart/form-data` body, as a parameter of an endpoint that is marked `multipart`.
///
/// ```
/// use serve_core::http::FilePart;
/// use serve_core::prelude::*;
///
/// #[deployment]
/// #[derive(Default)]
/// struct Inbox;
///
/// #[handle]
/// impl Inbox {
///     #[post("/files", multipart)]
///     pub async fn put(&self, title: String, file: FilePart) -> String {
///         format!("{title}: {} bytes of {}", file.data.len(), file.file_name.unwrap_or_default())
///     }
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "serve_core::http::FilePart")]
#[schemars(rename = "FilePart")]
pub struct FilePart {
    /// The name of the file, as the client names it. It may be any text, with slashes too.
    pub file_name: Option<String>,
    /// The content type, as the client declares it.
    pub content_type: Option<String>,
    /// The content of the file.
    pub data: Bytes,
}
