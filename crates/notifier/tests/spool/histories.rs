//! Random histories with crashes at random points, compared with a model: every synced record is present, no record is read
//! twice, and no record is invented. `PROPTEST_CASES` sets the number of cases.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nephoscope_model::{EncodingId, PayloadKind};
use nephoscope_notifier::spool::{AcceptedContents, AppendError, Contents, Log, LogOptions, Order, Record};
use proptest::prelude::*;

use crate::sim::{Random, Sim};

#[derive(Debug, Clone)]
enum Act {
    /// Appends a record with a payload of this size.
    Append(u16),
    Sync,
    /// Reads a record.
    Take,
    /// Completes one of the records in flight.
    Done(u8),
    SaveCursor,
    MoveToBacklog,
    /// Time passes, and old records expire.
    Expire(u16),
    /// Drops older records manually.
    DropOlder(u16),
    /// Sets the free space of the disk; `None`: no limit.
    Room(Option<u16>),
    /// Fails a sync.
    FailedSync,
    /// Restricts the accepted contents to one of them, or accepts all; records in flight are returned.
    SetAccepted(Option<u8>),
    /// Closes the log and opens it again.
    Reopen,
    /// Crashes after this number of operations.
    Crash {
        after: u16,
        power: bool,
        seed: u64,
    },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        24 => (0..3000u16).prop_map(Act::Append),
        6 => Just(Act::Sync),
        10 => Just(Act::Take),
        8 => any::<u8>().prop_map(Act::Done),
        3 => Just(Act::SaveCursor),
        2 => Just(Act::MoveToBacklog),
        1 => (0..2000u16).prop_map(Act::Expire),
        1 => (0..4000u16).prop_map(Act::DropOlder),
        1 => proptest::option::of(0..4000u16).prop_map(Act::Room),
        1 => Just(Act::FailedSync),
        2 => proptest::option::of(0..3u8).prop_map(Act::SetAccepted),
        1 => Just(Act::Reopen),
        2 => (0..12u16, any::<bool>(), any::<u64>()).prop_map(|(after, power, seed)| Act::Crash { after, power, seed }),
    ]
}

#[derive(Debug, Clone)]
struct Case {
    fifo: bool,
    /// Whether the size limit is reached.
    bounded: bool,
    max_age: bool,
    segment_bytes: u64,
    acts: Vec<Act>,
}

fn case() -> impl Strategy<Value = Case> {
    let bools = (any::<bool>(), any::<bool>(), proptest::bool::weighted(0.3));
    (bools, 200..9000u64, proptest::collection::vec(act(), 1..60)).prop_map(
        |((fifo, bounded, max_age), segment_bytes, acts)| Case {
            fifo,
            bounded,
            max_age,
            segment_bytes,
            acts,
        },
    )
}

/// The contents of a record, by its id: a few consecutive records have the same contents.
fn contents(id: u64) -> &'static Contents {
    static ALL: [Contents; 3] = [
        Contents {
            encoding: EncodingId::new("one", 1),
            kind: PayloadKind::Samples,
        },
        Contents {
            encoding: EncodingId::new("one", 2),
            kind: PayloadKind::Samples,
        },
        Contents {
            encoding: EncodingId::new("one", 1),
            kind: PayloadKind::Events,
        },
    ];
    &ALL[usize::try_from(id / 4 % 3).unwrap()]
}

/// A payload that depends on its id, so that an invented one is detected.
fn payload(id: u64, length: u16) -> Vec<u8> {
    let mut bytes = id.to_le_bytes().to_vec();
    let mut random = Random(id);
    while bytes.len() < usize::from(length) {
        match random.below(8) {
            // Bytes like the start of a record.
            0 => bytes.extend_from_slice(&[0xf5, 0x9e, b'n', b'p', b's', 0xc1, 0xfe, 0xa7]),
            1 => bytes.extend_from_slice(&[0; 40]),
            _ => bytes.extend_from_slice(&random.next().to_le_bytes()),
        }
    }
    bytes
}

#[derive(Debug)]
struct Known {
    length: u16,
    time: i64,
    samples: u32,
    /// A power failure does not lose it.
    synced: bool,
    /// It was appended, and no power failure followed.
    present: bool,
    /// A sync of it failed, so that no later sync makes it durable.
    unsyncable: bool,
    /// Completed or dropped manually: after a crash it may be read again.
    done: bool,
    /// Completed since the log was opened.
    done_since_open: bool,
    /// Its completion was saved durably: it must not be read again.
    saved: bool,
}

struct World {
    case: Case,
    sim: Sim,
    log: Option<Log>,
    records: BTreeMap<u64, Known>,
    /// Records in flight, by number.
    in_flight: BTreeMap<u64, u64>,
    /// Records read since the log was opened, in order.
    seen: Vec<u64>,
    /// The last record read since the accepted contents changed.
    last: Option<u64>,
    accepts: AcceptedContents,
    /// Records that were ever read: in flight, they are not dropped at a limit.
    ever_read: BTreeSet<u64>,
    next_id: u64,
    now: i64,
    power_failed: bool,
    /// Records in the log when it was opened and appended since.
    appended: u64,
    /// Records that were completed since the log was opened.
    finished: u64,
}

impl World {
    fn options(&self) -> LogOptions {
        LogOptions {
            max_bytes: if self.case.bounded { 64 << 10 } else { 1 << 30 },
            max_age: self.case.max_age.then_some(Duration::from_secs(3)),
            order: if self.case.fifo {
                Order::Fifo
            } else {
                Order::NewestFirst
            },
            durable: true,
            segment_bytes: Some(self.case.segment_bytes),
        }
    }

    fn open(&mut self) {
        self.log = Some(Log::open(Box::new(self.sim.clone()), self.options()).expect("a log always opens"));
        self.in_flight.clear();
        self.seen.clear();
        (self.last, self.accepts) = (None, AcceptedContents::All);
        self.appended = self.log.as_ref().unwrap().status().records;
        self.finished = 0;
    }

    /// Compares the counts of the log with the model.
    fn assert_adds_up(&self) {
        let Some(log) = &self.log else { return };
        let counts = log.counts();
        assert_eq!(
            self.appended,
            self.finished + counts.dropped_records + counts.lost_records + log.status().records,
            "records are accounted for: {counts:?} {:?}",
            log.status()
        );
        assert!(log.status().bytes <= self.options().max_bytes);
        let contents = log.stored_contents();
        assert_eq!(
            contents.iter().map(|stored| stored.batches).sum::<u64>(),
            log.status().records
        );
        assert_eq!(
            contents.iter().map(|stored| stored.samples).sum::<u64>(),
            log.status().samples
        );
        let deliverable = contents.iter().filter(|stored| !stored.unsupported);
        let deliverable = deliverable.map(|stored| stored.batches).sum::<u64>();
        assert!(log.status().unread <= deliverable);
    }

    fn crash(&mut self, power: bool, seed: u64) {
        self.log = None;
        self.sim = if power {
            self.power_failed = true;
            for known in self.records.values_mut() {
                known.present = known.synced;
            }
            self.sim.after_power_failure(seed)
        } else {
            self.sim.after_kill()
        };
        self.records
            .values_mut()
            .for_each(|known| known.done_since_open = false);
    }

    fn synced(&mut self) {
        for known in self.records.values_mut() {
            known.synced |= known.present && !known.unsyncable;
        }
    }

    fn saved(&mut self) {
        for known in self.records.values_mut() {
            known.saved |= known.done_since_open;
        }
    }

    fn append(&mut self, length: u16) {
        let id = self.next_id;
        self.next_id += 1;
        let bytes = payload(id, length);
        let samples = u32::from(length % 7);
        let record = Record {
            contents: contents(id),
            samples,
            time: self.now,
            payload: &bytes,
        };
        let appended = self.log.as_mut().unwrap().append(record);
        let known = Known {
            length,
            time: self.now,
            samples,
            synced: false,
            present: appended.is_ok(),
            unsyncable: false,
            done: false,
            done_since_open: false,
            saved: false,
        };
        match appended {
            Ok(_) => {
                self.appended += 1;
                self.records.insert(id, known);
            }
            Err(AppendError::DiskFull) => {}
            Err(error @ (AppendError::TooLarge { .. } | AppendError::Encoding { .. })) => panic!("{error}"),
            // It may be present or not.
            Err(AppendError::Io(_)) => _ = self.records.insert(id, known),
        }
    }

    fn take(&mut self) -> bool {
        let stored = match self.log.as_mut().unwrap().take() {
            Ok(Some(stored)) => stored,
            Ok(None) => return false,
            Err(_) => return false,
        };
        let id = u64::from_le_bytes(stored.payload[..8].try_into().unwrap());
        let known = self.records.get(&id).expect("no record is invented");
        assert_eq!(stored.payload, payload(id, known.length));
        assert_eq!(stored.samples, known.samples);
        // A power failure may lose the header of a segment without a synced record.
        let nameless = !known.synced && stored.contents.encoding.name().starts_with("unknown-");
        assert!(
            stored.contents == *contents(id) || nameless,
            "{:?}",
            stored.contents
        );
        assert!(
            self.accepts.includes(&stored.contents),
            "only accepted contents are read"
        );
        assert!(!known.done_since_open, "a dropped record is not read");
        assert!(!known.saved, "a completed record is not read again");
        assert!(!self.seen.contains(&id), "no record is read twice");
        if self.case.fifo {
            assert!(self.last.is_none_or(|last| last < id), "the order is kept");
        }
        self.seen.push(id);
        self.last = Some(id);
        self.ever_read.insert(id);
        self.in_flight.insert(stored.number, id);
        true
    }

    fn done(&mut self, which: u8) {
        let count = self.in_flight.len();
        if count == 0 {
            return;
        }
        let number = *self.in_flight.keys().nth(usize::from(which) % count).unwrap();
        let id = self.in_flight.remove(&number).unwrap();
        self.log.as_mut().unwrap().done(number);
        let known = self.records.get_mut(&id).unwrap();
        (known.done, known.done_since_open) = (true, true);
        self.finished += 1;
    }

    fn step(&mut self, act: Act) {
        match act {
            Act::Append(length) => self.append(length),
            Act::Sync => {
                if self.log.as_mut().unwrap().sync().is_ok() {
                    self.synced();
                }
            }
            Act::Take => _ = self.take(),
            Act::Done(which) => self.done(which),
            Act::SaveCursor => {
                if self.log.as_mut().unwrap().save_cursor().is_ok() {
                    self.saved();
                }
            }
            Act::MoveToBacklog => self.log.as_mut().unwrap().move_to_backlog(),
            Act::Expire(passed) => {
                self.now += i64::from(passed);
                self.log.as_mut().unwrap().expire(self.now);
            }
            Act::DropOlder(age) => {
                let time = self.now - i64::from(age);
                let dropped = self.log.as_mut().unwrap().drop_older_than(time).is_ok();
                for (id, known) in &mut self.records {
                    // A record in flight is not dropped, but its segment may be, so that a crash loses it.
                    let in_flight = self.in_flight.values().any(|other| other == id);
                    if known.present && known.time < time {
                        known.done = true;
                        known.done_since_open |= dropped && !in_flight;
                    }
                }
            }
            Act::Room(room) => {
                let used = self.sim.used();
                self.sim.set_capacity(room.map(|room| used + u64::from(room)));
            }
            Act::FailedSync => {
                self.sim.fail_syncs(true);
                let failed = self.log.as_mut().unwrap().sync();
                self.sim.fail_syncs(false);
                if failed.is_err() {
                    for known in self.records.values_mut() {
                        known.unsyncable |= !known.synced;
                    }
                }
            }
            Act::SetAccepted(which) => {
                self.accepts = which.map_or(AcceptedContents::All, |which| {
                    AcceptedContents::Only(vec![contents(u64::from(which) * 4).clone()])
                });
                let returned: Vec<u64> = self.in_flight.keys().copied().collect();
                self.log.as_mut().unwrap().set_accepted(&self.accepts, &returned);
                for id in std::mem::take(&mut self.in_flight).into_values() {
                    self.seen.retain(|seen| *seen != id);
                }
                self.last = None;
            }
            Act::Reopen => {
                let mut log = self.log.take().unwrap();
                if log.close().is_ok() {
                    self.synced();
                    self.saved();
                }
                drop(log);
                self.crash(false, 0);
                self.open();
            }
            Act::Crash { .. } => unreachable!("by the caller"),
        }
    }

    /// Reads all remaining records and compares them with the model.
    fn finish(mut self) {
        let ever_read = std::mem::take(&mut self.ever_read);
        self.open();
        while self.take() {}
        let seen: BTreeSet<u64> = self.seen.iter().copied().collect();
        let missing: Vec<u64> = self
            .records
            .iter()
            .filter(|(id, known)| known.present && !known.done && !seen.contains(id))
            .map(|(id, _)| *id)
            .collect();
        if !self.case.bounded && !self.case.max_age {
            assert_eq!(missing, [0; 0], "every synced record is present");
        } else if !self.power_failed
            && let (Some(newest), Some(oldest)) = (missing.last(), seen.difference(&ever_read).next())
        {
            assert!(
                newest < oldest,
                "the oldest are dropped first: {missing:?} {seen:?}"
            );
        }
        self.assert_adds_up();
        // After their completion nothing remains.
        for number in std::mem::take(&mut self.in_flight).into_keys() {
            self.log.as_mut().unwrap().done(number);
        }
        let mut log = self.log.take().unwrap();
        self.sim.set_capacity(None);
        assert_eq!((log.status().records, log.status().samples), (0, 0));
        log.close().unwrap();
        assert_eq!(self.sim.segments(), [""; 0]);
    }
}

fn run(case: Case) {
    let mut world = World {
        sim: Sim::default(),
        log: None,
        records: BTreeMap::new(),
        in_flight: BTreeMap::new(),
        seen: Vec::new(),
        last: None,
        accepts: AcceptedContents::All,
        ever_read: BTreeSet::new(),
        next_id: 1,
        now: 1_000_000,
        power_failed: false,
        appended: 0,
        finished: 0,
        case,
    };
    world.open();
    let mut crash_due: Option<(bool, u64)> = None;
    for act in world.case.acts.clone() {
        if let Act::Crash { after, power, seed } = act {
            if crash_due.is_none() {
                world.sim.die_after(u64::from(after), seed);
                crash_due = Some((power, seed));
            }
            continue;
        }
        // A graceful close does not follow a crash.
        if crash_due.is_some() && matches!(act, Act::Reopen) {
            continue;
        }
        world.step(act);
        if let Some((power, seed)) = crash_due
            && world.sim.is_dead()
        {
            crash_due = None;
            world.crash(power, seed);
            world.open();
        }
        world.assert_adds_up();
    }
    let (power, seed) = crash_due.unwrap_or((false, 0));
    world.crash(power, seed);
    world.finish();
}

proptest! {
    #[test]
    fn synced_records_are_present_and_no_record_is_read_twice(case in case()) {
        run(case);
    }
}
