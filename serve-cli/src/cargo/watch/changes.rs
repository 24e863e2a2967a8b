//! The changes of a target's source files.
//!
//! Sources are the files that cargo's record of the last build names, and all Rust files and
//! manifests in the same packages. Other files of a package, such as the data that a program
//! writes, are not sources.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::content_hashes::ContentHashes;
use super::sources::Sources;
use crate::cargo::build::Built;
use crate::cargo::error::Error;
use crate::cargo::target::Target;

/// The longest time between two saved files that belong to the same change.
const SETTLED: Duration = Duration::from_millis(300);

/// A watcher of the sources of a target.
#[derive(Debug)]
pub(super) struct Changes {
    watcher: RecommendedWatcher,
    watched: HashSet<PathBuf>,
    sources: Sources,
    contents: ContentHashes,
    /// The files that were written. The channel is unbounded, since the watcher's thread cannot
    /// wait. It is not read while a build runs, but a build writes to places that are not watched.
    written: mpsc::UnboundedReceiver<PathBuf>,
    /// The sources that were written, and the time at which they count as settled.
    changing: Option<(BTreeSet<PathBuf>, Instant)>,
}

impl Changes {
    /// Starts to watch the sources of `target`.
    pub(super) fn watch(target: &Target) -> Result<Self, Error> {
        let (sender, written) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if matches!(event.kind, EventKind::Access(_)) {
                return;
            }
            for path in event.paths {
                // The receiver is gone when the command ends.
                let _ = sender.send(path);
            }
        });
        let mut changes = Self {
            watcher: watcher.map_err(|source| Error::Watch { path: ".".into(), source })?,
            watched: HashSet::new(),
            sources: Sources::of(target),
            contents: ContentHashes::default(),
            written,
            changing: None,
        };
        changes.follow(target)?;
        Ok(changes)
    }

    /// Watches the current packages of the target.
    pub(super) fn follow(&mut self, target: &Target) -> Result<(), Error> {
        self.sources.follow(target);
        self.watch_directories()
    }

    /// Adds the files that a build has read to the sources.
    pub(super) fn learn(&mut self, built: &Built) -> Result<(), Error> {
        self.sources.learn(built);
        self.watch_directories()
    }

    fn watch_directories(&mut self) -> Result<(), Error> {
        for (directory, mode) in self.sources.directories() {
            if self.watched.contains(&directory) {
                continue;
            }
            self.watcher
                .watch(&directory, mode)
                .map_err(|source| Error::Watch { path: directory.clone(), source })?;
            self.watched.insert(directory);
        }
        Ok(())
    }

    /// Waits for the next change and returns its files, at least one. This method is cancel safe:
    /// if its future is dropped, no change is lost.
    pub(super) async fn next(&mut self) -> Vec<PathBuf> {
        loop {
            let written = match &self.changing {
                None => self.written.recv().await,
                Some((_, settled)) => {
                    if let Ok(written) =
                        tokio::time::timeout_at(*settled, self.written.recv()).await
                    {
                        written
                    } else {
                        let changed = self.settle();
                        if changed.is_empty() {
                            continue;
                        }
                        return changed;
                    }
                }
            };
            match written {
                Some(path) => self.note(path),
                // The watcher holds the sender and lives as long as `self`.
                None => std::future::pending().await,
            }
        }
    }

    fn note(&mut self, path: PathBuf) {
        if self.is_new_directory(&path) {
            // A directory that cannot be watched is reported after the next build.
            let _ = self.watch_directories();
        }
        if self.sources.contains(&path) {
            let (files, settled) =
                self.changing.get_or_insert_with(|| (BTreeSet::new(), Instant::now()));
            files.insert(path);
            *settled = Instant::now() + SETTLED;
        }
    }

    fn is_new_directory(&self, path: &Path) -> bool {
        let parent = path.parent();
        parent.is_some_and(|parent| self.watched.contains(parent)) && path.is_dir()
    }

    fn settle(&mut self) -> Vec<PathBuf> {
        let files = self.changing.take().map(|(files, _)| files).unwrap_or_default();
        files.into_iter().filter(|file| self.contents.changed(file)).collect()
    }
}
