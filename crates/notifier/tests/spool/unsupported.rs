//! Records with unsupported contents: they stay, delay no others, and are read when a publisher accepts them.

use nephoscope_model::{EncodingId, PayloadKind};
use nephoscope_notifier::spool::{
    AcceptedContents, AppendError, Contents, Log, LogOptions, OpenError, Order, Record,
};

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

fn only(name: &'static str) -> AcceptedContents {
    AcceptedContents::Only(vec![samples(name)])
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
    let rejected = log.append(Record {
        contents: &named,
        samples: 1,
        time: 0,
        payload: b"",
    });
    assert!(matches!(rejected, Err(AppendError::Encoding { .. })));
}

#[test]
fn unsupported_records_delay_no_others_and_are_read_when_they_are_accepted() {
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
        log.set_accepted(&only("b"), &[]);
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
        assert_eq!(status.low, status.next, "only unsupported records are left");
        let all: Vec<_> = log
            .stored_contents()
            .into_iter()
            .map(|stored| (stored.contents, stored.batches, stored.unsupported))
            .collect();
        assert_eq!(
            all,
            [
                (samples("a"), 3, true),
                (contents("a", PayloadKind::Events), 1, true)
            ]
        );
        log.set_accepted(&only("a"), &[]);
        assert_eq!((log.status().unread, log.status().low), (3, 1));
        assert_eq!(read(&mut log), ["a0", "a1", "a2"]);
        log.set_accepted(&AcceptedContents::All, &[]);
        assert_eq!(read(&mut log), ["e0"]);
        assert_eq!(log.status().records, 0);
    }
}

#[test]
fn returned_records_are_read_again() {
    let sim = Sim::default();
    let mut log = open(&sim, Order::Fifo);
    for (contents, label) in [("a", "a0"), ("b", "b0"), ("a", "a1")] {
        append(&mut log, &samples(contents), label);
    }
    log.set_accepted(&only("a"), &[]);
    let one = log.take().unwrap().unwrap();
    let other = log.take().unwrap().unwrap();
    log.set_accepted(&only("b"), &[one.number, other.number]);
    assert_eq!(read(&mut log), ["b0"]);
    assert_eq!(log.stored_contents().len(), 1);
    // A record that is not returned is in flight.
    log.set_accepted(&only("a"), &[]);
    let one = log.take().unwrap().unwrap();
    log.set_accepted(&only("a"), &[]);
    assert_eq!(read(&mut log), ["a1"]);
    log.done(one.number);
    assert_eq!((log.status().records, log.status().samples), (0, 0));
}

#[test]
fn unsupported_records_are_dropped_at_the_size_limit_and_manually() {
    let sim = Sim::default();
    let bounds = LogOptions {
        max_bytes: 64 << 10,
        ..options()
    };
    let mut log = Log::open(Box::new(sim), bounds).unwrap();
    append(&mut log, &samples("a"), "unsupported");
    log.set_accepted(&only("b"), &[]);
    for _ in 0..100 {
        append(&mut log, &samples("b"), &"x".repeat(1000));
    }
    let counts = log.counts();
    assert!(counts.dropped_records > 0);
    assert_eq!(counts.dropped_samples, 2 * counts.dropped_records);
    assert!(
        log.stored_contents().iter().all(|stored| !stored.unsupported),
        "it was the oldest record"
    );
    append(&mut log, &samples("a"), "unsupported");
    assert_eq!(log.stored_contents().len(), 2);
    log.drop_older_than(1).unwrap();
    assert_eq!(log.stored_contents(), []);
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

/// Changes the contents in a header.
fn change_contents(sim: &Sim, name: &str, with: impl FnOnce(&mut [u8])) {
    let crc = |parts: &[&[u8]]| {
        let mut hasher = crc32fast::Hasher::new();
        parts.iter().for_each(|part| hasher.update(part));
        hasher.finalize().to_le_bytes()
    };
    sim.corrupt(name, |bytes| {
        with(&mut bytes[64..128]);
        let second = crc(&[&bytes[64..128]]);
        bytes[40..44].copy_from_slice(&second);
        let first = crc(&[&bytes[..12], &bytes[16..64]]);
        bytes[12..16].copy_from_slice(&first);
    });
}

#[test]
fn a_segment_with_a_corrupt_header_is_identified_when_its_contents_are_accepted() {
    for byte in [3, 20, 42, 66, 80, 127] {
        let (sim, name) = filled();
        sim.corrupt(&name, |bytes| bytes[byte] ^= 1);
        let mut log = open(&sim, Order::Fifo);
        let contents = log.stored_contents();
        assert!(
            contents[0].contents.encoding.name().starts_with("unknown-"),
            "{contents:?}"
        );
        log.set_accepted(&only("b"), &[]);
        assert_eq!(log.status().unread, 0);
        log.set_accepted(&only("a"), &[]);
        assert_eq!(log.stored_contents()[0].contents, samples("a"));
        assert_eq!(read(&mut log), ["a0", "a1", "a2"], "byte {byte}");
        assert_eq!(log.counts().lost_records, 0);
    }
}

#[test]
fn an_unknown_compression_or_kind_is_rejected_by_name() {
    let (sim, name) = filled();
    change_contents(&sim, &name, |_| {});
    assert_eq!(
        read(&mut open(&sim, Order::Fifo)).len(),
        3,
        "the checksums are valid"
    );
    let rejected = |byte: usize, value: u8| {
        let (sim, name) = filled();
        change_contents(&sim, &name, |bytes| bytes[byte] = value);
        match Log::open(Box::new(sim), options()) {
            Err(error @ (OpenError::OtherCompression { .. } | OpenError::OtherKind { .. })) => {
                error.to_string()
            }
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("the log must not open"),
        }
    };
    insta::assert_snapshot!(rejected(3, 1), @"read the spool: `0000000000000001.spool` has compression 1; this program supports uncompressed payloads");
    insta::assert_snapshot!(rejected(2, 9), @"read the spool: `0000000000000001.spool` has payloads of kind 9; this program supports samples and events");
}
