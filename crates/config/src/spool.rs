//! The queue on disk of a publisher: what may be written about it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::HumanDuration;
use crate::size::ByteSize;

/// A queue on disk, for what has no room in memory or has to outlive the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Spool {
    /// Which samples go through it. Default: `overflow` for publishers to RabbitMQ, `off` for other kinds.
    pub mode: Option<SpoolMode>,
    /// Its folder.
    #[schemars(extend("format" = "path"))]
    pub path: Option<PathBuf>,
    /// How large it may become, at least `64KiB`; beyond that the oldest samples go. Default: `1GiB`.
    #[schemars(extend("minimum" = 65_536))]
    pub max_bytes: Option<ByteSize>,
    /// How old samples in it may become; older ones go. Default: as old as may be.
    #[schemars(extend("minimum" = 1))]
    pub max_age: Option<HumanDuration>,
    /// When what was written is synced to the disk. Default: `interval`.
    pub fsync: Option<Fsync>,
    /// In which order samples leave it. Default: `fresh_first`, and `fifo` for publishers whose other side wants samples in order.
    pub order: Option<SpoolOrder>,
}

/// Which samples go through a spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpoolMode {
    /// None: there is no spool.
    Off,
    /// Those that have no room in memory, and those that are left when the agent stops.
    #[default]
    Overflow,
    /// All of them.
    Always,
}

/// When a spool is synced to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fsync {
    /// Before samples count as stored.
    Always,
    /// Within a second.
    #[default]
    Interval,
    /// When the system likes.
    Never,
}

/// In which order samples leave a spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpoolOrder {
    /// What is new first, then the backlog, oldest first.
    #[default]
    FreshFirst,
    /// As they came.
    Fifo,
}
