//! Spools that the version before wrote, in format 1.

use nephoscope_model::{Encoding, JsonLines, OsloNotification, PayloadKind};
use nephoscope_notifier::spool::{Contents, Held, Log, Takes};

use crate::reader::{options, record};
use crate::sim::Sim;

/// The first record of a segment of format 1.
const FIRST: usize = 64;

/// What `data/README.md` describes.
fn written_before() -> Sim {
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

/// Everything that is read, with its encoding.
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

fn takes(encoding: &dyn Encoding) -> Takes {
    Takes::of(Some(encoding), |_| true)
}

fn held(log: &Log) -> Vec<String> {
    let shown = |held: Held| {
        let kept = if held.kept { " kept" } else { "" };
        format!("{} {} {}{kept}", held.contents, held.batches, held.samples)
    };
    log.held().into_iter().map(shown).collect()
}

fn json(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|n| format!("json-lines/1 json-{n}")).collect()
}

fn oslo(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|n| format!("oslo-notification/1 oslo-{n}")).collect()
}

#[test]
fn it_is_drained_and_goes_on_in_the_present_format() {
    let sim = written_before();
    let mut log = open(&sim);
    assert_eq!(held(&log), ["json-lines/1 6 18", "oslo-notification/1 6 18"]);
    let read = drain(&mut log);
    assert_eq!(read, [json(2..8), oslo(0..6)].concat());
    let counts = log.counts();
    assert_eq!((counts.lost_records, counts.damaged, counts.torn), (0, 0, 0));
    // Records that are appended begin a segment of their own.
    log.append(record(b"{\"resource_id\": \"new\"}", 1)).unwrap();
    log.close().unwrap();
    drop(log);
    assert_eq!(sim.segments(), ["000000000000000f.spool"]);
    assert_eq!(sim.bytes("000000000000000f.spool")[8], 2);
    assert_eq!(drain(&mut open(&sim)), ["json-lines/1 new"]);
}

#[test]
fn both_formats_are_there_at_once() {
    let sim = written_before();
    let mut log = open(&sim);
    log.append(record(b"{\"resource_id\": \"new\"}", 1)).unwrap();
    log.close().unwrap();
    drop(log);
    assert_eq!(sim.segments().len(), 4);
    let mut log = open(&sim);
    assert_eq!(held(&log), ["json-lines/1 7 19", "oslo-notification/1 6 18"]);
    let mut expected = [json(2..8), oslo(0..6)].concat();
    expected.push("json-lines/1 new".to_owned());
    assert_eq!(drain(&mut log), expected);
}

#[test]
fn each_publisher_gets_its_own_also_out_of_one_segment() {
    let sim = written_before();
    let mut log = open(&sim);
    log.serve(&takes(&OsloNotification), &[]);
    assert_eq!(held(&log), ["json-lines/1 6 18 kept", "oslo-notification/1 6 18"]);
    assert_eq!(log.status().unread, 6);
    assert_eq!(drain(&mut log), oslo(0..6));
    assert_eq!(held(&log), ["json-lines/1 6 18 kept"]);
    assert_eq!(sim.segments().len(), 2, "what is done with goes");
    log.close().unwrap();
    drop(log);
    let mut log = open(&sim);
    log.serve(&takes(&JsonLines), &[]);
    assert_eq!(drain(&mut log), json(2..8));
    assert_eq!((log.status().records, log.status().samples), (0, 0));
}

#[test]
fn an_unknown_code_is_kept_by_a_name_of_its_own() {
    let sim = written_before();
    // Without it, the first two records come again.
    nephoscope_notifier::spool::Disk::remove(&sim, "cursor").unwrap();
    sim.damage("0000000000000001.spool", |bytes| {
        bytes[FIRST + 48] = 7;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&bytes[FIRST + 12..FIRST + 56]);
        hasher.update(&1u64.to_le_bytes());
        hasher.update(&(FIRST as u64).to_le_bytes());
        bytes[FIRST + 8..FIRST + 12].copy_from_slice(&hasher.finalize().to_le_bytes());
    });
    let mut log = open(&sim);
    log.serve(&takes(&JsonLines), &[]);
    assert_eq!(
        held(&log),
        [
            "format-1-code-7/0 1 3 kept",
            "json-lines/1 7 21",
            "oslo-notification/1 6 18 kept"
        ]
    );
    assert_eq!(drain(&mut log), json(1..8));
    let seven = Contents {
        encoding: nephoscope_model::EncodingId::new("format-1-code-7", 0),
        kind: PayloadKind::Samples,
    };
    log.serve(&Takes::Only(vec![seven]), &[]);
    assert_eq!(drain(&mut log), ["format-1-code-7/0 json-0"]);
}

#[test]
fn a_damaged_header_costs_nothing_there_either() {
    let sim = written_before();
    for name in sim.segments() {
        sim.damage(&name, |bytes| bytes[20] ^= 4);
    }
    let mut log = open(&sim);
    assert_eq!(held(&log), ["json-lines/1 6 18", "oslo-notification/1 6 18"]);
    assert_eq!(drain(&mut log), [json(2..8), oslo(0..6)].concat());
}
