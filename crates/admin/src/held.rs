//! What a spool holds, by encoding, as the API and `nephoscope spool` show it.

use nephoscope_model::PayloadKind;
use nephoscope_notifier::spool::Held;
use serde::{Deserialize, Serialize};

/// Batches of one encoding in a spool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBatches {
    /// The encoding: its name, a slash, its version.
    pub encoding: String,
    /// `samples` or `events`.
    pub payload: String,
    /// Batches.
    pub batches: u64,
    /// Samples or events of these batches.
    pub samples: u64,
    /// Whether they stay in the spool, since its publisher does not take them.
    pub kept: bool,
}

impl From<Held> for HeldBatches {
    fn from(held: Held) -> Self {
        let payload = match held.contents.kind {
            PayloadKind::Events => "events",
            _ => "samples",
        };
        Self {
            encoding: held.contents.encoding.to_string(),
            payload: payload.to_owned(),
            batches: held.batches,
            samples: held.samples,
            kept: held.kept,
        }
    }
}
