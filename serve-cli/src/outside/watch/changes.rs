//! Which files of a product change.
//!
//! Sources are the files that cargo's record of the last build names, and whatever Rust
//! files and manifests turn up beside them. Other files of the package, such as the
//! data that a program writes, are not.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::content::Contents;
use super::sources::Sources;
use crate::outside::build::Built;
use crate::outside::error::Error;
use crate::outside::product::Product;

/// Files that are saved no further apart than this are one change.
const SETTLED: Duration = Duration::from_millis(300);

/// Watches the sources of a product.
#[derive(Debug)]
pub(super) struct Changes {
    watcher: RecommendedWatcher,
    watched: HashSet<PathBuf>,
    sources: Sources,
    contents: Contents,
    /// What was written. Unbounded, as the watcher's thread cannot wait; nobody reads it
    /// while a build runs, which writes to places that are not watched.
    written: mpsc::UnboundedReceiver<PathBuf>,
    /// What was written and is a source, and when it counts as settled.
    changing: Option<(BTreeSet<PathBuf>, Instant)>,
}

impl Changes {
    /// Watches from now on.
    pub(super) fn watch(product: &Product) -> Result<Self, Error> {
        let (sender, written) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if matches!(event.kind, EventKind::Access(_)) {
                return;
            }
            for path in event.paths {
                // Nobody listens any more when the command ends.
                let _ = sender.send(path);
            }
        });
        let mut changes = Self {
            watcher: watcher.map_err(|source| Error::Watch { path: ".".into(), source })?,
            watched: HashSet::new(),
            sources: Sources::of(product),
            contents: Contents::default(),
            written,
            changing: None,
        };
        changes.follow(product)?;
        Ok(changes)
    }

    /// Watches what the product is made of now.
    pub(super) fn follow(&mut self, product: &Product) -> Result<(), Error> {
        self.sources.follow(product);
        self.watch_directories()
    }

    /// Learns from a build what it has read.
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

    /// The files of the next change, at least one. Dropped, it forgets nothing.
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
                // The watcher, which holds the other end, lives as long as we do.
                None => std::future::pending().await,
            }
        }
    }

    fn note(&mut self, path: PathBuf) {
        if self.is_new_directory(&path) {
            // One that cannot be watched is reported when the next build has ended.
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
