//! The configuration of a publisher's queue on disk.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::HumanDuration;
use crate::size::ByteSize;

/// A queue on disk, for samples that exceed the memory queue or must survive a restart of the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Spool {
    /// The samples that go through the spool. Default: `overflow` for publishers to RabbitMQ, `off` for other kinds.
    pub mode: Option<SpoolMode>,
    /// The folder of the spool.
    #[schemars(extend("format" = "path"))]
    pub path: Option<PathBuf>,
    /// The maximum size, at least `64KiB`. Above it the oldest samples are dropped. Default: `1GiB`.
    #[schemars(extend("minimum" = 65_536))]
    pub max_bytes: Option<ByteSize>,
    /// The maximum age of samples. Older samples are dropped. Default: no age limit.
    #[schemars(extend("minimum" = 1))]
    pub max_age: Option<HumanDuration>,
    /// When written samples are synced to disk. Default: `interval`.
    pub fsync: Option<Fsync>,
    /// The delivery order. Default: `newest_first`, or `fifo` for publishers whose receiver requires samples in order.
    pub order: Option<SpoolOrder>,
}

/// The samples that go through a spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpoolMode {
    /// No samples: there is no spool.
    Off,
    /// Samples that exceed the memory queue, and samples that remain when the agent stops.
    #[default]
    Overflow,
    /// All samples.
    Always,
}

/// When a spool is synced to disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fsync {
    /// Before samples count as stored.
    Always,
    /// Within a second.
    #[default]
    Interval,
    /// When the operating system decides.
    Never,
}

/// The delivery order of a spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpoolOrder {
    /// New samples first, then the backlog, oldest first.
    #[default]
    NewestFirst,
    /// In the order of arrival.
    Fifo,
}
