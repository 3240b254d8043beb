//! Reads a segment of any bytes: it ends, within its bytes, and every byte is accounted for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nephoscope_notifier::spool::inspect;

fuzz_target!(|input: (u8, &[u8])| {
    let (first, bytes) = input;
    let (records, damaged) = inspect(u64::from(first), bytes);
    let whole: u64 = records.iter().map(|(_, length)| 56 + u64::from(*length)).sum();
    let rest = bytes.len() as u64 - whole - damaged;
    assert!([0, 64, 128].contains(&rest), "the header of the segment alone is neither, in format 1 or 2");
});
