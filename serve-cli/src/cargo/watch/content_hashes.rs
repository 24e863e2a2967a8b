//! Detection of changes in the content of written files.
//!
//! Build scripts may write into the source tree, and editors save files without a change.
//! If only the time of writing counted, builds would repeat forever or happen for nothing.

use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

/// The hashes of the contents that have been seen; `None` for a missing file.
#[derive(Debug, Default)]
pub(super) struct ContentHashes(HashMap<PathBuf, Option<u64>>);

impl ContentHashes {
    /// Returns true if the file's content differs from the last time, and remembers the content.
    pub(super) fn changed(&mut self, file: &Path) -> bool {
        let now = fs::read(file).ok().map(|content| {
            let mut hasher = DefaultHasher::new();
            hasher.write(&content);
            hasher.finish()
        });
        self.0.insert(file.to_owned(), now) != Some(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_new_content_is_a_change() {
        let file = std::env::temp_dir().join(format!("serve-content-{}", std::process::id()));
        let mut contents = ContentHashes::default();
        fs::write(&file, "one").expect("written");
        assert!(contents.changed(&file), "never seen");
        fs::write(&file, "one").expect("written");
        assert!(!contents.changed(&file), "written again");
        fs::write(&file, "two").expect("written");
        assert!(contents.changed(&file), "edited");
        fs::remove_file(&file).expect("removed");
        assert!(contents.changed(&file), "removed");
    }
}
