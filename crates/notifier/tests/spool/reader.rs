//! The reader of segments accepts any bytes.

use nephoscope_model::{EncodingId, PayloadKind};
use nephoscope_notifier::spool::{Contents, Log, LogOptions, Order, Record, inspect};
use proptest::prelude::*;

use crate::sim::Sim;

const MARKER: [u8; 8] = [0xf5, 0x9e, b'n', b'p', b's', 0xc1, 0xfe, 0xa7];

/// The length of a segment's header in bytes; 64 in format 1.
const HEADER: usize = 128;

static CONTENTS: Contents = Contents {
    encoding: EncodingId::new("json-lines", 1),
    kind: PayloadKind::Samples,
};

pub(crate) fn options() -> LogOptions {
    LogOptions {
        max_bytes: 1 << 30,
        max_age: None,
        order: Order::Fifo,
        durable: true,
        segment_bytes: None,
    }
}

pub(crate) fn record(payload: &[u8], samples: u32) -> Record<'_> {
    Record {
        contents: &CONTENTS,
        samples,
        time: 0,
        payload,
    }
}

/// The bytes of a segment with this number of records.
fn segment(records: u64) -> Vec<u8> {
    let sim = Sim::default();
    let mut log = Log::open(Box::new(sim.clone()), options()).unwrap();
    for number in 1..=records {
        let payload = vec![number as u8; number as usize % 50];
        log.append(record(&payload, 1)).unwrap();
    }
    sim.bytes(&sim.segments()[0])
}

fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        Just(MARKER.to_vec()),
        Just(vec![0; 64]),
        (1..5u64).prop_map(segment),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn random_bytes_are_read_to_the_end(bytes in garbage(), first in 0..3u64) {
        let (records, damaged) = inspect(first, &bytes);
        let whole: u64 = records.iter().map(|(_, length)| 56 + u64::from(*length)).sum();
        let headers = [HEADER, 64].into_iter().filter_map(|length| bytes.get(..length));
        let header = headers.into_iter().find(|header| inspect(first, header).1 == 0).map_or(0, |header| header.len() as u64);
        prop_assert_eq!(header + whole + damaged, bytes.len() as u64, "every byte is accounted for");
    }

    #[test]
    fn a_log_opens_on_random_files(files in proptest::collection::vec((0..6u64, garbage()), 0..4), cursor in proptest::option::of(garbage())) {
        let sim = Sim::default();
        for (first, bytes) in files {
            sim.put(&format!("{first:016x}.spool"), bytes);
        }
        if let Some(cursor) = cursor {
            sim.put("cursor", cursor);
        }
        let mut log = Log::open(Box::new(sim.clone()), options()).unwrap();
        while let Some(stored) = log.take().unwrap() {
            log.done(stored.number);
        }
        log.append(record(b"new", 1)).unwrap();
        prop_assert_eq!(log.take().unwrap().unwrap().payload, b"new");
        log.close().unwrap();
    }

    #[test]
    fn records_next_to_corrupt_bytes_are_read(at in 0..4000usize, length in 1..200usize, value in any::<u8>()) {
        let whole = segment(60);
        let mut bytes = whole.clone();
        let mut places = Vec::new();
        let mut start = HEADER;
        for number in 1..=60u64 {
            let end = start + 56 + number as usize % 50;
            places.push((number, start..end));
            start = end;
        }
        let at = at % bytes.len();
        let end = (at + length).min(bytes.len());
        bytes[at..end].fill(value);
        let (records, _) = inspect(1, &bytes);
        let read: Vec<u64> = records.iter().map(|(number, _)| *number).collect();
        let untouched: Vec<u64> = places
            .iter()
            .filter(|(_, place)| bytes[place.clone()] == whole[place.clone()])
            .map(|(number, _)| *number)
            .collect();
        prop_assert_eq!(read, untouched);
    }
}

/// A payload that contains a valid record is not read as one when the bytes around it are corrupt.
#[test]
fn a_record_inside_a_payload_is_not_a_record() {
    let inner = segment(1);
    let sim = Sim::default();
    let mut log = Log::open(Box::new(sim.clone()), options()).unwrap();
    log.append(record(&inner, 1)).unwrap();
    log.append(record(b"after", 1)).unwrap();
    let mut bytes = sim.bytes(&sim.segments()[0]);
    bytes[HEADER + 20] ^= 1;
    assert_eq!(inspect(1, &bytes).0, [(2, 5)]);
}
