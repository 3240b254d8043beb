//! A spool as its publisher's lane sees it: what may be stored, what comes back, and what is known of it.
//!
//! All calls return at once: the disk is the business of a thread of its own ([`super::worker`]), and the two meet in a
//! mailbox whose parts are bounded.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nephoscope_model::{Batch, Encoding};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::contents::Takes;
use super::disk::Disk;
use super::error::OpenError;
use super::folder::{Folder, FolderError};
use super::log::{Held, LogCounts};
use super::options::{SpoolMode, SpoolOptions};
use super::quarantine::QuarantineStatus;
use super::worker;
use crate::receipt::Ticket;

/// A publisher's queue on disk, and the thread that serves it. Clones are the same one; the last of them closes it.
#[derive(Clone)]
pub struct Spool(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    path: PathBuf,
}

/// What a spool holds, and what happened to batches in it.
#[derive(Debug, Clone)]
pub struct SpoolStatus {
    /// Its folder.
    pub path: PathBuf,
    /// Which batches go through it.
    pub mode: SpoolMode,
    /// How many bytes its segments may take.
    pub max_bytes: u64,
    /// How many they take.
    pub bytes: u64,
    /// Batches in it, those under way included.
    pub batches: u64,
    /// Samples of these batches.
    pub samples: u64,
    /// About when the oldest of them was stored, milliseconds since 1970 UTC.
    pub oldest: Option<i64>,
    /// Batches that are still in memory, on their way into it.
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
    /// What was dropped at its bounds, lost to damage, or cut off.
    pub counts: LogCounts,
    /// Syncs that failed; what they covered did not count as stored.
    pub failed_syncs: u64,
    /// What was refused for good.
    pub quarantine: QuarantineStatus,
    /// Why nothing can be stored at present.
    pub failing: Option<Arc<str>>,
    /// What it holds, by contents. Those that are kept stay until a publisher takes them, or they go at a bound.
    pub held: Vec<Held>,
    /// Every batch that was stored with a smaller number is done with, or kept.
    pub low: u64,
    /// The number that the next batch gets when it is stored.
    pub next: u64,
}

impl SpoolStatus {
    /// What stays in it, since the publisher does not take it.
    pub fn kept(&self) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(|held| held.kept)
    }
}

/// What was dropped by hand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Batches.
    pub batches: u64,
    /// Samples of these batches.
    pub samples: u64,
}

/// A batch on its way into the spool.
pub(crate) struct Incoming {
    pub(crate) batch: Arc<Batch>,
    pub(crate) encoding: Arc<dyn Encoding>,
    pub(crate) ticket: Ticket,
}

/// A batch that the spool gives back.
pub(crate) struct Outgoing {
    pub(crate) number: u64,
    pub(crate) batch: Arc<Batch>,
}

/// What comes next out of a spool.
pub(crate) enum Next {
    /// A batch that was stored.
    Stored(Outgoing),
    /// A batch that cannot be stored, and is as well delivered without.
    NotStored(Incoming),
    /// Something, later.
    Later,
    Nothing,
}

/// What has become of a batch.
pub(super) enum Settled {
    /// A batch that was stored is done with.
    Done(u64),
    /// A batch, perhaps one that was stored, is refused for good.
    Refused {
        number: Option<u64>,
        batch: Arc<Batch>,
        /// How it is encoded, unless it was stored.
        encoding: Option<Arc<dyn Encoding>>,
        reason: String,
    },
}

type Listener = Box<dyn Fn() + Send + Sync>;

/// Where the lane and the thread meet.
pub(super) struct Shared {
    pub(super) name: Arc<str>,
    pub(super) mail: Mutex<Mail>,
    /// Wakes the thread.
    pub(super) wake: Condvar,
    listener: Mutex<Option<Listener>>,
    /// Cancelled when the thread has closed the spool.
    pub(super) closed: CancellationToken,
}

pub(super) struct Mail {
    pub(super) options: SpoolOptions,
    pub(super) options_changed: bool,
    pub(super) inbox: VecDeque<Incoming>,
    /// Batches of the inbox and in the hands of the thread, and their samples.
    pub(super) incoming_batches: usize,
    pub(super) incoming_samples: usize,
    pub(super) ready: VecDeque<Outgoing>,
    pub(super) ready_bytes: usize,
    /// How many batches the lane wants ready.
    pub(super) want: usize,
    /// Which batches it wants.
    pub(super) takes: Takes,
    /// That it wants others than before.
    pub(super) serve: Option<Serve>,
    /// Batches in the log that are wanted and not ready yet.
    pub(super) unread: u64,
    /// At most as many as the lane has under way, and those of the calls before that the thread has not seen.
    pub(super) settled: Vec<Settled>,
    /// Those of them, and of those in the hands of the thread, that the log still counts, and their samples.
    pub(super) settling: (u64, u64),
    pub(super) turn_over: bool,
    /// What is to be dropped by hand: all before a time, and who wants to know how much that was.
    pub(super) drops: Vec<(i64, oneshot::Sender<Dropped>)>,
    pub(super) closing: bool,
    pub(super) failing: Option<Failing>,
    pub(super) status: Report,
}

/// Other batches are wanted than before.
pub(super) struct Serve {
    pub(super) takes: Takes,
    /// What was read and is not delivered: it is read again when it is wanted.
    pub(super) returned: Vec<u64>,
}

/// Why nothing can be stored, and how far a further try is.
pub(super) struct Failing {
    pub(super) error: Arc<str>,
    pub(super) probe: Probe,
}

/// The one batch that finds out whether it works again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// It is too early.
    NotYet,
    /// The next batch that comes is it.
    Wanted,
    /// It is on its way to the disk. Nobody delivers it before.
    UnderWay,
}

/// What the thread reports.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) bytes: u64,
    pub(super) batches: u64,
    pub(super) samples: u64,
    pub(super) oldest: Option<i64>,
    pub(super) recovered: (u64, u64),
    pub(super) stored: (u64, u64),
    pub(super) counts: LogCounts,
    pub(super) failed_syncs: u64,
    pub(super) quarantine: QuarantineStatus,
    pub(super) held: Vec<Held>,
    pub(super) low: u64,
    pub(super) next: u64,
}

impl Shared {
    /// Tells the lane that something has changed. The mailbox must not be held.
    pub(super) fn tell(&self) {
        if let Some(listener) = &*self.listener.lock() {
            listener();
        }
    }
}

impl Spool {
    /// Opens the spool of the publisher `name` in the folder at `path`, on a thread of its own.
    ///
    /// While it is open no other process, and no other spool of this one, can open it.
    pub async fn open(name: Arc<str>, path: PathBuf, options: SpoolOptions) -> Result<Self, OpenError> {
        let folder = path.clone();
        let disk = move || Ok(Box::new(Folder::open(&folder)?) as Box<dyn Disk>);
        Self::open_on(name, path, disk, options).await
    }

    /// Opens a spool on a disk of another kind. `path` is how it is known.
    pub async fn open_on(
        name: Arc<str>,
        path: PathBuf,
        disk: impl FnOnce() -> Result<Box<dyn Disk>, FolderError> + Send + 'static,
        options: SpoolOptions,
    ) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared {
            name,
            mail: Mutex::new(Mail {
                options,
                options_changed: false,
                inbox: VecDeque::new(),
                incoming_batches: 0,
                incoming_samples: 0,
                ready: VecDeque::new(),
                ready_bytes: 0,
                want: 0,
                takes: Takes::default(),
                serve: None,
                unread: 0,
                settled: Vec::new(),
                settling: (0, 0),
                turn_over: false,
                drops: Vec::new(),
                closing: false,
                failing: None,
                status: Report::default(),
            }),
            wake: Condvar::new(),
            listener: Mutex::new(None),
            closed: CancellationToken::new(),
        });
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

    /// What it holds.
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
            oldest: report.oldest,
            incoming_batches: mail.incoming_batches,
            incoming_samples: mail.incoming_samples,
            recovered_batches: report.recovered.0,
            recovered_samples: report.recovered.1,
            stored_batches: report.stored.0,
            stored_samples: report.stored.1,
            counts: report.counts,
            failed_syncs: report.failed_syncs,
            quarantine: report.quarantine,
            failing: mail.failing.as_ref().map(|failing| failing.error.clone()),
            held: report.held.iter().map(|held| mail.looked_at(held)).collect(),
            low: report.low,
            next: report.next,
        }
    }

    /// Closes a spool that no publisher has: what is in it is safe then.
    pub async fn shut(self) {
        self.close(Vec::new());
        self.closed().await;
    }

    /// Takes over other options, all of them at any time.
    pub fn set_options(&self, options: SpoolOptions) {
        let mut mail = self.0.shared.mail.lock();
        if mail.options != options {
            mail.options = options;
            mail.options_changed = true;
            self.0.shared.wake.notify_one();
        }
    }

    /// Drops what was stored before `time` (milliseconds since 1970 UTC), but for what is being delivered; none when the spool
    /// is closed before it comes to that. It is counted in [`SpoolStatus::counts`] too.
    pub async fn drop_older_than(&self, time: i64) -> Option<Dropped> {
        let (told, dropped) = oneshot::channel();
        {
            let mut mail = self.0.shared.mail.lock();
            mail.drops.push((time, told));
            self.0.shared.wake.notify_one();
        }
        tokio::select! {
            biased;
            dropped = dropped => dropped.ok(),
            () = self.closed() => None,
        }
    }

    // What the lane does.

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn options(&self) -> SpoolOptions {
        self.0.shared.mail.lock().options.clone()
    }

    /// Calls `listener` whenever something has changed. It must not call back.
    pub(crate) fn listen(&self, listener: impl Fn() + Send + Sync + 'static) {
        *self.0.shared.listener.lock() = Some(Box::new(listener));
    }

    /// How many batches should be ready, and which. Where other batches are wanted than before, those that were read and are not
    /// delivered go back: those that are ready here, and those that `under_way` gives.
    pub(crate) fn serve(&self, want: usize, takes: Takes, under_way: impl FnOnce() -> Vec<u64>) {
        let mut mail = self.0.shared.mail.lock();
        mail.want = want;
        if mail.takes != takes {
            mail.takes = takes.clone();
            let mut returned = under_way();
            returned.extend(mail.ready.drain(..).map(|outgoing| outgoing.number));
            mail.ready_bytes = 0;
            // What was to go back, and has not yet, goes all the same.
            returned.extend(mail.serve.take().into_iter().flat_map(|serve| serve.returned));
            mail.serve = Some(Serve { takes, returned });
        }
        self.0.shared.wake.notify_one();
    }

    /// Whether it takes batches at present.
    pub(crate) fn takes(&self) -> bool {
        self.0.shared.mail.lock().takes()
    }

    /// Takes a batch if there is room: up to `bound` samples may be on their way into it, and one batch in any case.
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
        if !room || !mail.takes() {
            return false;
        }
        let Some(ticket) = ticket.take() else {
            return false;
        };
        if let Some(failing) = &mut mail.failing {
            failing.probe = Probe::UnderWay;
        }
        mail.push(Incoming {
            batch: batch.clone(),
            encoding: encoding.clone(),
            ticket,
        });
        self.0.shared.wake.notify_one();
        true
    }

    /// Takes what is left when the agent stops, and closes. [`Spool::closed`] tells when that is done.
    pub(crate) fn close(&self, rest: Vec<Incoming>) {
        let mut mail = self.0.shared.mail.lock();
        for incoming in rest {
            mail.push(incoming);
        }
        mail.closing = true;
        self.0.shared.wake.notify_one();
    }

    /// Resolves when it is closed.
    pub(crate) async fn closed(&self) {
        self.0.shared.closed.cancelled().await;
    }

    /// Takes back what was not stored.
    pub(crate) fn take_back(&self) -> Vec<Incoming> {
        let mut mail = self.0.shared.mail.lock();
        let inbox = std::mem::take(&mut mail.inbox);
        for incoming in &inbox {
            mail.incoming_batches -= 1;
            mail.incoming_samples -= incoming.batch.len();
        }
        inbox.into()
    }

    /// Whether it has something that is not under way.
    pub(crate) fn has_backlog(&self) -> bool {
        let mail = self.0.shared.mail.lock();
        !mail.ready.is_empty() || mail.unread > 0 || mail.incoming_batches > 0
    }

    /// What leaves next.
    pub(crate) fn next(&self) -> Next {
        let mut mail = self.0.shared.mail.lock();
        if let Some(outgoing) = mail.ready.pop_front() {
            let bytes = outgoing.batch.stored_bytes().map_or(0, <[u8]>::len);
            mail.ready_bytes = mail.ready_bytes.saturating_sub(bytes);
            if mail.ready.len() < mail.want.div_ceil(2) && mail.unread > 0 {
                self.0.shared.wake.notify_one();
            }
            return Next::Stored(outgoing);
        }
        let tried = |failing: &Failing| failing.probe != Probe::UnderWay;
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

    /// A batch that was stored is delivered.
    pub(crate) fn done(&self, number: u64, samples: usize) {
        let mut mail = self.0.shared.mail.lock();
        mail.settled.push(Settled::Done(number));
        mail.settling.0 += 1;
        mail.settling.1 += samples as u64;
        self.0.shared.wake.notify_one();
    }

    /// A batch is refused for good.
    pub(crate) fn refuse(
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
        mail.settled.push(Settled::Refused {
            number,
            batch,
            encoding,
            reason,
        });
        self.0.shared.wake.notify_one();
    }

    /// An outage has ended: what is in it goes after what comes now, where fresh batches go first.
    pub(crate) fn turn_over(&self) {
        self.0.shared.mail.lock().turn_over = true;
        self.0.shared.wake.notify_one();
    }
}

impl Mail {
    fn takes(&self) -> bool {
        let wanted = |failing: &Failing| failing.probe == Probe::Wanted;
        !self.closing && self.failing.as_ref().is_none_or(wanted)
    }

    /// What is held as the publisher of this moment sees it: the thread may not have heard of it yet.
    fn looked_at(&self, held: &Held) -> Held {
        Held {
            kept: !self.takes.includes(&held.contents),
            ..held.clone()
        }
    }

    fn push(&mut self, incoming: Incoming) {
        self.incoming_batches += 1;
        self.incoming_samples += incoming.batch.len();
        self.inbox.push_back(incoming);
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
