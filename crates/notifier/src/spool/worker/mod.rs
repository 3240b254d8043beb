//! The thread of a spool: everything that touches the disk.

mod store;
mod watch;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nephoscope_model::Batch;
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::watch::Losing;
use super::contents::Contents;
use super::disk::Disk;
use super::error::OpenError;
use super::events::Event;
use super::folder::FolderError;
use super::log::{Log, LogCounts, LogStatus};
use super::options::{SYNC_INTERVAL, SpoolOptions};
use super::port::{Dropped, Failing, Incoming, Mail, Outgoing, Probe, Report, Serve, Settled, Shared};
use super::quarantine::Quarantine;
use crate::receipt::Ticket;

/// How many batches are appended before others get their turn; with `fsync: always` they share a sync.
const GROUP: usize = 64;

/// How many bytes of batches are read ahead.
const MAX_READY_BYTES: usize = 4 << 20;

/// The pause before a disk that did not take something is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How often batches are looked at that may have become too old.
const EXPIRE: Duration = Duration::from_secs(10);

/// Serves a spool until it is closed.
pub(super) fn run(
    shared: &Arc<Shared>,
    disk: impl FnOnce() -> Result<Box<dyn Disk>, FolderError>,
    opened: oneshot::Sender<Result<(), OpenError>>,
) {
    let _end = End(shared.clone());
    let options = shared.mail.lock().options.clone();
    let log = disk()
        .map_err(OpenError::Folder)
        .and_then(|disk| Log::open(disk, options.log()));
    let log = match log {
        Ok(log) => log,
        Err(error) => {
            // Nobody waits any more: then nobody wants to know.
            let _ = opened.send(Err(error));
            return;
        }
    };
    let mut worker = Worker::new(shared.clone(), log, options);
    worker.report();
    worker.tell_of_opening();
    if opened.send(Ok(())).is_err() {
        return;
    }
    worker.serve();
}

/// Says that nobody serves the spool any more, however the thread has ended.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        {
            let mut mail = self.0.mail.lock();
            mail.closing = true;
            mail.unread = 0;
            mail.incoming_batches = mail.inbox.len();
            mail.incoming_samples = mail.inbox.iter().map(|incoming| incoming.batch.len()).sum();
            mail.failing.get_or_insert_with(|| Failing {
                error: "it is closed".into(),
                probe: Probe::NotYet,
            });
        }
        self.0.closed.cancel();
        self.0.tell();
    }
}

struct Worker {
    shared: Arc<Shared>,
    log: Log,
    options: SpoolOptions,
    quarantine: Quarantine,
    /// Appended, not yet synced, in the order of numbers. A batch that was delivered meanwhile has no ticket.
    pending: VecDeque<(u64, Option<Ticket>)>,
    /// Since when something waits for a sync.
    sync_due: Option<Instant>,
    cursor_due: Option<Instant>,
    expire_due: Instant,
    /// When a disk that failed is tried again.
    retry_at: Option<Instant>,
    read_retry_at: Option<Instant>,
    recovered: (u64, u64),
    stored: (u64, u64),
    failed_syncs: u64,
    told: LogCounts,
    /// Whether it was told that batches are kept.
    told_kept: bool,
    losing: Option<Losing>,
}

/// What the thread takes out of the mailbox at once.
struct Work {
    items: VecDeque<Incoming>,
    settled: Vec<Settled>,
    turn_over: bool,
    drops: Vec<(i64, oneshot::Sender<Dropped>)>,
    options: Option<SpoolOptions>,
    serve: Option<Serve>,
    /// How many batches may be read ahead.
    room: usize,
    ready_bytes: usize,
    closing: bool,
}

impl Worker {
    fn new(shared: Arc<Shared>, log: Log, options: SpoolOptions) -> Self {
        let LogStatus { records, samples, .. } = log.status();
        let now = Instant::now();
        Self {
            quarantine: Quarantine::open(log.disk(), options.quarantine_bytes),
            told: log.counts(),
            log,
            shared,
            options,
            pending: VecDeque::new(),
            sync_due: None,
            cursor_due: None,
            expire_due: now,
            retry_at: None,
            read_retry_at: None,
            recovered: (records, samples),
            stored: (0, 0),
            failed_syncs: 0,
            losing: None,
            told_kept: false,
        }
    }

    fn serve(&mut self) {
        loop {
            let Work {
                items,
                settled,
                turn_over,
                drops,
                options,
                serve,
                room,
                ready_bytes,
                closing,
            } = self.wait();
            if let Some(options) = options {
                self.change(options);
            }
            if turn_over {
                self.log.turn_over();
            }
            if let Some(Serve { takes, returned }) = serve {
                self.log.serve(&takes, &returned);
            }
            let settled_any = !settled.is_empty();
            for settled in settled {
                self.settle(settled);
            }
            let dropped: Vec<_> = drops
                .into_iter()
                .map(|(time, told)| (told, self.drop_by_hand(time)))
                .collect();
            let left = self.store(items, closing);
            let read = self.read_ahead(room, ready_bytes);
            self.keep_time(closing);
            self.give(left, read, settled_any);
            for (told, dropped) in dropped {
                // Who asked may have gone.
                let _ = told.send(dropped);
            }
            self.watch_losses();
            self.watch_kept();
            if closing && self.shared.mail.lock().inbox.is_empty() {
                break;
            }
            if closing && self.retry_at.is_some() {
                // The disk takes nothing, and there is no later: the lane takes it back.
                break;
            }
        }
        self.finish();
    }

    /// Waits for something to do, and takes it.
    fn wait(&self) -> Work {
        let mut mail = self.shared.mail.lock();
        loop {
            let now = Instant::now();
            let can_store = self.retry_at.is_none_or(|at| now >= at) || mail.closing;
            let can_read = self.read_retry_at.is_none_or(|at| now >= at) && !mail.closing;
            let reads = can_read
                && mail.unread > 0
                && mail.ready.len() < mail.want
                && mail.ready_bytes < MAX_READY_BYTES;
            let probe = can_store
                && mail
                    .failing
                    .as_ref()
                    .is_some_and(|failing| failing.probe == Probe::NotYet)
                && mail.inbox.is_empty();
            let watches = self.options.max_age.is_some() || self.losing.is_some();
            let due = [self.sync_due, self.cursor_due, watches.then_some(self.expire_due)];
            let due = due.into_iter().flatten().min();
            let busy = mail.closing
                || mail.options_changed
                || mail.serve.is_some()
                || mail.turn_over
                || !mail.drops.is_empty()
                || !mail.settled.is_empty()
                || (can_store && !mail.inbox.is_empty())
                || reads
                || due.is_some_and(|due| now >= due);
            if probe && let Some(failing) = &mut mail.failing {
                failing.probe = Probe::Wanted;
                drop(mail);
                self.shared.tell();
                mail = self.shared.mail.lock();
                continue;
            }
            if busy {
                return self.take(&mut mail, can_store, reads);
            }
            let retries = [
                self.retry_at.filter(|at| *at > now),
                self.read_retry_at.filter(|at| *at > now),
                due,
            ];
            match retries.into_iter().flatten().min() {
                Some(until) => {
                    _ = self
                        .shared
                        .wake
                        .wait_for(&mut mail, until.saturating_duration_since(now))
                }
                None => self.shared.wake.wait(&mut mail),
            }
        }
    }

    fn take(&self, mail: &mut Mail, can_store: bool, reads: bool) -> Work {
        let group = if can_store { mail.inbox.len().min(GROUP) } else { 0 };
        Work {
            items: mail.inbox.drain(..group).collect(),
            settled: std::mem::take(&mut mail.settled),
            turn_over: std::mem::take(&mut mail.turn_over),
            drops: std::mem::take(&mut mail.drops),
            options: std::mem::take(&mut mail.options_changed).then(|| mail.options.clone()),
            serve: mail.serve.take(),
            room: if reads {
                mail.want.saturating_sub(mail.ready.len())
            } else {
                0
            },
            ready_bytes: mail.ready_bytes,
            closing: mail.closing,
        }
    }

    fn change(&mut self, options: SpoolOptions) {
        self.log.set_options(options.log());
        self.quarantine.set_bound(options.quarantine_bytes);
        self.options = options;
        self.expire_due = Instant::now();
    }

    fn drop_by_hand(&mut self, time: i64) -> Dropped {
        let before = self.log.counts();
        if let Err(error) = self.log.drop_older_than(time) {
            Event::NotRead { error }.emit(&self.shared.name);
        }
        self.mark_cursor();
        let after = self.log.counts();
        let dropped = Dropped {
            batches: after.dropped_records - before.dropped_records,
            samples: after.dropped_samples - before.dropped_samples,
        };
        // It was no bound that dropped them.
        self.told.dropped_records += dropped.batches;
        self.told.dropped_samples += dropped.samples;
        if let Some(losing) = &mut self.losing {
            losing.before.dropped_samples += dropped.samples;
        }
        if dropped.batches > 0 {
            Event::DroppedByHand { dropped }.emit(&self.shared.name);
        }
        dropped
    }

    fn settle(&mut self, settled: Settled) {
        let number = match settled {
            Settled::Done(number) => Some(number),
            Settled::Refused {
                number,
                batch,
                encoding,
                reason,
            } => {
                self.quarantine(&batch, encoding.as_deref(), &reason);
                number
            }
        };
        let Some(number) = number else { return };
        self.log.done(number);
        self.mark_cursor();
        // Delivered before it was synced: there is nothing left that could be lost.
        if let Ok(place) = self.pending.binary_search_by_key(&number, |(number, _)| *number)
            && let Some((_, ticket)) = self.pending.get_mut(place)
            && let Some(ticket) = ticket.take()
        {
            ticket.confirm();
        }
    }

    fn read_ahead(&mut self, room: usize, mut bytes: usize) -> Vec<Outgoing> {
        let mut read = Vec::new();
        while read.len() < room && bytes < MAX_READY_BYTES {
            match self.log.take() {
                Ok(Some(stored)) => {
                    self.read_retry_at = None;
                    bytes += stored.payload.len();
                    let samples = usize::try_from(stored.samples).unwrap_or(usize::MAX);
                    let Contents { encoding, kind } = stored.contents;
                    read.push(Outgoing {
                        number: stored.number,
                        batch: Arc::new(Batch::stored(encoding, stored.payload, kind, samples)),
                    });
                }
                Ok(None) => break,
                Err(error) => {
                    if self.read_retry_at.is_none() {
                        Event::NotRead { error }.emit(&self.shared.name);
                    }
                    self.read_retry_at = Some(Instant::now() + RETRY);
                    break;
                }
            }
        }
        read
    }

    fn mark_cursor(&mut self) {
        self.cursor_due
            .get_or_insert_with(|| Instant::now() + SYNC_INTERVAL);
    }

    fn keep_time(&mut self, closing: bool) {
        let now = Instant::now();
        if self.sync_due.is_some_and(|due| closing || now >= due) {
            self.sync();
        }
        if self.cursor_due.is_some_and(|due| now >= due) {
            // One that fails is tried again: it only decides what a crash repeats.
            self.cursor_due = self.log.save_cursor().is_err().then(|| now + SYNC_INTERVAL);
        }
        if now >= self.expire_due {
            self.expire_due = now + EXPIRE;
            self.log.expire(wall_clock());
        }
    }

    /// Puts into the mailbox what has changed.
    fn give(&mut self, left: VecDeque<Incoming>, read: Vec<Outgoing>, settled: bool) {
        let changed = !read.is_empty() || settled;
        let mut mail = self.shared.mail.lock();
        match &mut mail.serve {
            // Perhaps they are not what is wanted any more.
            Some(serve) => serve.returned.extend(read.iter().map(|outgoing| outgoing.number)),
            None => {
                for outgoing in read {
                    mail.ready_bytes += outgoing.batch.stored_bytes().map_or(0, <[u8]>::len);
                    mail.ready.push_back(outgoing);
                }
            }
        }
        for incoming in left.into_iter().rev() {
            mail.inbox.push_front(incoming);
        }
        let (before, had_unread) = (mail.incoming_batches, mail.unread > 0);
        mail.incoming_batches = mail.inbox.len();
        mail.incoming_samples = mail.inbox.iter().map(|incoming| incoming.batch.len()).sum();
        let changed = changed || before != mail.incoming_batches || mail.failing.is_some();
        self.write_report(&mut mail);
        let changed = changed || had_unread != (mail.unread > 0);
        drop(mail);
        if changed {
            self.shared.tell();
        }
    }

    fn report(&self) {
        self.write_report(&mut self.shared.mail.lock());
    }

    fn write_report(&self, mail: &mut Mail) {
        let status = self.log.status();
        mail.unread = status.unread;
        // Those that came since the thread looked are still to be settled.
        let (mut batches, mut samples) = (0, 0);
        for settled in &mail.settled {
            match settled {
                Settled::Done(number) => {
                    batches += 1;
                    samples += u64::from(self.log.samples_under_way(*number));
                }
                Settled::Refused {
                    number: Some(_),
                    batch,
                    ..
                } => {
                    batches += 1;
                    samples += batch.len() as u64;
                }
                Settled::Refused { number: None, .. } => {}
            }
        }
        mail.settling = (batches, samples);
        mail.status = Report {
            bytes: status.bytes,
            batches: status.records,
            samples: status.samples,
            oldest: status.oldest,
            recovered: self.recovered,
            stored: self.stored,
            counts: self.log.counts(),
            failed_syncs: self.failed_syncs,
            quarantine: self.quarantine.status(),
            low: status.low,
            next: status.next,
            held: self.log.held(),
        };
    }

    fn finish(&mut self) {
        if let Some(losing) = self.losing.take() {
            self.tell_of_end(&losing);
        }
        match self.log.close() {
            Ok(()) => self.resolve(),
            Err(error) => {
                let batches = self.pending.len();
                self.pending.clear();
                Event::NotSynced { batches, error }.emit(&self.shared.name);
            }
        }
        self.report();
        self.shared.tell();
    }
}

/// Milliseconds since 1970 UTC.
#[allow(
    clippy::disallowed_methods,
    reason = "the age of batches outlives the process, so that only the wall clock can tell it; nothing waits for it"
)]
fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
