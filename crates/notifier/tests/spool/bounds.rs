//! Limits of size and age, a full disk, and the order of delivery.

use std::time::Duration;

use nephoscope_notifier::spool::{AppendError, Log, LogOptions, Order, Record};

use crate::reader::{options, record};
use crate::sim::Sim;

fn labels(log: &mut Log) -> Vec<String> {
    let mut read = Vec::new();
    while let Some(stored) = log.take().unwrap() {
        read.push(String::from_utf8(stored.payload).unwrap());
        log.done(stored.number);
    }
    read
}

#[test]
fn the_oldest_records_are_dropped_at_the_size_limit_and_counted() {
    let sim = Sim::default();
    let bounds = LogOptions {
        max_bytes: 64 << 10,
        ..options()
    };
    let mut log = Log::open(Box::new(sim.clone()), bounds.clone()).unwrap();
    let payload = [7; 1000];
    for _ in 0..200 {
        log.append(record(&payload, 50)).unwrap();
        assert!(log.status().bytes <= 64 << 10);
        assert!(sim.used() <= (64 << 10) + 16_384, "with the cursor");
    }
    let (status, counts) = (log.status(), log.counts());
    assert_eq!(status.records + counts.dropped_records, 200);
    assert_eq!(status.samples + counts.dropped_samples, 200 * 50);
    assert!(status.bytes > 48 << 10, "at most one segment is dropped at once");
    let too_large = vec![0; 64 << 10];
    assert!(matches!(
        log.append(record(&too_large, 1)),
        Err(AppendError::TooLarge { bytes: 65_536 })
    ));
    assert_eq!(
        log.status(),
        status,
        "nothing is dropped for a record that cannot fit"
    );
}

#[test]
fn records_beyond_the_age_limit_are_dropped_and_counted() {
    let sim = Sim::default();
    let bounds = LogOptions {
        max_age: Some(Duration::from_secs(60)),
        segment_bytes: Some(300),
        ..options()
    };
    let mut log = Log::open(Box::new(sim), bounds).unwrap();
    for second in 0..100i64 {
        let made = Record {
            time: second * 1000,
            ..record(b"one sample", 1)
        };
        log.append(made).unwrap();
    }
    log.expire(99_500);
    let mut oldest = None;
    while let Some(stored) = log.take().unwrap() {
        oldest.get_or_insert(stored.time);
        log.done(stored.number);
    }
    assert_eq!(oldest, Some(40_000));
    assert_eq!(
        (log.counts().dropped_records, log.counts().dropped_samples),
        (40, 40)
    );
    assert_eq!(log.status().records, 0);
}

#[test]
fn a_disk_full_of_one_segment_has_room_again_when_its_records_are_completed() {
    let sim = Sim::default();
    let mut log = Log::open(Box::new(sim.clone()), options()).unwrap();
    sim.set_capacity(Some(sim.used() + 10_000));
    let mut stored = 0;
    while log.append(record(&[7; 1000], 1)).is_ok() {
        stored += 1;
    }
    assert!(stored > 5);
    for _ in 0..stored {
        let number = log.take().unwrap().unwrap().number;
        log.done(number);
    }
    log.append(record(&[7; 1000], 1)).unwrap();
    log.append(record(&[7; 1000], 1)).unwrap();
    assert_eq!(log.status().records, 2);
}

#[test]
fn a_clock_that_was_ahead_does_not_expire_later_records() {
    let bounds = LogOptions {
        max_age: Some(Duration::from_secs(60)),
        ..options()
    };
    let mut log = Log::open(Box::new(Sim::default()), bounds).unwrap();
    log.expire(1_000_000_000);
    log.expire(100_000);
    let made = Record {
        time: 100_000,
        ..record(b"one sample", 1)
    };
    log.append(made).unwrap();
    assert!(log.take().unwrap().is_some());
    assert_eq!(log.counts().dropped_records, 0);
}

#[test]
fn manual_drops_apply_to_single_records() {
    for segment_bytes in [None, Some(300)] {
        let bounds = LogOptions {
            segment_bytes,
            ..options()
        };
        let mut log = Log::open(Box::new(Sim::default()), bounds).unwrap();
        for second in 0..100i64 {
            let made = Record {
                time: second * 1000,
                ..record(b"one sample", 2)
            };
            log.append(made).unwrap();
        }
        // In flight, so that it is not dropped.
        let first = log.take().unwrap().unwrap();
        log.drop_older_than(42_000).unwrap();
        let (counts, status) = (log.counts(), log.status());
        assert_eq!((counts.dropped_records, counts.dropped_samples), (41, 82));
        assert_eq!((status.records, status.samples), (59, 118));
        log.done(first.number);
        let next = log.take().unwrap().unwrap();
        assert_eq!(next.time, 42_000);
        // No older record is left.
        log.drop_older_than(42_000).unwrap();
        assert_eq!(log.counts(), counts);
        let low = log.status().low;
        assert_eq!(low, next.number, "all earlier records are completed");
        assert_eq!(log.status().next, 101);
    }
}

#[test]
fn a_record_in_flight_is_not_dropped() {
    let bounds = LogOptions {
        max_bytes: 64 << 10,
        ..options()
    };
    let mut log = Log::open(Box::new(Sim::default()), bounds).unwrap();
    log.append(record(&[1; 1000], 5)).unwrap();
    let stored = log.take().unwrap().unwrap();
    for _ in 0..100 {
        log.append(record(&[2; 1000], 1)).unwrap();
    }
    let (status, counts) = (log.status(), log.counts());
    assert_eq!(counts.dropped_records + status.records, 101);
    assert_eq!(counts.dropped_samples + status.samples, 105);
    assert_eq!(
        counts.dropped_samples, counts.dropped_records,
        "not the record in flight"
    );
    log.done(stored.number);
    assert_eq!(log.status().records, status.records - 1);
    assert_eq!(log.counts(), counts);
}

#[test]
fn a_full_disk_is_reported_and_recovered_from() {
    let sim = Sim::default();
    let bounds = LogOptions {
        segment_bytes: Some(2000),
        ..options()
    };
    let mut log = Log::open(Box::new(sim.clone()), bounds.clone()).unwrap();
    sim.set_capacity(Some(sim.used() + 10_000));
    let mut stored = 0;
    let rejected = loop {
        match log.append(record(&[9; 300], 1)) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    insta::assert_snapshot!(rejected, @"append to the spool: the disk is full");
    assert_eq!(log.status().records, stored);
    log.sync().unwrap();
    // The cursor can still be written, and reading frees space.
    for _ in 0..stored / 2 {
        let read = log.take().unwrap().unwrap();
        log.done(read.number);
    }
    log.save_cursor().unwrap();
    log.append(record(&[9; 300], 1)).unwrap();
    // The same applies after a restart on a full disk.
    sim.set_capacity(Some(sim.used()));
    log.close().unwrap();
    drop(log);
    let mut log = Log::open(Box::new(sim.after_kill()), bounds).unwrap();
    assert_eq!(log.status().records, stored - stored / 2 + 1);
    while let Some(read) = log.take().unwrap() {
        log.done(read.number);
    }
    log.save_cursor().unwrap();
    log.append(record(&[9; 300], 1)).unwrap();
}

#[test]
fn a_log_is_created_on_a_full_disk() {
    let sim = Sim::default();
    sim.set_capacity(Some(0));
    let mut log = Log::open(Box::new(sim.clone()), options()).unwrap();
    assert!(matches!(log.append(record(b"a", 1)), Err(AppendError::DiskFull)));
    sim.set_capacity(None);
    log.append(record(b"a", 1)).unwrap();
    log.sync().unwrap();
    log.save_cursor().unwrap();
    let mut log = Log::open(Box::new(sim.after_power_failure(0)), options()).unwrap();
    assert_eq!(labels(&mut log), ["a"]);
}

#[test]
fn the_order_is_newest_first_or_fifo() {
    for (order, expected) in [
        (Order::NewestFirst, ["d", "e", "c", "a", "b"]),
        (Order::Fifo, ["a", "b", "c", "d", "e"]),
    ] {
        let sim = Sim::default();
        let bounds = LogOptions { order, ..options() };
        let append = |log: &mut Log, label: &str| log.append(record(label.as_bytes(), 1)).unwrap();
        let mut log = Log::open(Box::new(sim.clone()), bounds.clone()).unwrap();
        append(&mut log, "a");
        append(&mut log, "b");
        log.sync().unwrap();
        drop(log);
        // A restart turns records into backlog.
        let mut log = Log::open(Box::new(sim.after_kill()), bounds).unwrap();
        append(&mut log, "c");
        let first = log.take().unwrap().unwrap();
        assert_eq!(first.payload, if order == Order::Fifo { b"a" } else { b"c" });
        // So does an outage.
        log.move_to_backlog();
        append(&mut log, "d");
        append(&mut log, "e");
        let mut read = vec![String::from_utf8(first.payload).unwrap()];
        read.extend(labels(&mut log));
        let expected: Vec<_> = match order {
            Order::Fifo => expected.to_vec(),
            // `c` is in flight.
            Order::NewestFirst => vec!["c", "d", "e", "a", "b"],
        };
        assert_eq!(read, expected);
        log.done(first.number);
        assert_eq!(log.status().records, 0);
    }
}

#[test]
fn a_failed_sync_is_reported_once_and_later_records_are_safe() {
    let sim = Sim::default();
    let mut log = Log::open(Box::new(sim.clone()), options()).unwrap();
    log.append(record(b"doubtful", 1)).unwrap();
    sim.fail_syncs(true);
    assert!(log.sync().is_err());
    sim.fail_syncs(false);
    log.append(record(b"safe", 1)).unwrap();
    log.sync().unwrap();
    for seed in 0..20 {
        let mut log = Log::open(Box::new(sim.after_power_failure(seed)), options()).unwrap();
        assert!(labels(&mut log).contains(&"safe".to_owned()));
    }
}
