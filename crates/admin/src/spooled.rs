//! The contents of a spool by encoding, for the API and `nephoscope spool`.

use nephoscope_model::PayloadKind;
use nephoscope_notifier::spool::StoredContents;
use serde::{Deserialize, Serialize};

/// The batches of one encoding in a spool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpooledEncoding {
    /// The name and the version of the encoding, separated by a slash.
    pub encoding: String,
    /// `samples` or `events`.
    pub payload: String,
    /// The number of batches.
    pub batches: u64,
    /// The number of samples or events.
    pub samples: u64,
    /// Whether the publisher does not support the encoding, so that the batches stay in the spool.
    pub unsupported: bool,
}

impl From<StoredContents> for SpooledEncoding {
    fn from(held: StoredContents) -> Self {
        let payload = match held.contents.kind {
            PayloadKind::Events => "events",
            _ => "samples",
        };
        Self {
            encoding: held.contents.encoding.to_string(),
            payload: payload.to_owned(),
            batches: held.batches,
            samples: held.samples,
            unsupported: held.unsupported,
        }
    }
}
