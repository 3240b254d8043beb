//! Random histories with crashes at random points, against a model: what was synced is there, nothing is there
//! twice, and nothing was invented. `PROPTEST_CASES` says how many.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nephoscope_model::{EncodingId, PayloadKind};
use nephoscope_notifier::spool::{AppendError, Contents, Log, LogOptions, Order, Record, Takes};
use proptest::prelude::*;

use crate::sim::{Dice, Sim};

#[derive(Debug, Clone)]
enum Act {
    /// Append a record with a payload of about so many bytes.
    Append(u16),
    Sync,
    /// Read a record.
    Take,
    /// One of the records under way is done with.
    Done(u8),
    SaveCursor,
    TurnOver,
    /// Time passes, and what is too old goes.
    Expire(u16),
    /// What is older than this is dropped by hand.
    DropOlder(u16),
    /// The disk has so much room beyond what is used; or no bound.
    Room(Option<u16>),
    /// A sync that fails.
    FailedSync,
    /// A publisher comes that takes this one of the contents, or all of them; what is under way goes back.
    Serve(Option<u8>),
    /// The log is closed and opened again.
    Reopen,
    /// The process dies so many operations after this.
    Die {
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
        2 => Just(Act::TurnOver),
        1 => (0..2000u16).prop_map(Act::Expire),
        1 => (0..4000u16).prop_map(Act::DropOlder),
        1 => proptest::option::of(0..4000u16).prop_map(Act::Room),
        1 => Just(Act::FailedSync),
        2 => proptest::option::of(0..3u8).prop_map(Act::Serve),
        1 => Just(Act::Reopen),
        2 => (0..12u16, any::<bool>(), any::<u64>()).prop_map(|(after, power, seed)| Act::Die { after, power, seed }),
    ]
}

#[derive(Debug, Clone)]
struct Case {
    fifo: bool,
    /// A bound that is reached, or none.
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

/// What a record is, by its id: a few records of each in a row.
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

/// What a payload says about itself, so that nothing that was invented passes.
fn payload(id: u64, length: u16) -> Vec<u8> {
    let mut bytes = id.to_le_bytes().to_vec();
    let mut dice = Dice(id);
    while bytes.len() < usize::from(length) {
        match dice.below(8) {
            // What looks like the beginning of a record.
            0 => bytes.extend_from_slice(&[0xf5, 0x9e, b'n', b'p', b's', 0xc1, 0xfe, 0xa7]),
            1 => bytes.extend_from_slice(&[0; 40]),
            _ => bytes.extend_from_slice(&dice.roll().to_le_bytes()),
        }
    }
    bytes
}

#[derive(Debug)]
struct Known {
    length: u16,
    time: i64,
    samples: u32,
    /// Power failures leave it.
    synced: bool,
    /// It was appended, and no power failure came since.
    there: bool,
    /// A sync failed that should have made it durable: no later one does.
    hopeless: bool,
    /// Done with, or dropped by hand: it may come again after a crash, and need not.
    done: bool,
    /// So since the log was opened.
    done_now: bool,
    /// That was written down for good: it must not come again.
    written_down: bool,
}

struct World {
    case: Case,
    sim: Sim,
    log: Option<Log>,
    records: BTreeMap<u64, Known>,
    /// Under way, by number.
    taken: BTreeMap<u64, u64>,
    /// Read since the log was opened, in order.
    seen: Vec<u64>,
    /// The last of them, since another publisher came.
    last: Option<u64>,
    takes: Takes,
    /// Read at any time: what is under way is not dropped, however old it is.
    ever_taken: BTreeSet<u64>,
    next_id: u64,
    now: i64,
    power_failed: bool,
    /// Records that the log had when it was opened, and that were appended since.
    appended: u64,
    /// Records that were done with since it was opened.
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
        self.log = Some(
            Log::open(Box::new(self.sim.clone()), self.options()).expect("nothing keeps it from opening"),
        );
        self.taken.clear();
        self.seen.clear();
        (self.last, self.takes) = (None, Takes::All);
        self.appended = self.log.as_ref().unwrap().status().records;
        self.finished = 0;
    }

    /// Records that the log must still have, if nothing went at a bound.
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
        let held = log.held();
        assert_eq!(
            held.iter().map(|held| held.batches).sum::<u64>(),
            log.status().records
        );
        assert_eq!(
            held.iter().map(|held| held.samples).sum::<u64>(),
            log.status().samples
        );
        let deliverable = held.iter().filter(|held| !held.kept);
        let deliverable = deliverable.map(|held| held.batches).sum::<u64>();
        assert!(log.status().unread <= deliverable);
    }

    fn crash(&mut self, power: bool, seed: u64) {
        self.log = None;
        self.sim = if power {
            self.power_failed = true;
            for known in self.records.values_mut() {
                known.there = known.synced;
            }
            self.sim.after_power_failure(seed)
        } else {
            self.sim.after_kill()
        };
        self.records.values_mut().for_each(|known| known.done_now = false);
    }

    fn synced(&mut self) {
        for known in self.records.values_mut() {
            known.synced |= known.there && !known.hopeless;
        }
    }

    fn written_down(&mut self) {
        for known in self.records.values_mut() {
            known.written_down |= known.done_now;
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
            there: appended.is_ok(),
            hopeless: false,
            done: false,
            done_now: false,
            written_down: false,
        };
        match appended {
            Ok(_) => {
                self.appended += 1;
                self.records.insert(id, known);
            }
            Err(AppendError::DiskFull) => {}
            Err(error @ (AppendError::TooLarge { .. } | AppendError::Encoding { .. })) => panic!("{error}"),
            // It may be there or not: who was told of a failure counts on nothing.
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
        let known = self.records.get(&id).expect("nothing is invented");
        assert_eq!(stored.payload, payload(id, known.length));
        assert_eq!(stored.samples, known.samples);
        // A power failure may take the header of a segment of which nothing was synced.
        let nameless = !known.synced && stored.contents.encoding.name().starts_with("unknown-");
        assert!(
            stored.contents == *contents(id) || nameless,
            "{:?}",
            stored.contents
        );
        assert!(self.takes.includes(&stored.contents), "nothing else comes");
        assert!(!known.done_now, "what is dropped does not come");
        assert!(!known.written_down, "what is done with does not come again");
        assert!(!self.seen.contains(&id), "nothing comes twice");
        if self.case.fifo {
            assert!(self.last.is_none_or(|last| last < id), "the order is kept");
        }
        self.seen.push(id);
        self.last = Some(id);
        self.ever_taken.insert(id);
        self.taken.insert(stored.number, id);
        true
    }

    fn done(&mut self, which: u8) {
        let count = self.taken.len();
        if count == 0 {
            return;
        }
        let number = *self.taken.keys().nth(usize::from(which) % count).unwrap();
        let id = self.taken.remove(&number).unwrap();
        self.log.as_mut().unwrap().done(number);
        let known = self.records.get_mut(&id).unwrap();
        (known.done, known.done_now) = (true, true);
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
                    self.written_down();
                }
            }
            Act::TurnOver => self.log.as_mut().unwrap().turn_over(),
            Act::Expire(passed) => {
                self.now += i64::from(passed);
                self.log.as_mut().unwrap().expire(self.now);
            }
            Act::DropOlder(age) => {
                let time = self.now - i64::from(age);
                let dropped = self.log.as_mut().unwrap().drop_older_than(time).is_ok();
                for (id, known) in &mut self.records {
                    // What is under way goes on; its segment may be gone, so that a crash takes it.
                    let under_way = self.taken.values().any(|taken| taken == id);
                    if known.there && known.time < time {
                        known.done = true;
                        known.done_now |= dropped && !under_way;
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
                        known.hopeless |= !known.synced;
                    }
                }
            }
            Act::Serve(which) => {
                self.takes = which.map_or(Takes::All, |which| {
                    Takes::Only(vec![contents(u64::from(which) * 4).clone()])
                });
                let returned: Vec<u64> = self.taken.keys().copied().collect();
                self.log.as_mut().unwrap().serve(&self.takes, &returned);
                for id in std::mem::take(&mut self.taken).into_values() {
                    self.seen.retain(|seen| *seen != id);
                }
                self.last = None;
            }
            Act::Reopen => {
                let mut log = self.log.take().unwrap();
                if log.close().is_ok() {
                    self.synced();
                    self.written_down();
                }
                drop(log);
                self.crash(false, 0);
                self.open();
            }
            Act::Die { .. } => unreachable!("by the caller"),
        }
    }

    /// Reads everything that is left, and compares it with what must be.
    fn finish(mut self) {
        let ever_taken = std::mem::take(&mut self.ever_taken);
        self.open();
        while self.take() {}
        let seen: BTreeSet<u64> = self.seen.iter().copied().collect();
        let missing: Vec<u64> = self
            .records
            .iter()
            .filter(|(id, known)| known.there && !known.done && !seen.contains(id))
            .map(|(id, _)| *id)
            .collect();
        if !self.case.bounded && !self.case.max_age {
            assert_eq!(missing, [0; 0], "what was synced is there");
        } else if !self.power_failed
            && let (Some(newest), Some(oldest)) = (missing.last(), seen.difference(&ever_taken).next())
        {
            assert!(newest < oldest, "the oldest go first: {missing:?} {seen:?}");
        }
        self.assert_adds_up();
        // Done with, nothing is left of them.
        for number in std::mem::take(&mut self.taken).into_keys() {
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
        taken: BTreeMap::new(),
        seen: Vec::new(),
        last: None,
        takes: Takes::All,
        ever_taken: BTreeSet::new(),
        next_id: 1,
        now: 1_000_000,
        power_failed: false,
        appended: 0,
        finished: 0,
        case,
    };
    world.open();
    let mut dying: Option<(bool, u64)> = None;
    for act in world.case.acts.clone() {
        if let Act::Die { after, power, seed } = act {
            if dying.is_none() {
                world.sim.die_after(u64::from(after), seed);
                dying = Some((power, seed));
            }
            continue;
        }
        // A graceful end is not what follows a death.
        if dying.is_some() && matches!(act, Act::Reopen) {
            continue;
        }
        world.step(act);
        if let Some((power, seed)) = dying
            && world.sim.is_dead()
        {
            dying = None;
            world.crash(power, seed);
            world.open();
        }
        world.assert_adds_up();
    }
    let (power, seed) = dying.unwrap_or((false, 0));
    world.crash(power, seed);
    world.finish();
}

proptest! {
    #[test]
    fn what_was_synced_is_there_and_nothing_twice(case in case()) {
        run(case);
    }
}
