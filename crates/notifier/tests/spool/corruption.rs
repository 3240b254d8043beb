//! Corruption loses only the affected records.

use nephoscope_notifier::spool::{Log, OpenError};

use crate::reader::{options, record};
use crate::sim::Sim;

/// A log of records `0`, `1`, ... with 3 samples each, in segments of a few records.
fn filled(records: u32) -> Sim {
    let sim = Sim::default();
    let small = nephoscope_notifier::spool::LogOptions {
        segment_bytes: Some(500),
        ..options()
    };
    let mut log = Log::open(Box::new(sim.clone()), small).unwrap();
    for number in 0..records {
        let payload = format!("{number:040}");
        log.append(record(payload.as_bytes(), 3)).unwrap();
    }
    log.sync().unwrap();
    log.save_cursor().unwrap();
    sim.after_power_failure(1)
}

fn drain(log: &mut Log) -> Vec<u32> {
    let mut read = Vec::new();
    while let Some(stored) = log.take().unwrap() {
        read.push(str::from_utf8(&stored.payload).unwrap().parse().unwrap());
        log.done(stored.number);
    }
    read
}

#[test]
fn a_flipped_bit_loses_one_record() {
    // In the header of a record, in its payload, and in the header of the segment.
    for (byte, lost) in [(128 + 96 + 30, 1), (128 + 96 + 60, 1), (20, 0), (5, 0), (70, 0)] {
        let sim = filled(20);
        let segments = sim.segments();
        sim.corrupt(&segments[1], |bytes| bytes[byte] ^= 4);
        let mut log = Log::open(Box::new(sim), options()).unwrap();
        assert_eq!(log.status().records, 20);
        assert_eq!(drain(&mut log).len(), 20 - lost);
        let counts = log.counts();
        assert_eq!(
            (counts.corrupt, counts.truncated),
            (lost as u64, 0),
            "byte {byte}"
        );
        assert_eq!(
            (counts.lost_records, counts.lost_samples),
            (lost as u64, 3 * lost as u64)
        );
        assert_eq!((log.status().records, log.status().samples), (0, 0));
    }
}

#[test]
fn a_truncated_end_is_removed_and_later_records_are_safe() {
    for cut in 1..96 {
        let sim = filled(6);
        let last = sim.segments().pop().unwrap();
        let length = sim.bytes(&last).len();
        sim.corrupt(&last, |bytes| bytes.truncate(length - cut));
        let mut log = Log::open(Box::new(sim.clone()), options()).unwrap();
        assert_eq!(
            (log.counts().truncated, log.counts().truncated_bytes),
            (1, 96 - cut as u64)
        );
        log.append(record(format!("{:040}", 77).as_bytes(), 3)).unwrap();
        log.sync().unwrap();
        drop(log);
        let mut log = Log::open(Box::new(sim.after_power_failure(3)), options()).unwrap();
        assert_eq!(log.counts().truncated, 0, "truncated once");
        assert_eq!(drain(&mut log), [0, 1, 2, 3, 4, 77]);
        assert_eq!(log.counts().lost_records, 0);
    }
}

#[test]
fn a_missing_segment_is_counted() {
    let sim = filled(20);
    let segments = sim.segments();
    nephoscope_notifier::spool::Disk::remove(&sim, &segments[2]).unwrap();
    let mut log = Log::open(Box::new(sim), options()).unwrap();
    let read = drain(&mut log);
    assert_eq!(log.counts().lost_records, 20 - read.len() as u64);
    assert_eq!(log.counts().lost_samples, 3 * (20 - read.len() as u64));
    assert!(read.len() < 20 && read.len() > 10);
}

#[test]
fn a_segment_of_zeros_is_counted() {
    let sim = filled(20);
    let segments = sim.segments();
    sim.corrupt(&segments[1], |bytes| bytes.fill(0));
    let mut log = Log::open(Box::new(sim), options()).unwrap();
    let read = drain(&mut log);
    assert!(read.len() > 10);
    assert_eq!(log.counts().lost_records, 20 - read.len() as u64);
}

#[test]
fn both_slots_of_the_cursor_may_be_corrupt() {
    let sim = filled(10);
    let mut log = Log::open(Box::new(sim.clone()), options()).unwrap();
    for _ in 0..2 {
        let stored = log.take().unwrap().unwrap();
        log.done(stored.number);
    }
    log.close().unwrap();
    drop(log);
    sim.corrupt("cursor", |bytes| bytes.fill(7));
    let mut log = Log::open(Box::new(sim.clone()), options()).unwrap();
    assert_eq!(drain(&mut log).len(), 10, "delivered again, none is lost");
    log.close().unwrap();
    drop(log);
    let mut log = Log::open(Box::new(sim), options()).unwrap();
    assert_eq!(drain(&mut log), [0; 0]);
}

#[test]
fn a_later_format_is_rejected_by_name() {
    let sim = filled(3);
    let name = sim.segments().pop().unwrap();
    sim.corrupt(&name, |bytes| {
        bytes[8] = 3;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&bytes[..12]);
        hasher.update(&bytes[16..64]);
        bytes[12..16].copy_from_slice(&hasher.finalize().to_le_bytes());
    });
    let Err(error) = Log::open(Box::new(sim), options()) else {
        panic!("the log must not open");
    };
    assert!(matches!(
        error,
        OpenError::OtherVersion {
            found: 3,
            known: 2,
            ..
        }
    ));
    insta::assert_snapshot!(error, @"read the spool: `0000000000000001.spool` has format 3; this program supports formats up to 2");
}
