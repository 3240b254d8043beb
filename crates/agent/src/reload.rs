//! The differences between two configurations: what a reload applies, and what requires a restart.

use std::sync::Arc;

use nephoscope_config::Config;
use nephoscope_polling::plugins::Plugins;

use crate::routing::source_classes;
use crate::spools::Opened;

/// A new configuration and its parts, ready to be applied.
pub(crate) struct Replacement {
    pub(crate) config: Config,
    pub(crate) changes: Changes,
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) publishers: Vec<Opened>,
}

/// The differences between two configurations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Whether sources were added, changed or removed.
    pub(crate) sources: bool,
    /// Whether plugins are built again, with other namespaces or options.
    pub(crate) plugins: bool,
    /// The number of publishers that were added, changed or removed.
    pub(crate) publishers: usize,
    /// Whether `agent.watch` or `agent.shutdown_timeout` changed.
    pub(crate) own: bool,
    /// Changed keys that require a restart.
    pub(crate) restart_required: Vec<&'static str>,
}

impl Changes {
    /// Compares two configurations.
    pub(crate) fn between(old: &Config, new: &Config) -> Self {
        let (from, to) = (&old.agent, &new.agent);
        let restart_keys = [
            ("agent.id", from.id() != to.id()),
            ("agent.host", from.host() != to.host()),
            ("agent.sample_source", from.sample_source != to.sample_source),
            ("agent.state_dir", from.state_dir() != to.state_dir()),
            ("agent.admin", from.admin != to.admin),
            ("agent.metrics", from.metrics != to.metrics),
            ("agent.log", from.log != to.log),
            ("agent.splay", from.splay != to.splay),
            ("agent.limits", from.limits != to.limits),
            ("coordination", old.coordination != new.coordination),
            (
                "notifier.batch_size",
                old.notifier.batch_size != new.notifier.batch_size,
            ),
            (
                "notifier.flush_interval",
                old.notifier.flush_interval != new.notifier.flush_interval,
            ),
            (
                "notifier.signing_secret",
                old.notifier.signing_secret != new.notifier.signing_secret,
            ),
        ];
        Self {
            // The sources that publishers select determine the runs.
            sources: old.sources != new.sources
                || source_classes(&old.notifier) != source_classes(&new.notifier),
            plugins: old.plugins != new.plugins || from.namespaces != to.namespaces,
            publishers: publishers(old, new),
            own: from.watch != to.watch || from.shutdown_timeout != to.shutdown_timeout,
            restart_required: restart_keys
                .into_iter()
                .filter(|(_, changed)| *changed)
                .map(|(key, _)| key)
                .collect(),
        }
    }

    /// Returns whether a reload has nothing to apply.
    pub(crate) fn is_empty(&self) -> bool {
        let Self {
            sources,
            plugins,
            publishers,
            own,
            restart_required: _,
        } = self;
        !(*sources || *plugins || *publishers > 0 || *own)
    }
}

/// Replaces the values of `new` that require a restart with the values in use. `new` becomes the configuration in use, so that
/// every reload reports the keys that still differ from the file.
pub(crate) fn keep_restart_keys(new: &mut Config, running: &Config) {
    let (from, to) = (&running.agent, &mut new.agent);
    to.id.clone_from(&from.id);
    to.host.clone_from(&from.host);
    to.sample_source.clone_from(&from.sample_source);
    to.state_dir.clone_from(&from.state_dir);
    to.admin.clone_from(&from.admin);
    to.metrics.clone_from(&from.metrics);
    to.log.clone_from(&from.log);
    to.splay.clone_from(&from.splay);
    to.limits.clone_from(&from.limits);
    new.coordination.clone_from(&running.coordination);
    new.notifier.batch_size.clone_from(&running.notifier.batch_size);
    new.notifier
        .flush_interval
        .clone_from(&running.notifier.flush_interval);
    new.notifier
        .signing_secret
        .clone_from(&running.notifier.signing_secret);
}

/// Returns the number of publishers that differ. A different order counts as well.
fn publishers(old: &Config, new: &Config) -> usize {
    let (from, to) = (&old.notifier, &new.notifier);
    let shared = from.queue != to.queue || from.spool != to.spool;
    let added = to
        .publishers
        .iter()
        .filter(|publisher| shared || !from.publishers.contains(publisher))
        .count();
    let names = |config: &nephoscope_config::Notifier| -> Vec<String> {
        config
            .publishers
            .iter()
            .map(|publisher| publisher.name.clone())
            .collect()
    };
    let (before, after) = (names(from), names(to));
    let removed = before.iter().filter(|name| !after.contains(name)).count();
    match added + removed {
        0 if before != after => 1,
        // Samples are printed on the terminal through a queue of another size.
        0 if shared => 1,
        count => count,
    }
}

#[cfg(test)]
mod tests {
    use nephoscope_plugin::Catalog;

    use super::*;
    use crate::settings::Origin;

    fn config(text: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("polling.yaml");
        std::fs::write(&file, text).unwrap();
        let options = crate::cli::GlobalOptions {
            config: vec![file],
            ..Default::default()
        };
        // The unit tests have no plugins.
        Origin::new(Catalog::default(), options)
            .load()
            .unwrap()
            .loaded
            .config
    }

    const OLD: &str = "
agent: {namespaces: [host], id: a}
sources:
  - {name: one, interval: 10, meters: [\"*\"]}
  - {name: two, interval: 20, meters: [\"*\"]}
";

    #[test]
    fn comments_and_other_notations_are_no_changes() {
        let new = format!("# a comment\n{}", OLD.replace("interval: 20", "interval: 20s"));
        assert!(Changes::between(&config(OLD), &config(&new)).is_empty());
    }

    #[test]
    fn changes_are_classified() {
        let old = config(OLD);
        let sources = Changes::between(&old, &config(&OLD.replace("interval: 20", "interval: 30")));
        assert_eq!(
            sources,
            Changes {
                sources: true,
                ..Default::default()
            }
        );
        let plugins = Changes::between(&old, &config(&OLD.replace("[host]", "[host, compute]")));
        assert_eq!(
            plugins,
            Changes {
                plugins: true,
                ..Default::default()
            }
        );
        let own = Changes::between(&old, &config(&OLD.replace("id: a", "id: a, watch: false")));
        assert_eq!(
            own,
            Changes {
                own: true,
                ..Default::default()
            }
        );
        let restart = config(&OLD.replace(
            "id: a",
            "id: b, splay: false, admin: \"off\", log: {level: debug}",
        ));
        assert_eq!(
            Changes::between(&old, &restart).restart_required,
            ["agent.id", "agent.admin", "agent.log", "agent.splay"]
        );
    }

    #[test]
    fn keys_that_require_a_restart_are_reported_until_they_are_reverted() {
        let running = config(OLD);
        let on_disk = config(
            "
agent: {namespaces: [host], id: b, host: c, sample_source: d, state_dir: /e, admin: \"off\", metrics: \"127.0.0.1:1\",
        splay: false, log: {level: debug}, limits: {max_concurrent_polls: 1}}
coordination: {backend: etcd, endpoints: [\"http://etcd:2379\"]}
notifier: {batch_size: 7, flush_interval: 250ms, signing_secret: f}
sources:
  - {name: one, interval: 10, meters: [\"*\"]}
  - {name: two, interval: 20, meters: [\"*\"]}
",
        );
        let changes = Changes::between(&running, &on_disk);
        assert_eq!(changes.restart_required.len(), 13, "{changes:?}");
        assert!(changes.is_empty(), "nothing can be applied");
        let mut used = on_disk.clone();
        keep_restart_keys(&mut used, &running);
        assert_eq!(used, running);
        assert_eq!(Changes::between(&used, &on_disk), changes, "reported again");
        assert_eq!(Changes::between(&used, &running), Changes::default(), "reverted");
    }
}
