//! How one directory is reached from another.

use std::path::{Component, Path, PathBuf};

/// `to` as seen from `from`, with forward slashes; both are absolute. On another drive
/// there is no way, and it stays absolute.
pub(crate) fn relative(to: &Path, from: &Path) -> String {
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
        let way = |to: &str, from: &str| relative(Path::new(to), Path::new(from));
        assert_eq!(way("/work/serve/serve-core", "/work/hello"), "../serve/serve-core");
        assert_eq!(way("/work/hello/vendor", "/work/hello"), "vendor");
        assert_eq!(way("/work", "/work/hello/inner"), "../..");
        assert_eq!(way("/work", "/work"), ".");
    }
}
