//! Relative paths between directories.

use std::path::{Component, Path, PathBuf};

/// Returns the path from `from` to `to`, both absolute, with forward slashes. If they are on
/// different drives there is no such path, and `to` is returned.
pub(crate) fn relative_path(to: &Path, from: &Path) -> String {
    let mut to_parts = to.components().peekable();
    let mut from_parts = from.components().peekable();
    let mut shared = false;
    while let (Some(a), Some(b)) = (to_parts.peek(), from_parts.peek()) {
        if a != b {
            break;
        }
        shared |= matches!(a, Component::RootDir);
        to_parts.next();
        from_parts.next();
    }
    if !shared {
        return to.display().to_string();
    }
    let up = from_parts.map(|_| Component::ParentDir);
    let path: PathBuf = up.chain(to_parts).collect();
    if path.as_os_str().is_empty() {
        return ".".to_owned();
    }
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_up_as_far_as_needed() {
        let way = |to: &str, from: &str| relative_path(Path::new(to), Path::new(from));
        assert_eq!(way("/work/serve/serve-core", "/work/hello"), "../serve/serve-core");
        assert_eq!(way("/work/hello/vendor", "/work/hello"), "vendor");
        assert_eq!(way("/work", "/work/hello/inner"), "../..");
        assert_eq!(way("/work", "/work"), ".");
    }
}
