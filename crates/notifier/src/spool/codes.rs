//! The numbers that stand for encodings in format 1 of the spool.

use nephoscope_model::{EncodingId, JsonLines, OsloNotification};

/// The encoding for which a number stands.
pub(super) fn encoding(code: u8) -> EncodingId {
    match code {
        1 => JsonLines::ID,
        2 => OsloNotification::ID,
        other => EncodingId::stored(format!("unknown-{other}"), 0),
    }
}

/// The number that stands for an encoding; 0 for those that format 1 does not know.
pub(super) fn code(encoding: &EncodingId) -> u8 {
    [1, 2]
        .into_iter()
        .find(|code| self::encoding(*code) == *encoding)
        .unwrap_or(0)
}
