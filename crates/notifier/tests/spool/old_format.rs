//! Spools in format 1.

use nephoscope_model::{Encoding, JsonLines, OsloNotification, PayloadKind};
use nephoscope_notifier::spool::{AcceptedContents, Contents, Log, StoredContents};

use crate::reader::{options, record};
use crate::sim::Sim;

/// The first record of a segment of format 1.
const FIRST: usize = 64;

/// The spool that `data/README.md` describes.
fn format_1_spool() -> Sim {
    let sim = Sim::default();
    let files: [(&str, &[u8]); 4] = [
        (
            "0000000000000001.spool",
            include_bytes!("data/format-1/0000000000000001.spool"),
        ),
        (
            "0000000000000008.spool",
            include_bytes!("data/format-1/0000000000000008.spool"),
        ),
        (
            "000000000000000d.spool",
            include_bytes!("data/format-1/000000000000000d.spool"),
        ),
        ("cursor", include_bytes!("data/format-1/cursor")),
    ];
    for (name, bytes) in files {
        sim.put(name, bytes.to_vec());
    }
    sim
}

fn open(sim: &Sim) -> Log {
    Log::open(Box::new(sim.clone()), options()).unwrap()
}

/// The label of a batch, which is in each of its samples.
fn label(payload: &[u8]) -> String {
    let text = str::from_utf8(payload).unwrap();
    let after = text.split("resource_id").nth(1).unwrap();
    let label = after.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    label
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect()
}

/// Reads all records; returns their encodings and labels.
fn drain(log: &mut Log) -> Vec<String> {
    let mut read = Vec::new();
    while let Some(stored) = log.take().unwrap() {
        assert_eq!(stored.contents.kind, PayloadKind::Samples);
        read.push(format!("{} {}", stored.contents, label(&stored.payload)));
        log.done(stored.number);
    }
    assert_eq!(log.status().unread, 0);
    read
}

fn accepts(encoding: &dyn Encoding) -> AcceptedContents {
    AcceptedContents::of(Some(encoding), |_| true)
}

fn summary(log: &Log) -> Vec<String> {
    let shown = |stored: StoredContents| {
        let unsupported = if stored.unsupported { " unsupported" } else { "" };
        format!(
            "{} {} {}{unsupported}",
            stored.contents, stored.batches, stored.samples
        )
    };
    log.stored_contents().into_iter().map(shown).collect()
}

fn json(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|n| format!("json-lines/1 json-{n}")).collect()
}

fn oslo(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|n| format!("oslo-notification/1 oslo-{n}")).collect()
}

#[test]
fn a_spool_in_format_1_is_drained_and_continued_in_the_current_format() {
    let sim = format_1_spool();
    let mut log = open(&sim);
    assert_eq!(summary(&log), ["json-lines/1 6 18", "oslo-notification/1 6 18"]);
    let read = drain(&mut log);
    assert_eq!(read, [json(2..8), oslo(0..6)].concat());
    let counts = log.counts();
    assert_eq!((counts.lost_records, counts.corrupt, counts.truncated), (0, 0, 0));
    // Appended records begin a new segment.
    log.append(record(b"{\"resource_id\": \"new\"}", 1)).unwrap();
    log.close().unwrap();
    drop(log);
    assert_eq!(sim.segments(), ["000000000000000f.spool"]);
    assert_eq!(sim.bytes("000000000000000f.spool")[8], 2);
    assert_eq!(drain(&mut open(&sim)), ["json-lines/1 new"]);
}

#[test]
fn both_formats_may_be_present() {
    let sim = format_1_spool();
    let mut log = open(&sim);
    log.append(record(b"{\"resource_id\": \"new\"}", 1)).unwrap();
    log.close().unwrap();
    drop(log);
    assert_eq!(sim.segments().len(), 4);
    let mut log = open(&sim);
    assert_eq!(summary(&log), ["json-lines/1 7 19", "oslo-notification/1 6 18"]);
    let mut expected = [json(2..8), oslo(0..6)].concat();
    expected.push("json-lines/1 new".to_owned());
    assert_eq!(drain(&mut log), expected);
}

#[test]
fn publishers_read_their_own_records_from_a_mixed_segment() {
    let sim = format_1_spool();
    let mut log = open(&sim);
    log.set_accepted(&accepts(&OsloNotification), &[]);
    assert_eq!(
        summary(&log),
        ["json-lines/1 6 18 unsupported", "oslo-notification/1 6 18"]
    );
    assert_eq!(log.status().unread, 6);
    assert_eq!(drain(&mut log), oslo(0..6));
    assert_eq!(summary(&log), ["json-lines/1 6 18 unsupported"]);
    assert_eq!(
        sim.segments().len(),
        2,
        "segments of completed records are removed"
    );
    log.close().unwrap();
    drop(log);
    let mut log = open(&sim);
    log.set_accepted(&accepts(&JsonLines), &[]);
    assert_eq!(drain(&mut log), json(2..8));
    assert_eq!((log.status().records, log.status().samples), (0, 0));
}

#[test]
fn an_unknown_code_is_unsupported_and_has_a_synthetic_name() {
    let sim = format_1_spool();
    // Without the cursor, the first two records are read again.
    nephoscope_notifier::spool::Disk::remove(&sim, "cursor").unwrap();
    sim.corrupt("0000000000000001.spool", |bytes| {
        bytes[FIRST + 48] = 7;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&bytes[FIRST + 12..FIRST + 56]);
        hasher.update(&1u64.to_le_bytes());
        hasher.update(&(FIRST as u64).to_le_bytes());
        bytes[FIRST + 8..FIRST + 12].copy_from_slice(&hasher.finalize().to_le_bytes());
    });
    let mut log = open(&sim);
    log.set_accepted(&accepts(&JsonLines), &[]);
    assert_eq!(
        summary(&log),
        [
            "format-1-code-7/0 1 3 unsupported",
            "json-lines/1 7 21",
            "oslo-notification/1 6 18 unsupported"
        ]
    );
    assert_eq!(drain(&mut log), json(1..8));
    let seven = Contents {
        encoding: nephoscope_model::EncodingId::new("format-1-code-7", 0),
        kind: PayloadKind::Samples,
    };
    log.set_accepted(&AcceptedContents::Only(vec![seven]), &[]);
    assert_eq!(drain(&mut log), ["format-1-code-7/0 json-0"]);
}

#[test]
fn a_corrupt_header_loses_no_record_in_format_1() {
    let sim = format_1_spool();
    for name in sim.segments() {
        sim.corrupt(&name, |bytes| bytes[20] ^= 4);
    }
    let mut log = open(&sim);
    assert_eq!(summary(&log), ["json-lines/1 6 18", "oslo-notification/1 6 18"]);
    assert_eq!(drain(&mut log), [json(2..8), oslo(0..6)].concat());
}
