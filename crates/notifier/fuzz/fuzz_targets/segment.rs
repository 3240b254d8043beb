//! Reads a segment of arbitrary bytes: the reader ends, stays within the bytes, and accounts for every byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nephoscope_notifier::spool::inspect;

fuzz_target!(|input: (u8, &[u8])| {
    let (first, bytes) = input;
    let (records, corrupt) = inspect(u64::from(first), bytes);
    let whole: u64 = records.iter().map(|(_, length)| 56 + u64::from(*length)).sum();
    let rest = bytes.len() as u64 - whole - corrupt;
    assert!(
        [0, 64, 128].contains(&rest),
        "only the header of the segment is neither a record nor corrupt"
    );
});
