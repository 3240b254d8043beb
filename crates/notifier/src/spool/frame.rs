//! A record in a segment: a header that can be found after corrupt bytes, and the payload.
//!
//! `docs/spool-format.md` describes the bytes.

use super::bytes::{checksum, i64_at, u32_at, u64_at};

/// The start of a record. Three of its bytes do not occur in UTF-8, so that no textual payload contains it.
pub(super) const MARKER: [u8; 8] = [0xf5, 0x9e, b'n', b'p', b's', 0xc1, 0xfe, 0xa7];

/// The length of a record's header in bytes.
pub(super) const FRAME_LEN: usize = 56;

/// The largest payload in bytes. A record with a larger length is corrupt.
pub const MAX_PAYLOAD: usize = 64 << 20;

/// The header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// The record's number, which is greater than that of every earlier record.
    pub(super) number: u64,
    /// The number of samples in all earlier records.
    pub(super) samples_before: u64,
    /// Its creation, in milliseconds since 1970 UTC.
    pub(super) time: i64,
    /// The number of its samples or events.
    pub(super) samples: u32,
    /// The length of the payload in bytes.
    pub(super) length: u32,
    /// The mark of its contents; in format 1 the code of its encoding.
    pub(super) mark: u32,
    /// CRC-32 of the payload.
    pub(super) payload_checksum: u32,
}

impl Frame {
    /// The length of header and payload in bytes.
    pub(super) fn whole_len(&self) -> u64 {
        FRAME_LEN as u64 + u64::from(self.length)
    }

    /// Appends the header for a record at `offset` of `segment`.
    pub(super) fn write(&self, segment: u64, offset: u64, out: &mut Vec<u8>) {
        let mut fields = [0; FRAME_LEN - 12];
        let parts: [&[u8]; 7] = [
            &self.payload_checksum.to_le_bytes(),
            &self.length.to_le_bytes(),
            &self.samples.to_le_bytes(),
            &self.number.to_le_bytes(),
            &self.samples_before.to_le_bytes(),
            &self.time.to_le_bytes(),
            &self.mark.to_le_bytes(),
        ];
        for (place, byte) in fields.iter_mut().zip(parts.iter().copied().flatten()) {
            *place = *byte;
        }
        out.extend_from_slice(&MARKER);
        out.extend_from_slice(&header_checksum(&fields, segment, offset).to_le_bytes());
        out.extend_from_slice(&fields);
    }

    /// Decodes the header at the start of `bytes`, if it is valid and was written for this segment and offset.
    pub(super) fn read(bytes: &[u8], segment: u64, offset: u64) -> Option<Self> {
        let header = bytes.get(..FRAME_LEN)?;
        let fields = header.strip_prefix(&MARKER)?.get(4..)?;
        if u32_at(header, 8) != header_checksum(fields, segment, offset) {
            return None;
        }
        let frame = Self {
            payload_checksum: u32_at(fields, 0),
            length: u32_at(fields, 4),
            samples: u32_at(fields, 8),
            number: u64_at(fields, 12),
            samples_before: u64_at(fields, 20),
            time: i64_at(fields, 28),
            mark: u32_at(fields, 36),
        };
        (frame.length as usize <= MAX_PAYLOAD).then_some(frame)
    }
}

/// The checksum covers the position: a copy of a record elsewhere, in a payload or from an earlier file, is not a record.
fn header_checksum(fields: &[u8], segment: u64, offset: u64) -> u32 {
    checksum(&[fields, &segment.to_le_bytes(), &offset.to_le_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_valid_at_its_own_position_only() {
        let frame = Frame {
            number: 7,
            samples_before: 11,
            time: -5,
            samples: 3,
            length: 4,
            mark: 0x8000_0002,
            payload_checksum: checksum(&[b"data"]),
        };
        let mut bytes = Vec::new();
        frame.write(9, 64, &mut bytes);
        assert_eq!(bytes.len(), FRAME_LEN);
        assert_eq!(Frame::read(&bytes, 9, 64), Some(frame));
        assert_eq!(Frame::read(&bytes, 9, 65), None);
        assert_eq!(Frame::read(&bytes, 8, 64), None);
        for byte in 0..49 {
            let mut damaged = bytes.clone();
            damaged[byte] ^= 0x10;
            assert_eq!(Frame::read(&damaged, 9, 64), None, "byte {byte}");
        }
        let bytes = MARKER
            .iter()
            .filter(|byte| matches!(byte, 0xc0 | 0xc1 | 0xf5..=0xff));
        assert_eq!(bytes.count(), 3, "bytes that do not occur in UTF-8");
    }
}
