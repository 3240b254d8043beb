//! The effective settings of each publisher's spool.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::sections::{Notifier, Publisher};
use crate::spool::{Fsync, SpoolMode, SpoolOrder};

/// The folder of all spools in the state folder.
const FOLDER: &str = "spool";

/// The default maximum size of a spool in bytes.
const DEFAULT_MAX_BYTES: u64 = 1 << 30;

/// The effective settings of a publisher's spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolSettings {
    /// The folder.
    pub path: PathBuf,
    /// The samples that go through the spool; never [`SpoolMode::Off`].
    pub mode: SpoolMode,
    /// The maximum size in bytes.
    pub max_bytes: u64,
    /// The maximum age of samples.
    pub max_age: Option<Duration>,
    /// When the spool is synced.
    pub fsync: Fsync,
    /// The delivery order.
    pub order: SpoolOrder,
}

impl Notifier {
    /// Returns the parent folder of spools without a configured path.
    pub fn spool_folder(&self, state_dir: &Path) -> PathBuf {
        self.spool.path.clone().unwrap_or_else(|| state_dir.join(FOLDER))
    }

    /// Returns the configured order of a publisher's spool.
    pub fn spool_order_of(&self, publisher: &Publisher) -> Option<SpoolOrder> {
        let own = publisher.spool.as_ref().and_then(|spool| spool.order);
        own.or(self.spool.order)
    }

    /// Returns the settings of a publisher's spool, if it has one. `by_default`: whether its kind has a spool without configuration.
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

/// Returns the folder name of a publisher. A leading dot is escaped, because it would hide the folder or be `..`.
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
    fn a_default_spool_is_in_the_state_folder() {
        let value = json!({ "publishers": [{ "name": "bus", "url": "amqp://h/" }] });
        let expected = SpoolSettings {
            path: "/state/spool/bus".into(),
            mode: SpoolMode::Overflow,
            max_bytes: 1 << 30,
            max_age: None,
            fsync: Fsync::Interval,
            order: SpoolOrder::NewestFirst,
        };
        assert_eq!(spools(value.clone(), true), [Some(expected)]);
        assert_eq!(spools(value, false), [None]);
    }

    #[test]
    fn the_key_enables_and_disables_the_spool() {
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
    fn keys_of_a_publisher_override_the_defaults() {
        let value = json!({
            "spool": { "path": "/spools", "max_bytes": "1MiB", "max_age": "2d", "fsync": "never", "mode": "off", "order": "fifo" },
            "publishers": [
                { "name": "a", "url": "x:", "spool": { "mode": "always", "max_bytes": 65536, "fsync": "always" } },
                { "name": "b", "url": "x:", "spool": { "mode": "overflow", "path": "/elsewhere", "order": "newest_first" } },
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
            order: SpoolOrder::NewestFirst,
        };
        assert_eq!(spools(value, false), [Some(a), Some(b)]);
    }

    #[test]
    fn folder_names_stay_within_the_folder() {
        let names: Vec<_> = [".", "..", ".hidden", "a..b"].map(folder_name).into();
        assert_eq!(names, ["%2E", "%2E.", "%2Ehidden", "a..b"]);
    }
}
