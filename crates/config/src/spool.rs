//! The queue on disk of a publisher: what may be written about it, and what that means for each publisher.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::HumanDuration;
use crate::sections::{Notifier, Publisher};
use crate::size::ByteSize;

/// The folder of all spools in the state folder.
const FOLDER: &str = "spool";

/// The largest spool where nothing is written, in bytes.
const DEFAULT_MAX_BYTES: u64 = 1 << 30;

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

/// What the spool of one publisher is like, all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolSettings {
    /// Its folder.
    pub path: PathBuf,
    /// Which samples go through it; not [`SpoolMode::Off`].
    pub mode: SpoolMode,
    /// How many bytes it may have.
    pub max_bytes: u64,
    /// How old samples may become.
    pub max_age: Option<Duration>,
    /// When it is synced.
    pub fsync: Fsync,
    /// In which order samples leave.
    pub order: SpoolOrder,
}

impl Notifier {
    /// The folder in which publishers have their spools, where they name none of their own.
    pub fn spool_folder(&self, state_dir: &Path) -> PathBuf {
        self.spool.path.clone().unwrap_or_else(|| state_dir.join(FOLDER))
    }

    /// The order that is written for the spool of a publisher.
    pub fn spool_order_of(&self, publisher: &Publisher) -> Option<SpoolOrder> {
        let own = publisher.spool.as_ref().and_then(|spool| spool.order);
        own.or(self.spool.order)
    }

    /// The spool of a publisher, if it has one. `by_default`: whether its kind has one where nothing is written.
    pub fn spool_of(
        &self,
        publisher: &Publisher,
        by_default: bool,
        state_dir: &Path,
    ) -> Option<SpoolSettings> {
        let own = publisher.spool.clone().unwrap_or_default();
        if publisher.spool.is_none() && !by_default {
            return None;
        }
        let mode = own.mode.or(self.spool.mode).unwrap_or_default();
        if mode == SpoolMode::Off {
            return None;
        }
        let path = own
            .path
            .unwrap_or_else(|| self.spool_folder(state_dir).join(folder_name(&publisher.name)));
        let max_bytes = own.max_bytes.or(self.spool.max_bytes);
        Some(SpoolSettings {
            path,
            mode,
            max_bytes: max_bytes.map_or(DEFAULT_MAX_BYTES, |size| size.0),
            max_age: own.max_age.or(self.spool.max_age).map(Duration::from),
            fsync: own.fsync.or(self.spool.fsync).unwrap_or_default(),
            order: self.spool_order_of(publisher).unwrap_or_default(),
        })
    }
}

/// The folder of a publisher: its name, in which a first dot would hide it or lead elsewhere.
fn folder_name(publisher: &str) -> String {
    match publisher.strip_prefix('.') {
        Some(rest) => format!("%2E{rest}"),
        None => publisher.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn notifier(value: Value) -> Notifier {
        serde_json::from_value(value).unwrap()
    }

    fn spools(value: Value, by_default: bool) -> Vec<Option<SpoolSettings>> {
        let notifier = notifier(value);
        let of = |publisher| notifier.spool_of(publisher, by_default, Path::new("/state"));
        notifier.publishers.iter().map(of).collect()
    }

    #[test]
    fn a_kind_that_has_one_by_default_has_it_in_the_state_folder() {
        let value = json!({ "publishers": [{ "name": "bus", "url": "amqp://h/" }] });
        let expected = SpoolSettings {
            path: "/state/spool/bus".into(),
            mode: SpoolMode::Overflow,
            max_bytes: 1 << 30,
            max_age: None,
            fsync: Fsync::Interval,
            order: SpoolOrder::FreshFirst,
        };
        assert_eq!(spools(value.clone(), true), [Some(expected)]);
        assert_eq!(spools(value, false), [None]);
    }

    #[test]
    fn the_key_turns_it_on_for_any_kind_and_off_for_any() {
        let publisher = |name: &str, spool: Value| json!({ "name": name, "url": "x:", "spool": spool });
        let publishers = json!([
            publisher("on", json!({})),
            publisher("off", json!({ "mode": "off" })),
            publisher("null", Value::Null),
        ]);
        let has = |value, by_default| -> Vec<bool> {
            let spools = spools(value, by_default);
            spools.iter().map(Option::is_some).collect()
        };
        assert_eq!(
            has(json!({ "publishers": publishers }), false),
            [true, false, false]
        );
        assert_eq!(
            has(json!({ "publishers": publishers }), true),
            [true, false, true]
        );
        let all_off = json!({ "spool": { "mode": "off" }, "publishers": publishers });
        assert_eq!(has(all_off, true), [false, false, false]);
    }

    #[test]
    fn what_a_publisher_says_wins_key_by_key() {
        let value = json!({
            "spool": { "path": "/spools", "max_bytes": "1MiB", "max_age": "2d", "fsync": "never", "mode": "off", "order": "fifo" },
            "publishers": [
                { "name": "a", "url": "x:", "spool": { "mode": "always", "max_bytes": 65536, "fsync": "always" } },
                { "name": "b", "url": "x:", "spool": { "mode": "overflow", "path": "/elsewhere", "order": "fresh_first" } },
            ],
        });
        let day = Duration::from_secs(86_400);
        let a = SpoolSettings {
            path: "/spools/a".into(),
            mode: SpoolMode::Always,
            max_bytes: 65536,
            max_age: Some(2 * day),
            fsync: Fsync::Always,
            order: SpoolOrder::Fifo,
        };
        let b = SpoolSettings {
            path: "/elsewhere".into(),
            mode: SpoolMode::Overflow,
            max_bytes: 1 << 20,
            max_age: Some(2 * day),
            fsync: Fsync::Never,
            order: SpoolOrder::FreshFirst,
        };
        assert_eq!(spools(value, false), [Some(a), Some(b)]);
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let names: Vec<_> = [".", "..", ".hidden", "a..b"].map(folder_name).into();
        assert_eq!(names, ["%2E", "%2E.", "%2Ehidden", "a..b"]);
    }
}
