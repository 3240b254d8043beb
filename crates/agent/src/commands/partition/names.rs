//! The names of units.

use std::collections::BTreeMap;

use nephoscope_config::hide_userinfo;
use nephoscope_polling::classes::SourceClasses;
use nephoscope_polling::task::TaskDef;
use nephoscope_pool::protocol::UnitHash;

use crate::settings::Settings;

/// Returns the names of the units of this configuration, which contain the group names of ceilometer and the discovery URL. Other
/// units are shown as hashes.
pub(super) fn units(settings: &Settings) -> BTreeMap<UnitHash, String> {
    let Ok(plugins) = settings.plugins() else {
        return BTreeMap::new();
    };
    let config = &settings.loaded.config;
    let prefix = &config.coordination.group_prefix;
    let group = group_name(&config.agent.namespaces, prefix);
    let tasks = TaskDef::plan(&config.sources, &plugins, &SourceClasses::default());
    let units = tasks.iter().flat_map(|task| task.shared_units());
    units
        .map(|unit| {
            let name = match unit.discovery.strip_prefix("static:") {
                Some(hash) => format!("{group}-{hash}"),
                None => format!("{group}-global {}", hide_userinfo(&unit.discovery)),
            };
            (UnitHash::of(prefix, unit), name)
        })
        .collect()
}

/// Returns the first part of a group's name: the sorted namespaces and the prefix.
pub(super) fn group_name(namespaces: &[String], prefix: &str) -> String {
    let mut names: Vec<&str> = namespaces.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    if !prefix.is_empty() {
        names.push(prefix);
    }
    names.join("-")
}
