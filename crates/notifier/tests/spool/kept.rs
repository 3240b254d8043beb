//! Records that the publisher does not take: they stay, hold nothing up, and are read when a publisher comes that takes them.

use nephoscope_model::{EncodingId, PayloadKind};
use nephoscope_notifier::spool::{AppendError, Contents, Log, LogOptions, OpenError, Order, Record, Takes};

use crate::reader::options;
use crate::sim::Sim;

fn contents(name: &'static str, kind: PayloadKind) -> Contents {
    Contents {
        encoding: EncodingId::new(name, 1),
        kind,
    }
}

fn samples(name: &'static str) -> Contents {
    contents(name, PayloadKind::Samples)
}

fn only(name: &'static str) -> Takes {
    Takes::Only(vec![samples(name)])
}

fn append(log: &mut Log, contents: &Contents, label: &str) {
    let record = Record {
        contents,
        samples: 2,
        time: 0,
        payload: label.as_bytes(),
    };
    log.append(record).unwrap();
}

fn read(log: &mut Log) -> Vec<String> {
    let mut read = Vec::new();
    while let Some(stored) = log.take().unwrap() {
        read.push(String::from_utf8(stored.payload).unwrap());
        log.done(stored.number);
    }
    read
}

fn open(sim: &Sim, order: Order) -> Log {
    let options = LogOptions { order, ..options() };
    Log::open(Box::new(sim.clone()), options).unwrap()
}

#[test]
fn a_segment_has_one_encoding_and_one_kind() {
    let sim = Sim::default();
    let mut log = open(&sim, Order::Fifo);
    let all = [
        samples("a"),
        samples("b"),
        samples("b"),
        contents("b", PayloadKind::Events),
        samples("a"),
    ];
    for (number, contents) in all.iter().enumerate() {
        append(&mut log, contents, &number.to_string());
    }
    log.close().unwrap();
    drop(log);
    assert_eq!(sim.segments().len(), 4);
    let mut log = open(&sim, Order::Fifo);
    for contents in &all {
        let stored = log.take().unwrap().unwrap();
        assert_eq!(stored.contents, *contents);
        log.done(stored.number);
    }
    let named = contents("No Name", PayloadKind::Samples);
    let refused = log.append(Record {
        contents: &named,
        samples: 1,
        time: 0,
        payload: b"",
    });
    assert!(matches!(refused, Err(AppendError::Encoding { .. })));
}

#[test]
fn what_is_not_taken_holds_nothing_up_and_comes_when_it_is_taken() {
    for order in [Order::Fifo, Order::NewestFirst] {
        let sim = Sim::default();
        let mut log = open(&sim, order);
        for (contents, label) in [("a", "a0"), ("b", "b0"), ("a", "a1"), ("b", "b1")] {
            append(&mut log, &samples(contents), label);
        }
        append(&mut log, &contents("a", PayloadKind::Events), "e0");
        log.sync().unwrap();
        drop(log);
        let mut log = open(&sim.after_kill(), order);
        log.serve(&only("b"), &[]);
        assert_eq!((log.status().unread, log.status().low), (2, 2));
        append(&mut log, &samples("a"), "a2");
        append(&mut log, &samples("b"), "b2");
        let expected = match order {
            Order::Fifo => ["b0", "b1", "b2"],
            Order::NewestFirst => ["b2", "b0", "b1"],
        };
        assert_eq!(read(&mut log), expected);
        let status = log.status();
        assert_eq!((status.unread, status.records, status.samples), (0, 4, 8));
        assert_eq!(status.low, status.next, "nothing is left but what is kept");
        let held: Vec<_> = log
            .held()
            .into_iter()
            .map(|held| (held.contents, held.batches, held.kept))
            .collect();
        assert_eq!(
            held,
            [
                (samples("a"), 3, true),
                (contents("a", PayloadKind::Events), 1, true)
            ]
        );
        log.serve(&only("a"), &[]);
        assert_eq!((log.status().unread, log.status().low), (3, 1));
        assert_eq!(read(&mut log), ["a0", "a1", "a2"]);
        log.serve(&Takes::All, &[]);
        assert_eq!(read(&mut log), ["e0"]);
        assert_eq!(log.status().records, 0);
    }
}

#[test]
fn what_was_read_goes_back() {
    let sim = Sim::default();
    let mut log = open(&sim, Order::Fifo);
    for (contents, label) in [("a", "a0"), ("b", "b0"), ("a", "a1")] {
        append(&mut log, &samples(contents), label);
    }
    log.serve(&only("a"), &[]);
    let one = log.take().unwrap().unwrap();
    let other = log.take().unwrap().unwrap();
    log.serve(&only("b"), &[one.number, other.number]);
    assert_eq!(read(&mut log), ["b0"]);
    assert_eq!(log.held().len(), 1);
    // What is not given back is under way.
    log.serve(&only("a"), &[]);
    let one = log.take().unwrap().unwrap();
    log.serve(&only("a"), &[]);
    assert_eq!(read(&mut log), ["a1"]);
    log.done(one.number);
    assert_eq!((log.status().records, log.status().samples), (0, 0));
}

#[test]
fn it_goes_at_the_bound_of_size_and_by_hand_as_all_else() {
    let sim = Sim::default();
    let bounds = LogOptions {
        max_bytes: 64 << 10,
        ..options()
    };
    let mut log = Log::open(Box::new(sim), bounds).unwrap();
    append(&mut log, &samples("a"), "kept");
    log.serve(&only("b"), &[]);
    for _ in 0..100 {
        append(&mut log, &samples("b"), &"x".repeat(1000));
    }
    let counts = log.counts();
    assert!(counts.dropped_records > 0);
    assert_eq!(counts.dropped_samples, 2 * counts.dropped_records);
    assert!(log.held().iter().all(|held| !held.kept), "it was the oldest");
    append(&mut log, &samples("a"), "kept");
    assert_eq!(log.held().len(), 2);
    log.drop_older_than(1).unwrap();
    assert_eq!(log.held(), []);
    assert_eq!(log.status().records, 0);
}

/// Three records of one encoding, in one segment.
fn filled() -> (Sim, String) {
    let sim = Sim::default();
    let mut log = open(&sim, Order::Fifo);
    for label in ["a0", "a1", "a2"] {
        append(&mut log, &samples("a"), label);
    }
    log.sync().unwrap();
    drop(log);
    let name = sim.segments().remove(0);
    (sim.after_power_failure(1), name)
}

/// Changes the part of a header that says what the records are.
fn say(sim: &Sim, name: &str, with: impl FnOnce(&mut [u8])) {
    let crc = |parts: &[&[u8]]| {
        let mut hasher = crc32fast::Hasher::new();
        parts.iter().for_each(|part| hasher.update(part));
        hasher.finalize().to_le_bytes()
    };
    sim.damage(name, |bytes| {
        with(&mut bytes[64..128]);
        let second = crc(&[&bytes[64..128]]);
        bytes[40..44].copy_from_slice(&second);
        let first = crc(&[&bytes[..12], &bytes[16..64]]);
        bytes[12..16].copy_from_slice(&first);
    });
}

#[test]
fn a_segment_without_a_header_is_recognised_by_whoever_takes_it() {
    for byte in [3, 20, 42, 66, 80, 127] {
        let (sim, name) = filled();
        sim.damage(&name, |bytes| bytes[byte] ^= 1);
        let mut log = open(&sim, Order::Fifo);
        let held = log.held();
        assert!(
            held[0].contents.encoding.name().starts_with("unknown-"),
            "{held:?}"
        );
        log.serve(&only("b"), &[]);
        assert_eq!(log.status().unread, 0);
        log.serve(&only("a"), &[]);
        assert_eq!(log.held()[0].contents, samples("a"));
        assert_eq!(read(&mut log), ["a0", "a1", "a2"], "byte {byte}");
        assert_eq!(log.counts().lost_records, 0);
    }
}

#[test]
fn an_unknown_compression_or_kind_is_refused_by_name() {
    let (sim, name) = filled();
    say(&sim, &name, |_| {});
    assert_eq!(
        read(&mut open(&sim, Order::Fifo)).len(),
        3,
        "the checksums are right"
    );
    let refused = |byte: usize, value: u8| {
        let (sim, name) = filled();
        say(&sim, &name, |bytes| bytes[byte] = value);
        match Log::open(Box::new(sim), options()) {
            Err(error @ (OpenError::OtherCompression { .. } | OpenError::OtherKind { .. })) => {
                error.to_string()
            }
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("it opens"),
        }
    };
    insta::assert_snapshot!(refused(3, 1), @"read the spool: `0000000000000001.spool` has compression 1, this program reads what is not compressed");
    insta::assert_snapshot!(refused(2, 9), @"read the spool: `0000000000000001.spool` has payloads of kind 9, this program reads samples and events");
}
