//! Watches the configuration files for changes.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::settings::Watched;

/// A change is reported after this time without further changes, because editors and tools write in several steps.
const SETTLED: Duration = Duration::from_secs(1);

/// The queue size. One pending change is enough, since changes are not counted.
const QUEUE: usize = 1;

/// Watches the folders of the configuration files, because editors and container platforms replace files. Also watches their
/// parent folders, because tools replace whole folders and links to them.
pub(crate) struct Watch {
    sender: mpsc::Sender<()>,
    changes: mpsc::Receiver<()>,
    watched: Watched,
    /// Watches until this is dropped.
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Watches these files and folders.
    pub(crate) fn new(watched: Watched) -> notify::Result<Self> {
        let (sender, changes) = mpsc::channel(QUEUE);
        Ok(Self {
            _watcher: watcher(&watched, sender.clone())?,
            sender,
            changes,
            watched,
        })
    }

    /// Replaces the watched files and folders. Earlier changes are still reported.
    pub(crate) fn follow(&mut self, watched: Watched) -> notify::Result<()> {
        // The old watcher is dropped after the new one is active.
        self._watcher = watcher(&watched, self.sender.clone())?;
        self.watched = watched;
        Ok(())
    }

    /// Watches the current files and folders at the same paths.
    pub(crate) fn rewatch(&mut self) -> notify::Result<()> {
        self._watcher = watcher(&self.watched, self.sender.clone())?;
        Ok(())
    }

    /// Waits for a change, and then until a second has passed without another change.
    pub(crate) async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            // The watcher has ended, so that there are no more changes.
            return std::future::pending().await;
        }
        while timeout(SETTLED, self.changes.recv())
            .await
            .is_ok_and(|change| change.is_some())
        {}
    }
}

fn watcher(watched: &Watched, sender: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let folders = folders(&watched.files, &watched.folders);
    let names = Names::of(watched, &folders);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // An error may hide changes.
        if event.map_or(true, |event| names.concern(&event)) {
            let _ = sender.try_send(());
        }
    })?;
    let parents = folders.iter().filter_map(|folder| folder.parent());
    let all: BTreeSet<&Path> = folders.iter().map(PathBuf::as_path).chain(parents).collect();
    // A folder that does not exist yet is detected through its parent.
    for folder in all.into_iter().filter(|folder| folder.is_dir()) {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// Returns the absolute paths of the folders to watch: the folders of the files, and of their targets if they are links.
fn folders(files: &[PathBuf], folders: &[PathBuf]) -> BTreeSet<PathBuf> {
    let real = files.iter().filter_map(|file| file.canonicalize().ok());
    let absolute = |path: &PathBuf| std::path::absolute(path).ok();
    files
        .iter()
        .filter_map(absolute)
        .chain(real)
        .filter_map(|file| file.parent().map(Path::to_owned))
        .chain(folders.iter().filter_map(absolute))
        .collect()
}

/// The names of relevant files and folders.
struct Names {
    files: BTreeSet<OsString>,
    /// Watched folders, which may be replaced themselves.
    folders: BTreeSet<PathBuf>,
    /// Files with these extensions are relevant.
    extensions: BTreeSet<String>,
}

impl Names {
    fn of(watched: &Watched, folders: &BTreeSet<PathBuf>) -> Self {
        let files = &watched.files;
        let real = files.iter().filter_map(|file| file.canonicalize().ok());
        let names = files
            .iter()
            .cloned()
            .chain(real)
            .filter_map(|file| file.file_name().map(ToOwned::to_owned));
        // Kubernetes replaces the link `..data`.
        Self {
            files: names.chain([OsString::from("..data")]).collect(),
            folders: folders.clone(),
            extensions: watched.extensions.clone(),
        }
    }

    fn concern(&self, event: &Event) -> bool {
        // Reads are ignored. The end of a write is a change.
        if matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)) {
            return false;
        }
        event.need_rescan() || event.paths.iter().any(|path| self.matter(path))
    }

    fn matter(&self, path: &Path) -> bool {
        let is_read = || {
            path.extension()
                .is_some_and(|extension| self.extensions.iter().any(|read| extension == read.as_str()))
        };
        path.file_name().is_some_and(|name| self.files.contains(name))
            || self.folders.contains(path)
            || is_read()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(files: &[&Path], folders: &[&Path]) -> Watched {
        let yaml = folders.first().map(|_| "yaml".to_owned());
        Watched {
            files: files.iter().map(|file| file.to_path_buf()).collect(),
            folders: folders.iter().map(|folder| folder.to_path_buf()).collect(),
            extensions: yaml.into_iter().collect(),
        }
    }

    #[tokio::test]
    async fn a_replaced_file_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("polling.yaml");
        std::fs::write(&file, "a").unwrap();
        let mut watch = Watch::new(watched(&[&file], &[])).unwrap();
        let new = folder.path().join("polling.yaml.new");
        std::fs::write(&new, "b").unwrap();
        std::fs::rename(&new, &file).unwrap();
        timeout(Duration::from_secs(60), watch.changed()).await.unwrap();
    }

    /// Waits for a change of the folder `conf`, and for another one after a new watch.
    async fn noticed_twice(conf: &Path, change: impl Fn()) {
        let mut watch = Watch::new(watched(&[&conf.join("polling.yaml")], &[conf])).unwrap();
        change();
        timeout(Duration::from_secs(60), watch.changed()).await.unwrap();
        watch.rewatch().unwrap();
        std::fs::write(conf.join("polling.yaml"), "c").unwrap();
        timeout(Duration::from_secs(60), watch.changed()).await.unwrap();
    }

    fn folder_with_a_file(path: &Path) {
        std::fs::create_dir(path).unwrap();
        std::fs::write(path.join("polling.yaml"), "a").unwrap();
    }

    #[tokio::test]
    async fn a_replaced_folder_is_a_change() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        folder_with_a_file(&at("conf"));
        folder_with_a_file(&at("new"));
        noticed_twice(&at("conf"), || {
            std::fs::rename(at("conf"), at("old")).unwrap();
            std::fs::rename(at("new"), at("conf")).unwrap();
        })
        .await;
    }

    #[tokio::test]
    async fn a_changed_link_is_a_change() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        folder_with_a_file(&at("v1"));
        folder_with_a_file(&at("v2"));
        std::os::unix::fs::symlink("v1", at("conf")).unwrap();
        noticed_twice(&at("conf"), || {
            std::os::unix::fs::symlink("v2", at("conf.new")).unwrap();
            std::fs::rename(at("conf.new"), at("conf")).unwrap();
        })
        .await;
    }

    #[tokio::test]
    async fn a_removed_and_restored_folder_is_a_change() {
        let root = tempfile::tempdir().unwrap();
        let conf = root.path().join("conf");
        folder_with_a_file(&conf);
        let mut watch = Watch::new(watched(&[], &[&conf])).unwrap();
        std::fs::remove_dir_all(&conf).unwrap();
        timeout(Duration::from_secs(60), watch.changed()).await.unwrap();
        watch.rewatch().unwrap();
        folder_with_a_file(&conf);
        timeout(Duration::from_secs(60), watch.changed()).await.unwrap();
    }

    #[test]
    fn reads_and_other_files_are_no_changes() {
        let names = Names::of(
            &watched(&[Path::new("/etc/x/polling.yaml")], &[]),
            &BTreeSet::new(),
        );
        let event = |kind, path: &str| Event::new(kind).add_path(path.into());
        let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let read = EventKind::Access(AccessKind::Open(AccessMode::Any));
        assert!(names.concern(&event(written, "/etc/x/polling.yaml")));
        assert!(names.concern(&event(EventKind::Any, "/etc/x/..data")));
        assert!(!names.concern(&event(read, "/etc/x/polling.yaml")));
        assert!(!names.concern(&event(written, "/etc/x/other.yaml")));
        let folder = Names::of(&watched(&[], &[Path::new("/etc/x")]), &BTreeSet::new());
        assert!(folder.concern(&event(written, "/etc/x/other.yaml")));
        assert!(!folder.concern(&event(written, "/etc/x/samples.log")));
    }
}
