//! Notices changes of the configuration files.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A change counts when nothing has changed for this long: editors and tools write in several steps.
const SETTLED: Duration = Duration::from_secs(1);

/// Changes are not counted: one that waits says all that two would.
const QUEUE: usize = 1;

/// Watches the folders of the configuration files: editors and container platforms put new files in the place
/// of old ones.
pub(crate) struct Watch {
    changes: mpsc::Receiver<()>,
    /// Watches until it is dropped.
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Watches these files, and all configuration files of these folders.
    pub(crate) fn new(files: &[PathBuf], folders: &[PathBuf]) -> notify::Result<Self> {
        let (sender, changes) = mpsc::channel(QUEUE);
        let names = Names::of(files, !folders.is_empty());
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // After an error nobody knows what was missed.
            if event.map_or(true, |event| names.concern(&event)) {
                let _ = sender.try_send(());
            }
        })?;
        for folder in places(files, folders) {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        }
        Ok(Self {
            changes,
            _watcher: watcher,
        })
    }

    /// Waits for a change, and then until no more has come for a second.
    pub(crate) async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            // The watcher has ended: there will be no changes.
            return std::future::pending().await;
        }
        while timeout(SETTLED, self.changes.recv())
            .await
            .is_ok_and(|change| change.is_some())
        {}
    }
}

/// The folders to watch: where the files stand, and where they stand really if they are links.
fn places(files: &[PathBuf], folders: &[PathBuf]) -> BTreeSet<PathBuf> {
    let real = files.iter().filter_map(|file| file.canonicalize().ok());
    let parents = files.iter().cloned().chain(real).map(|file| match file.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    });
    parents
        .chain(folders.iter().cloned())
        .filter(|folder| folder.is_dir())
        .collect()
}

/// The names of entries whose changes matter.
struct Names {
    files: BTreeSet<OsString>,
    /// Whether any configuration file matters.
    all: bool,
}

impl Names {
    fn of(files: &[PathBuf], all: bool) -> Self {
        let real = files.iter().filter_map(|file| file.canonicalize().ok());
        let names = files
            .iter()
            .cloned()
            .chain(real)
            .filter_map(|file| file.file_name().map(ToOwned::to_owned));
        // Kubernetes puts a new folder in the place of the link `..data`.
        Self {
            files: names.chain([OsString::from("..data")]).collect(),
            all,
        }
    }

    fn concern(&self, event: &Event) -> bool {
        // Reading is no change; the end of writing is.
        if matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)) {
            return false;
        }
        event.need_rescan() || event.paths.iter().any(|path| self.matter(path))
    }

    fn matter(&self, path: &Path) -> bool {
        let is_yaml = || {
            path.extension()
                .is_some_and(|extension| extension == "yaml" || extension == "yml")
        };
        path.file_name().is_some_and(|name| self.files.contains(name)) || (self.all && is_yaml())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_put_in_place_of_another_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("polling.yaml");
        std::fs::write(&file, "a").unwrap();
        let mut watch = Watch::new(std::slice::from_ref(&file), &[]).unwrap();
        let new = folder.path().join("polling.yaml.new");
        std::fs::write(&new, "b").unwrap();
        std::fs::rename(&new, &file).unwrap();
        timeout(Duration::from_secs(60), watch.changed()).await.unwrap();
    }

    #[test]
    fn reading_and_other_files_are_no_changes() {
        let names = Names::of(&[PathBuf::from("/etc/x/polling.yaml")], false);
        let event = |kind, path: &str| Event::new(kind).add_path(path.into());
        let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let read = EventKind::Access(AccessKind::Open(AccessMode::Any));
        assert!(names.concern(&event(written, "/etc/x/polling.yaml")));
        assert!(names.concern(&event(EventKind::Any, "/etc/x/..data")));
        assert!(!names.concern(&event(read, "/etc/x/polling.yaml")));
        assert!(!names.concern(&event(written, "/etc/x/other.yaml")));
        let folder = Names::of(&[], true);
        assert!(folder.concern(&event(written, "/etc/x/other.yaml")));
        assert!(!folder.concern(&event(written, "/etc/x/samples.log")));
    }
}
