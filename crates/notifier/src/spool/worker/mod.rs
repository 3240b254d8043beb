//! The thread of a spool, which owns all disk access.

mod store;
mod watch;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nephoscope_model::Batch;
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::watch::DropEpisode;
use super::contents::Contents;
use super::dead_letter::DeadLetters;
use super::disk::Disk;
use super::error::OpenError;
use super::events::Event;
use super::folder::FolderError;
use super::log::{Log, LogCounts, LogStatus};
use super::mailbox::{
    AcceptedChange, Dropped, Failing, Incoming, Mail, Outgoing, Probe, Report, Settled, Shared,
};
use super::options::{SYNC_INTERVAL, SpoolOptions};
use crate::receipt::Ticket;

/// The number of batches that are appended before other work; with `fsync: always` they share a sync.
const GROUP: usize = 64;

/// The limit on prefetched bytes.
const MAX_READY_BYTES: usize = 4 << 20;

/// The pause before a retry after an I/O error.
const RETRY: Duration = Duration::from_secs(1);

/// The interval between checks for expired batches.
const EXPIRE: Duration = Duration::from_secs(10);

/// Runs the thread until the spool is closed.
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
            // The caller may have stopped waiting.
            let _ = opened.send(Err(error));
            return;
        }
    };
    let mut worker = Worker::new(shared.clone(), log, options);
    worker.report();
    worker.log_opening();
    if opened.send(Ok(())).is_err() {
        return;
    }
    worker.run();
}

/// Marks the spool as closed when the thread ends, even after a panic.
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
        self.0.notify_lane();
    }
}

struct Worker {
    shared: Arc<Shared>,
    log: Log,
    options: SpoolOptions,
    dead_letters: DeadLetters,
    /// Appended records without a sync, by number. A batch that was delivered meanwhile has no ticket.
    pending: VecDeque<(u64, Option<Ticket>)>,
    /// When the next sync is due.
    sync_due: Option<Instant>,
    cursor_due: Option<Instant>,
    expire_due: Instant,
    /// When a failed write is retried.
    retry_at: Option<Instant>,
    read_retry_at: Option<Instant>,
    recovered: (u64, u64),
    stored: (u64, u64),
    sync_failures: u64,
    reported: LogCounts,
    /// Whether unsupported contents were logged.
    unsupported_logged: bool,
    drop_episode: Option<DropEpisode>,
}

/// The work taken from the mailbox.
struct Work {
    items: VecDeque<Incoming>,
    settled: Vec<Settled>,
    move_to_backlog: bool,
    drops: Vec<(i64, oneshot::Sender<Dropped>)>,
    options: Option<SpoolOptions>,
    accepted_change: Option<AcceptedChange>,
    /// The number of batches to prefetch.
    room: usize,
    ready_bytes: usize,
    closing: bool,
}

impl Worker {
    fn new(shared: Arc<Shared>, log: Log, options: SpoolOptions) -> Self {
        let LogStatus { records, samples, .. } = log.status();
        let now = Instant::now();
        Self {
            dead_letters: DeadLetters::open(log.disk(), options.dead_letter_bytes),
            reported: log.counts(),
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
            sync_failures: 0,
            drop_episode: None,
            unsupported_logged: false,
        }
    }

    fn run(&mut self) {
        loop {
            let Work {
                items,
                settled,
                move_to_backlog,
                drops,
                options,
                accepted_change,
                room,
                ready_bytes,
                closing,
            } = self.wait();
            if let Some(options) = options {
                self.change(options);
            }
            if move_to_backlog {
                self.log.move_to_backlog();
            }
            if let Some(AcceptedChange { accepts, returned }) = accepted_change {
                self.log.set_accepted(&accepts, &returned);
            }
            let settled_any = !settled.is_empty();
            for settled in settled {
                self.settle(settled);
            }
            let dropped: Vec<_> = drops
                .into_iter()
                .map(|(time, reply)| (reply, self.drop_manually(time)))
                .collect();
            let left = self.store(items, closing);
            let read = self.read_ahead(room, ready_bytes);
            self.run_timers(closing);
            self.give(left, read, settled_any);
            for (reply, dropped) in dropped {
                // The caller may have stopped waiting.
                let _ = reply.send(dropped);
            }
            self.watch_losses();
            self.watch_unsupported();
            if closing && self.shared.mail.lock().inbox.is_empty() {
                break;
            }
            if closing && self.retry_at.is_some() {
                // The disk rejects writes and no retry follows: the lane takes the batches back.
                break;
            }
        }
        self.finish();
    }

    /// Waits for work and takes it from the mailbox.
    fn wait(&self) -> Work {
        let mut mail = self.shared.mail.lock();
        loop {
            let now = Instant::now();
            let can_store = self.retry_at.is_none_or(|at| now >= at) || mail.closing;
            let can_read = self.read_retry_at.is_none_or(|at| now >= at) && !mail.closing;
            let reads = can_read
                && mail.unread > 0
                && mail.ready.len() < mail.prefetch
                && mail.ready_bytes < MAX_READY_BYTES;
            let probe = can_store
                && mail
                    .failing
                    .as_ref()
                    .is_some_and(|failing| failing.probe == Probe::NotYet)
                && mail.inbox.is_empty();
            let watches = self.options.max_age.is_some() || self.drop_episode.is_some();
            let due = [self.sync_due, self.cursor_due, watches.then_some(self.expire_due)];
            let due = due.into_iter().flatten().min();
            let busy = mail.closing
                || mail.options_changed
                || mail.accepted_change.is_some()
                || mail.move_to_backlog
                || !mail.drops.is_empty()
                || !mail.settled.is_empty()
                || (can_store && !mail.inbox.is_empty())
                || reads
                || due.is_some_and(|due| now >= due);
            if probe && let Some(failing) = &mut mail.failing {
                failing.probe = Probe::Ready;
                drop(mail);
                self.shared.notify_lane();
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
            move_to_backlog: std::mem::take(&mut mail.move_to_backlog),
            drops: std::mem::take(&mut mail.drops),
            options: std::mem::take(&mut mail.options_changed).then(|| mail.options.clone()),
            accepted_change: mail.accepted_change.take(),
            room: if reads {
                mail.prefetch.saturating_sub(mail.ready.len())
            } else {
                0
            },
            ready_bytes: mail.ready_bytes,
            closing: mail.closing,
        }
    }

    fn change(&mut self, options: SpoolOptions) {
        self.log.set_options(options.log());
        self.dead_letters.set_bound(options.dead_letter_bytes);
        self.options = options;
        self.expire_due = Instant::now();
    }

    fn drop_manually(&mut self, time: i64) -> Dropped {
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
        // Not reported as drops at a limit.
        self.reported.dropped_records += dropped.batches;
        self.reported.dropped_samples += dropped.samples;
        if let Some(episode) = &mut self.drop_episode {
            episode.before.dropped_samples += dropped.samples;
        }
        if dropped.batches > 0 {
            Event::DroppedManually { dropped }.emit(&self.shared.name);
        }
        dropped
    }

    fn settle(&mut self, settled: Settled) {
        let number = match settled {
            Settled::Done(number) => Some(number),
            Settled::Rejected {
                number,
                batch,
                encoding,
                reason,
            } => {
                self.add_dead_letter(&batch, encoding.as_deref(), &reason);
                number
            }
        };
        let Some(number) = number else { return };
        self.log.done(number);
        self.mark_cursor();
        // Delivered before its sync: it can no longer be lost.
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

    fn run_timers(&mut self, closing: bool) {
        let now = Instant::now();
        if self.sync_due.is_some_and(|due| closing || now >= due) {
            self.sync();
        }
        if self.cursor_due.is_some_and(|due| now >= due) {
            // Retried after an error: the cursor only limits what a crash repeats.
            self.cursor_due = self.log.save_cursor().is_err().then(|| now + SYNC_INTERVAL);
        }
        if now >= self.expire_due {
            self.expire_due = now + EXPIRE;
            self.log.expire(wall_clock());
        }
    }

    /// Posts results to the mailbox.
    fn give(&mut self, left: VecDeque<Incoming>, read: Vec<Outgoing>, settled: bool) {
        let changed = !read.is_empty() || settled;
        let mut mail = self.shared.mail.lock();
        match &mut mail.accepted_change {
            // The contents may not be accepted any more.
            Some(change) => change
                .returned
                .extend(read.iter().map(|outgoing| outgoing.number)),
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
            self.shared.notify_lane();
        }
    }

    fn report(&self) {
        self.write_report(&mut self.shared.mail.lock());
    }

    fn write_report(&self, mail: &mut Mail) {
        let status = self.log.status();
        mail.unread = status.unread;
        // Batches that were settled since the last run are still in the log.
        let (mut batches, mut samples) = (0, 0);
        for settled in &mail.settled {
            match settled {
                Settled::Done(number) => {
                    batches += 1;
                    samples += u64::from(self.log.samples_in_flight(*number));
                }
                Settled::Rejected {
                    number: Some(_),
                    batch,
                    ..
                } => {
                    batches += 1;
                    samples += batch.len() as u64;
                }
                Settled::Rejected { number: None, .. } => {}
            }
        }
        mail.settling = (batches, samples);
        mail.status = Report {
            bytes: status.bytes,
            batches: status.records,
            samples: status.samples,
            oldest_time: status.oldest_time,
            recovered: self.recovered,
            stored: self.stored,
            counts: self.log.counts(),
            sync_failures: self.sync_failures,
            dead_letter: self.dead_letters.status(),
            low: status.low,
            next: status.next,
            contents: self.log.stored_contents(),
        };
    }

    fn finish(&mut self) {
        if let Some(episode) = self.drop_episode.take() {
            self.log_dropping_ended(&episode);
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
        self.shared.notify_lane();
    }
}

/// Milliseconds since 1970 UTC.
#[allow(
    clippy::disallowed_methods,
    reason = "the age of batches outlives the process and requires the wall clock; no wait depends on it"
)]
fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
