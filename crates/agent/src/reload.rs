//! What another configuration changes: what can be applied, and what has to wait for a restart.

use std::sync::Arc;

use nephoscope_config::Config;
use nephoscope_polling::plugins::Plugins;

use crate::routing::source_classes;
use crate::spools::Opened;

/// Everything that another configuration needs, ready to be used.
pub(crate) struct Replacement {
    pub(crate) config: Config,
    pub(crate) changes: Changes,
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) publishers: Vec<Opened>,
}

/// What is different in a new configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Sources were added, changed or removed.
    pub(crate) sources: bool,
    /// Plugins are loaded anew, with other namespaces or options.
    pub(crate) plugins: bool,
    /// Publishers that were added, changed or removed.
    pub(crate) publishers: usize,
    /// Whether changes of files are to be noticed, or how long a stop may take.
    pub(crate) own: bool,
    /// Keys that take effect after a restart.
    pub(crate) after_restart: Vec<&'static str>,
}

impl Changes {
    /// Compares two configurations.
    pub(crate) fn between(old: &Config, new: &Config) -> Self {
        let (from, to) = (&old.agent, &new.agent);
        let after_restart = [
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
                "notifier.batch_age",
                old.notifier.batch_age != new.notifier.batch_age,
            ),
            (
                "notifier.signing_secret",
                old.notifier.signing_secret != new.notifier.signing_secret,
            ),
        ];
        Self {
            // Which sources publishers tell apart decides which runs there are.
            sources: old.sources != new.sources
                || source_classes(&old.notifier) != source_classes(&new.notifier),
            plugins: old.plugins != new.plugins || from.namespaces != to.namespaces,
            publishers: publishers(old, new),
            own: from.watch != to.watch || from.shutdown_timeout != to.shutdown_timeout,
            after_restart: after_restart
                .into_iter()
                .filter(|(_, changed)| *changed)
                .map(|(key, _)| key)
                .collect(),
        }
    }

    /// Whether there is nothing to apply now.
    pub(crate) fn is_empty(&self) -> bool {
        let Self {
            sources,
            plugins,
            publishers,
            own,
            after_restart: _,
        } = self;
        !(*sources || *plugins || *publishers > 0 || *own)
    }
}

/// Leaves the keys of `new` that take effect after a restart as they are in the configuration in use: it stays the
/// one that is in use, and what still differs from the file is told at every reload.
pub(crate) fn hold_back(new: &mut Config, running: &Config) {
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
    new.notifier.batch_age.clone_from(&running.notifier.batch_age);
    new.notifier
        .signing_secret
        .clone_from(&running.notifier.signing_secret);
}

/// How many publishers are not in both configurations alike; a changed place in the list counts as well.
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
        // Samples go to the terminal, through a queue of another size.
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
        // The library's own tests have no plugins: nothing is known, and nothing asked for.
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
    fn comments_and_other_words_for_the_same_change_nothing() {
        let new = format!("# a comment\n{}", OLD.replace("interval: 20", "interval: 20s"));
        assert!(Changes::between(&config(OLD), &config(&new)).is_empty());
    }

    #[test]
    fn each_change_is_told_apart() {
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
            Changes::between(&old, &restart).after_restart,
            ["agent.id", "agent.admin", "agent.log", "agent.splay"]
        );
    }

    #[test]
    fn what_waits_for_a_restart_is_told_until_it_is_taken_back() {
        let running = config(OLD);
        let on_disk = config(
            "
agent: {namespaces: [host], id: b, host: c, sample_source: d, state_dir: /e, admin: \"off\", metrics: \"127.0.0.1:1\",
        splay: false, log: {level: debug}, limits: {polls: 1}}
coordination: {backend: etcd, endpoints: [\"http://etcd:2379\"]}
notifier: {batch_size: 7, batch_age: 250ms, signing_secret: f}
sources:
  - {name: one, interval: 10, meters: [\"*\"]}
  - {name: two, interval: 20, meters: [\"*\"]}
",
        );
        let changes = Changes::between(&running, &on_disk);
        assert_eq!(changes.after_restart.len(), 13, "{changes:?}");
        assert!(changes.is_empty(), "nothing can be applied now");
        let mut used = on_disk.clone();
        hold_back(&mut used, &running);
        assert_eq!(used, running);
        assert_eq!(Changes::between(&used, &on_disk), changes, "told again");
        assert_eq!(
            Changes::between(&used, &running),
            Changes::default(),
            "taken back"
        );
    }
}
