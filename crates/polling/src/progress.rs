//! Which cycles are finished, across restarts: an agent that starts again in the middle of a cycle polls it
//! only if it was not finished before.
//!
//! A small file in `agent.state_dir`, written at most once a second, whole and by renaming.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::{CycleId, ScheduleId, Timestamp};
use nephoscope_plugin::BlockingPool;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::events;

/// The file's name in the state folder.
const FILE: &str = "cycles.json";

/// The file is written at most this often.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a write may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A larger file is not ours.
const LARGEST: u64 = 16 << 20;

/// Schedules that are remembered; more distinct ones than any configuration has.
const REMEMBERED: usize = 100_000;

/// The last finished cycle of each schedule.
#[derive(Debug)]
pub struct Progress {
    path: Option<PathBuf>,
    state: Mutex<File>,
    changed: Notify,
    /// Why the last write failed.
    trouble: Mutex<Option<String>>,
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct File {
    /// Schedule to start, in milliseconds since the epoch.
    finished: BTreeMap<String, i64>,
}

impl Progress {
    /// Reads the file in `state_dir`; without a folder nothing is remembered. A file that cannot be read
    /// counts as none: at worst a cycle is polled twice, with the same message ids.
    pub fn load(state_dir: Option<&Path>) -> Arc<Self> {
        let path = state_dir.map(|folder| folder.join(FILE));
        let state = path
            .as_deref()
            .and_then(|path| read(path).ok())
            .unwrap_or_default();
        Arc::new(Self {
            path,
            state: Mutex::new(state),
            changed: Notify::new(),
            trouble: Mutex::default(),
        })
    }

    /// Whether the cycle that started at `start`, or a later one, was finished.
    pub fn is_finished(&self, schedule: &ScheduleId, start: Timestamp) -> bool {
        self.state
            .lock()
            .finished
            .get(schedule.as_str())
            .is_some_and(|last| *last >= start.as_millis())
    }

    /// Remembers that a cycle is finished.
    pub fn finished(&self, cycle: &CycleId) {
        let mut state = self.state.lock();
        if state.finished.len() >= REMEMBERED && !state.finished.contains_key(cycle.schedule.as_str()) {
            state.finished.clear();
        }
        state
            .finished
            .insert(cycle.schedule.as_str().to_owned(), cycle.start.as_millis());
        drop(state);
        self.changed.notify_one();
    }

    /// Writes the file whenever something has changed; ends only when it is dropped.
    pub async fn keep_written(self: Arc<Self>, blocking: BlockingPool) {
        loop {
            self.changed.notified().await;
            self.write_and_tell(&blocking).await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Writes the file; says when that fails, and when it works again.
    async fn write_and_tell(&self, blocking: &BlockingPool) {
        let outcome = self.write(blocking).await;
        let trouble = outcome.as_ref().err().map(ToString::to_string);
        let before = std::mem::replace(&mut *self.trouble.lock(), trouble);
        match (outcome, &self.path, before) {
            (Err(error), Some(path), None) => events::state_not_written(path, &error),
            (Ok(()), Some(path), Some(_)) => events::state_written_again(path),
            _ => {}
        }
    }

    /// Why the last write failed, if it did.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Writes the file now.
    pub async fn write(&self, blocking: &BlockingPool) -> io::Result<()> {
        let Some(path) = self.path.clone() else {
            return Ok(());
        };
        let state = self.state.lock().clone();
        blocking
            .call("state.write", Instant::now() + PATIENCE, move || {
                write(&path, &state)
            })
            .await
            .map_err(io::Error::other)?
    }
}

fn read(path: &Path) -> io::Result<File> {
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
        .open(path)?;
    if !file.metadata()?.is_file() || file.metadata()?.len() > LARGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(serde_json::from_reader(io::BufReader::new(file))?)
}

fn write(path: &Path, state: &File) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let flags = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(flags)
        .open(&temporary)?;
    file.write_all(&serde_json::to_vec(state)?)?;
    std::fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cycle(start: i64) -> CycleId {
        CycleId::new(ScheduleId::new("every:10:0"), Timestamp::from_millis(start), 0)
    }

    #[tokio::test]
    async fn finished_cycles_are_known_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let before = Progress::load(Some(folder.path()));
        before.finished(&cycle(20_000));
        before.write(&BlockingPool::default()).await.unwrap();
        let after = Progress::load(Some(folder.path()));
        let schedule = cycle(0).schedule;
        assert!(after.is_finished(&schedule, Timestamp::from_millis(20_000)));
        assert!(after.is_finished(&schedule, Timestamp::from_millis(10_000)));
        assert!(!after.is_finished(&schedule, Timestamp::from_millis(30_000)));
        assert!(!after.is_finished(&ScheduleId::new("every:5:0"), Timestamp::from_millis(0)));
    }

    #[tokio::test]
    async fn a_folder_that_is_gone_is_told_until_it_is_back() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("state");
        let blocking = BlockingPool::default();
        let progress = Progress::load(Some(&folder));
        progress.finished(&cycle(10_000));
        progress.write_and_tell(&blocking).await;
        assert!(progress.trouble().is_some_and(|why| why.contains("No such file")));
        std::fs::create_dir(&folder).unwrap();
        progress.write_and_tell(&blocking).await;
        assert_eq!(progress.trouble(), None);
        assert!(folder.join(FILE).exists());
    }

    #[test]
    fn a_damaged_file_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), b"{\"finished\": {\"every:1").unwrap();
        let progress = Progress::load(Some(folder.path()));
        assert!(!progress.is_finished(&cycle(0).schedule, Timestamp::from_millis(0)));
    }
}
