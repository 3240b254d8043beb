//! The finished cycles, stored across restarts: an agent that restarts in the middle of a cycle polls it only if it was not
//! finished before.
//!
//! They are stored in a small file in `agent.state_dir`, which is replaced atomically at most once a second.

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

/// The minimum time between writes.
const PAUSE: Duration = Duration::from_secs(1);

/// The timeout of a write.
const PATIENCE: Duration = Duration::from_secs(5);

/// The maximum size of the file; a larger file is ignored.
const MAX_SIZE: u64 = 16 << 20;

/// The maximum number of stored schedules, far more than any configuration has.
const MAX_SCHEDULES: usize = 100_000;

/// The last finished cycle of each schedule.
#[derive(Debug)]
pub struct Progress {
    path: Option<PathBuf>,
    state: Mutex<File>,
    changed: Notify,
    /// The error of the last write.
    write_error: Mutex<Option<String>>,
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct File {
    /// The start of the last finished cycle of each schedule, in milliseconds since the epoch.
    finished: BTreeMap<String, i64>,
}

impl Progress {
    /// Reads the file in `state_dir`; without a folder nothing is stored. An unreadable file is ignored: at worst a cycle is
    /// polled twice, with the same message ids.
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
            write_error: Mutex::default(),
        })
    }

    /// Whether the cycle that started at `start`, or a later one, is finished.
    pub fn is_finished(&self, schedule: &ScheduleId, start: Timestamp) -> bool {
        self.state
            .lock()
            .finished
            .get(schedule.as_str())
            .is_some_and(|last| *last >= start.as_millis())
    }

    /// Marks a cycle as finished.
    pub fn finished(&self, cycle: &CycleId) {
        let mut state = self.state.lock();
        if state.finished.len() >= MAX_SCHEDULES && !state.finished.contains_key(cycle.schedule.as_str()) {
            state.finished.clear();
        }
        state
            .finished
            .insert(cycle.schedule.as_str().to_owned(), cycle.start.as_millis());
        drop(state);
        self.changed.notify_one();
    }

    /// Writes the file after every change. Never returns.
    pub async fn write_changes(self: Arc<Self>, blocking: BlockingPool) {
        loop {
            self.changed.notified().await;
            self.write_and_log(&blocking).await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Writes the file. Logs the first failure and the recovery.
    async fn write_and_log(&self, blocking: &BlockingPool) {
        let outcome = self.write(blocking).await;
        let error = outcome.as_ref().err().map(ToString::to_string);
        let before = std::mem::replace(&mut *self.write_error.lock(), error);
        match (outcome, &self.path, before) {
            (Err(error), Some(path), None) => events::state_write_failed(path, &error),
            (Ok(()), Some(path), Some(_)) => events::state_write_recovered(path),
            _ => {}
        }
    }

    /// The error of the last write, if it failed.
    pub fn write_error(&self) -> Option<String> {
        self.write_error.lock().clone()
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
    if !file.metadata()?.is_file() || file.metadata()?.len() > MAX_SIZE {
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
    async fn a_missing_folder_is_reported_until_it_is_back() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("state");
        let blocking = BlockingPool::default();
        let progress = Progress::load(Some(&folder));
        progress.finished(&cycle(10_000));
        progress.write_and_log(&blocking).await;
        assert!(
            progress
                .write_error()
                .is_some_and(|why| why.contains("No such file"))
        );
        std::fs::create_dir(&folder).unwrap();
        progress.write_and_log(&blocking).await;
        assert_eq!(progress.write_error(), None);
        assert!(folder.join(FILE).exists());
    }

    #[test]
    fn a_corrupt_file_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), b"{\"finished\": {\"every:1").unwrap();
        let progress = Progress::load(Some(folder.path()));
        assert!(!progress.is_finished(&cycle(0).schedule, Timestamp::from_millis(0)));
    }
}
