//! The lane's interface to its spool.
//!
//! No call blocks: a separate thread ([`super::worker`]) does the I/O, and the two communicate through a bounded mailbox.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nephoscope_model::{Batch, Encoding};
use tokio::sync::oneshot;

use super::contents::AcceptedContents;
use super::dead_letter::DeadLetterStatus;
use super::disk::Disk;
use super::error::OpenError;
use super::folder::{Folder, FolderError};
use super::log::{LogCounts, StoredContents};
use super::mailbox::{AcceptedChange, Dropped, Failing, Incoming, Outgoing, Probe, Settled, Shared};
use super::options::{SpoolMode, SpoolOptions};
use super::worker;
use crate::receipt::Ticket;

/// A publisher's queue on disk and the thread that serves it. All clones share one spool; dropping the last one closes it.
#[derive(Clone)]
pub struct Spool(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    path: PathBuf,
}

/// The status of a spool.
#[derive(Debug, Clone)]
pub struct SpoolStatus {
    /// Its folder.
    pub path: PathBuf,
    /// Which batches it stores.
    pub mode: SpoolMode,
    /// The maximum size of its segments in bytes.
    pub max_bytes: u64,
    /// The size of its segments in bytes.
    pub bytes: u64,
    /// Its batches, including those in flight.
    pub batches: u64,
    /// Samples of these batches.
    pub samples: u64,
    /// About when the oldest of them was stored, in milliseconds since 1970 UTC.
    pub oldest_time: Option<i64>,
    /// Batches in memory that are about to be stored.
    pub incoming_batches: usize,
    /// Samples of these batches.
    pub incoming_samples: usize,
    /// Batches that it held when it was opened.
    pub recovered_batches: u64,
    /// Samples of these batches.
    pub recovered_samples: u64,
    /// Batches that were stored since.
    pub stored_batches: u64,
    /// Samples of these batches.
    pub stored_samples: u64,
    /// Batches that were dropped at its limits, corrupt or truncated.
    pub counts: LogCounts,
    /// Failed syncs. The batches that they covered do not count as stored.
    pub sync_failures: u64,
    /// Permanently rejected batches.
    pub dead_letter: DeadLetterStatus,
    /// The error if the spool is not writable.
    pub failing: Option<Arc<str>>,
    /// Its batches by contents. Unsupported ones stay until a publisher accepts them or they reach a limit.
    pub contents: Vec<StoredContents>,
    /// Every stored batch with a smaller number is completed or unsupported.
    pub low: u64,
    /// The number of the next stored batch.
    pub next: u64,
}

impl SpoolStatus {
    /// The batches that the publisher does not accept.
    pub fn unsupported(&self) -> impl Iterator<Item = &StoredContents> {
        self.contents.iter().filter(|contents| contents.unsupported)
    }
}

/// The next batch of a spool.
pub(crate) enum Next {
    /// A stored batch.
    Stored(Outgoing),
    /// A batch that cannot be stored now and may be delivered directly.
    NotStored(Incoming),
    /// A batch will follow.
    Later,
    Nothing,
}

impl Spool {
    /// Opens the spool of the publisher `name` in the folder at `path` and starts its thread.
    ///
    /// While it is open, neither another process nor another spool of this process can open it.
    pub async fn open(name: Arc<str>, path: PathBuf, options: SpoolOptions) -> Result<Self, OpenError> {
        let folder = path.clone();
        let disk = move || Ok(Box::new(Folder::open(&folder)?) as Box<dyn Disk>);
        Self::open_on(name, path, disk, options).await
    }

    /// Opens a spool on another implementation of a disk. `path` is its name in the status.
    pub async fn open_on(
        name: Arc<str>,
        path: PathBuf,
        disk: impl FnOnce() -> Result<Box<dyn Disk>, FolderError> + Send + 'static,
        options: SpoolOptions,
    ) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared::new(name, options));
        let (opened, opening) = oneshot::channel();
        let thread = shared.clone();
        let started = std::thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || worker::run(&thread, disk, opened));
        started.map_err(|source| OpenError::Io {
            what: "start its thread",
            source,
        })?;
        let gone = |_| OpenError::Io {
            what: "open it",
            source: std::io::Error::other("its thread has ended"),
        };
        opening.await.map_err(gone)??;
        Ok(Self(Arc::new(Handle { shared, path })))
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The current status.
    pub fn status(&self) -> SpoolStatus {
        let mail = self.0.shared.mail.lock();
        let report = &mail.status;
        SpoolStatus {
            path: self.0.path.clone(),
            mode: mail.options.mode,
            max_bytes: mail.options.max_bytes,
            bytes: report.bytes,
            batches: report.batches.saturating_sub(mail.settling.0),
            samples: report.samples.saturating_sub(mail.settling.1),
            oldest_time: report.oldest_time,
            incoming_batches: mail.incoming_batches,
            incoming_samples: mail.incoming_samples,
            recovered_batches: report.recovered.0,
            recovered_samples: report.recovered.1,
            stored_batches: report.stored.0,
            stored_samples: report.stored.1,
            counts: report.counts,
            sync_failures: report.sync_failures,
            dead_letter: report.dead_letter,
            failing: mail.failing.as_ref().map(|failing| failing.error.clone()),
            contents: report
                .contents
                .iter()
                .map(|contents| mail.with_current_support(contents))
                .collect(),
            low: report.low,
            next: report.next,
        }
    }

    /// Closes a spool without a publisher, and waits until its contents are durable.
    pub async fn shutdown(self) {
        self.close(Vec::new());
        self.closed().await;
    }

    /// Changes the options.
    pub fn set_options(&self, options: SpoolOptions) {
        let mut mail = self.0.shared.mail.lock();
        if mail.options != options {
            mail.options = options;
            mail.options_changed = true;
            self.0.shared.wake.notify_one();
        }
    }

    /// Drops the batches that were stored before `time` (milliseconds since 1970 UTC) and are not in flight. Returns `None` if
    /// the spool is closed before that. The drops are included in [`SpoolStatus::counts`].
    pub async fn drop_older_than(&self, time: i64) -> Option<Dropped> {
        let (reply, dropped) = oneshot::channel();
        {
            let mut mail = self.0.shared.mail.lock();
            mail.drops.push((time, reply));
            self.0.shared.wake.notify_one();
        }
        tokio::select! {
            biased;
            dropped = dropped => dropped.ok(),
            () = self.closed() => None,
        }
    }

    // Called by the lane.

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn options(&self) -> SpoolOptions {
        self.0.shared.mail.lock().options.clone()
    }

    /// Calls `listener` after every change. It must not call back.
    pub(crate) fn listen(&self, listener: impl Fn() + Send + Sync + 'static) {
        self.0.shared.listen(listener);
    }

    /// Sets how many batches to prefetch, and with which contents. If the contents change, the prefetched batches and those that
    /// `in_flight` returns are read again when they are accepted.
    pub(crate) fn set_demand(
        &self,
        prefetch: usize,
        accepts: AcceptedContents,
        in_flight: impl FnOnce() -> Vec<u64>,
    ) {
        let mut mail = self.0.shared.mail.lock();
        mail.prefetch = prefetch;
        if mail.accepts != accepts {
            mail.accepts = accepts.clone();
            let mut returned = in_flight();
            returned.extend(mail.ready.drain(..).map(|outgoing| outgoing.number));
            mail.ready_bytes = 0;
            // Batches of an earlier change that the thread has not seen yet.
            returned.extend(
                mail.accepted_change
                    .take()
                    .into_iter()
                    .flat_map(|change| change.returned),
            );
            mail.accepted_change = Some(AcceptedChange { accepts, returned });
        }
        self.0.shared.wake.notify_one();
    }

    /// Whether it accepts batches now.
    pub(crate) fn accepts(&self) -> bool {
        self.0.shared.mail.lock().accepts()
    }

    /// Accepts a batch and takes its ticket, if there is room: at most `bound` samples, or one batch, may wait to be written.
    pub(crate) fn offer(
        &self,
        batch: &Arc<Batch>,
        encoding: &Arc<dyn Encoding>,
        ticket: &mut Option<Ticket>,
        bound: usize,
    ) -> bool {
        let mut mail = self.0.shared.mail.lock();
        let samples = batch.len();
        let room = mail.incoming_batches == 0 || mail.incoming_samples.saturating_add(samples) <= bound;
        if !room || !mail.accepts() {
            return false;
        }
        let Some(ticket) = ticket.take() else {
            return false;
        };
        if let Some(failing) = &mut mail.failing {
            failing.probe = Probe::InFlight;
        }
        mail.push(Incoming {
            batch: batch.clone(),
            encoding: encoding.clone(),
            ticket,
        });
        self.0.shared.wake.notify_one();
        true
    }

    /// Accepts the remaining batches when the agent stops, and closes the spool. [`Spool::closed`] resolves when it is closed.
    pub(crate) fn close(&self, rest: Vec<Incoming>) {
        let mut mail = self.0.shared.mail.lock();
        for incoming in rest {
            mail.push(incoming);
        }
        mail.closing = true;
        self.0.shared.wake.notify_one();
    }

    /// Resolves when the spool is closed.
    pub(crate) async fn closed(&self) {
        self.0.shared.closed.cancelled().await;
    }

    /// Takes back the batches that were not stored.
    pub(crate) fn take_unstored(&self) -> Vec<Incoming> {
        let mut mail = self.0.shared.mail.lock();
        let inbox = std::mem::take(&mut mail.inbox);
        for incoming in &inbox {
            mail.incoming_batches -= 1;
            mail.incoming_samples -= incoming.batch.len();
        }
        inbox.into()
    }

    /// Whether it has a batch that is not in flight.
    pub(crate) fn has_backlog(&self) -> bool {
        let mail = self.0.shared.mail.lock();
        !mail.ready.is_empty() || mail.unread > 0 || mail.incoming_batches > 0
    }

    /// Returns the next batch.
    pub(crate) fn next(&self) -> Next {
        let mut mail = self.0.shared.mail.lock();
        if let Some(outgoing) = mail.ready.pop_front() {
            let bytes = outgoing.batch.stored_bytes().map_or(0, <[u8]>::len);
            mail.ready_bytes = mail.ready_bytes.saturating_sub(bytes);
            if mail.ready.len() < mail.prefetch.div_ceil(2) && mail.unread > 0 {
                self.0.shared.wake.notify_one();
            }
            return Next::Stored(outgoing);
        }
        let tried = |failing: &Failing| failing.probe != Probe::InFlight;
        if mail.unread == 0
            && mail.failing.as_ref().is_some_and(tried)
            && let Some(incoming) = mail.inbox.pop_front()
        {
            mail.incoming_batches -= 1;
            mail.incoming_samples -= incoming.batch.len();
            return Next::NotStored(incoming);
        }
        if mail.unread > 0 || mail.incoming_batches > 0 {
            Next::Later
        } else {
            Next::Nothing
        }
    }

    /// Records the delivery of a stored batch.
    pub(crate) fn done(&self, number: u64, samples: usize) {
        let mut mail = self.0.shared.mail.lock();
        mail.settled.push(Settled::Done(number));
        mail.settling.0 += 1;
        mail.settling.1 += samples as u64;
        self.0.shared.wake.notify_one();
    }

    /// Records the permanent rejection of a batch.
    pub(crate) fn reject(
        &self,
        number: Option<u64>,
        batch: Arc<Batch>,
        encoding: Option<Arc<dyn Encoding>>,
        reason: String,
    ) {
        let mut mail = self.0.shared.mail.lock();
        if number.is_some() {
            mail.settling.0 += 1;
            mail.settling.1 += batch.len() as u64;
        }
        mail.settled.push(Settled::Rejected {
            number,
            batch,
            encoding,
            reason,
        });
        self.0.shared.wake.notify_one();
    }

    /// Records the end of an outage: with [`Order::NewestFirst`](super::Order::NewestFirst) later batches precede the stored
    /// ones.
    pub(crate) fn move_to_backlog(&self) {
        self.0.shared.mail.lock().move_to_backlog = true;
        self.0.shared.wake.notify_one();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.mail.lock().closing = true;
        self.shared.wake.notify_one();
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Spool")
            .field("path", &self.0.path)
            .finish_non_exhaustive()
    }
}
