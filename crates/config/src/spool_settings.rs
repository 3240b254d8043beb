//! What is written about spools, worked out for each publisher.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::sections::{Notifier, Publisher};
use crate::spool::{Fsync, SpoolMode, SpoolOrder};

/// The folder of all spools in the state folder.
const FOLDER: &str = "spool";

/// The largest spool where nothing is written, in bytes.
const DEFAULT_MAX_BYTES: u64 = 1 << 30;

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
