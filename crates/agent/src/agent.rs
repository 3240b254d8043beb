//! A running agent: starts, reconfigures and stops the engine and the notifier.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_admin::{AdminState, Api, Handles, Phase};
use nephoscope_config::{Config, Publisher as PublisherConfig};
use nephoscope_notifier::{Notifier, PublisherSetup, ShutdownReport};
use nephoscope_plugin::{BlockingPool, Catalog};
use nephoscope_polling::clock::SystemClock;
use nephoscope_polling::engine::{Applied, Engine, EngineParts};
use nephoscope_polling::ticker::CronTicker;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::api;
use crate::coordination::Coordination;
use crate::error::ProgramError;
use crate::events;
use crate::option_errors;
use crate::publishers::{self, Planned, PublishersError};
use crate::reload::{Changes, Replacement, keep_restart_keys};
use crate::settings::{Settings, engine_options, plugins};
use crate::spools::{self, Opened};
use crate::state::StateDir;

/// The fraction of the stop timeout that is reserved for delivering the last samples, and its maximum.
const DELIVERY_PART: u32 = 3;
const MOST_DELIVERY: Duration = Duration::from_secs(10);

/// The maximum time that is reserved for publishers to close.
const MOST_CLOSING: Duration = Duration::from_secs(1);

/// A running agent.
pub(crate) struct Agent {
    catalog: Catalog,
    /// The locked state folder. A reload does not change it.
    state_dir: PathBuf,
    config: Config,
    terminal: bool,
    engine: Engine,
    notifier: Notifier,
    admin: AdminState,
    api: Api,
    coordination: Coordination,
    /// Threads for blocking calls of publishers and for files. The engine has the threads of plugins.
    blocking: BlockingPool,
    plugin_runtime: Handle,
}

impl Agent {
    /// Starts to poll and to publish. Must be called within the core runtime.
    ///
    /// On a `terminal`, samples are printed if the configuration names no publisher.
    pub(crate) async fn start(
        settings: Settings,
        state: &StateDir,
        terminal: bool,
        plugin_runtime: Handle,
    ) -> Result<Self, ProgramError> {
        let config = &settings.loaded.config;
        let endpoints = api::listen(&config.agent).await?;
        let plugins = {
            let _within = plugin_runtime.enter();
            settings.plugins()
        };
        let runtime = Handle::current();
        let blocking = BlockingPool::default();
        let planned = publishers::set_up(
            &settings.catalog,
            &config.notifier,
            state.path(),
            terminal,
            &blocking,
            |_| None,
        );
        let (plugins, planned) = option_errors::combine(&settings.loaded, plugins, planned)?;
        let opened = spools::open(planned, |_| None).await?;
        let setups: Vec<_> = opened.into_iter().map(Opened::into_setup).collect();
        let spools = spool_paths(&setups);
        let notifier = Notifier::start(setups, publishers::notifier_options(&config.notifier), &runtime);
        let coordination = Coordination::start(config, state.path())?;
        let mut options = engine_options(config);
        options.state_dir = Some(state.path().to_owned());
        let parts = EngineParts {
            clock: Arc::new(SystemClock),
            coordinator: coordination.coordinator(),
            notifier: notifier.clone(),
            runtime,
            plugin_runtime: plugin_runtime.clone(),
        };
        let engine = Engine::start(options, parts, CronTicker::start());
        let admin = AdminState::new(Handles {
            version: env!("CARGO_PKG_VERSION"),
            engine: engine.clone(),
            notifier: notifier.clone(),
            pool: coordination.pool(),
        });
        api::log_addresses(&endpoints);
        let api = endpoints.serve(&admin);
        engine.apply(&config.sources, Arc::new(plugins)).await;
        admin.set_phase(Phase::Running);
        let agent = Self {
            catalog: settings.catalog,
            state_dir: state.path().to_owned(),
            config: settings.loaded.config,
            terminal,
            engine,
            notifier,
            admin,
            api,
            coordination,
            blocking,
            plugin_runtime,
        };
        agent.warn_of_unused_spools(spools).await;
        Ok(agent)
    }

    /// Logs spools with samples that no publisher uses.
    async fn warn_of_unused_spools(&self, used: BTreeSet<PathBuf>) {
        let folder = self.config.notifier.spool_folder(&self.state_dir);
        for path in spools::unused(&self.blocking, folder, used).await {
            events::unused_spool(&path);
        }
    }

    /// Returns the engine.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Returns the notifier.
    pub(crate) fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    /// Returns the coordination.
    pub(crate) fn coordination(&self) -> &Coordination {
        &self.coordination
    }

    /// Returns the threads for blocking calls of the agent itself.
    pub(crate) fn blocking(&self) -> &BlockingPool {
        &self.blocking
    }

    /// Records that the configuration on disk was rejected with this number of errors.
    pub(crate) fn configuration_rejected(&self, errors: usize) {
        self.admin.set_rejected(Some(errors));
    }

    /// Records that the configuration on disk was accepted, and which changed keys require a restart.
    pub(crate) fn configuration_accepted(&self, restart_required: &[&'static str]) {
        self.admin.set_rejected(None);
        self.admin.set_restart_required(restart_required.to_vec());
    }

    /// Returns the configuration in use.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Prepares a new configuration without changing the running agent.
    pub(crate) async fn prepare(&self, settings: Settings) -> Result<Replacement, ProgramError> {
        let Settings {
            mut loaded, catalog, ..
        } = settings;
        let before = self.engine.plugins();
        let mut changes = Changes::between(&self.config, &loaded.config);
        // Definition files may change while the options that name them stay the same.
        changes.plugins |= !before.catalog.has_same_definitions(&catalog);
        keep_restart_keys(&mut loaded.config, &self.config);
        let config = &loaded.config;
        let plugins = if changes.plugins {
            let _within = self.plugin_runtime.enter();
            plugins(&catalog, config, &config.agent.namespaces, Some(&before)).map(Arc::new)
        } else {
            Ok(before)
        };
        let (plugins, planned) = option_errors::combine(&loaded, plugins, self.publishers(config))?;
        // This may create and lock spool folders, which does not affect the running publishers.
        let publishers = spools::open(planned, |name| self.notifier.spool(name)).await?;
        Ok(Replacement {
            config: loaded.config,
            changes,
            plugins,
            publishers,
        })
    }

    fn publishers(&self, config: &Config) -> Result<Vec<Planned>, PublishersError> {
        // An unchanged publisher continues.
        let known = |publisher: &PublisherConfig| {
            let same = |old: &&PublisherConfig| {
                (&old.name, &old.url, &old.options) == (&publisher.name, &publisher.url, &publisher.options)
            };
            let old = self.config.notifier.publishers.iter().find(same)?;
            // With another spool folder the publisher is a new one: the old one closes together with its spool.
            let place = |notifier, publisher| {
                let spool = publishers::spool_of(&self.catalog, notifier, publisher, &self.state_dir);
                spool.map(|spool| spool.path)
            };
            if place(&self.config.notifier, old) != place(&config.notifier, publisher) {
                return None;
            }
            self.notifier.publisher(&publisher.name)
        };
        publishers::set_up(
            &self.catalog,
            &config.notifier,
            &self.state_dir,
            self.terminal,
            &self.blocking,
            known,
        )
    }

    /// Applies a prepared configuration.
    pub(crate) async fn replace(&mut self, replacement: Replacement) -> Applied {
        let Replacement {
            config,
            changes,
            plugins,
            publishers,
        } = replacement;
        let publishing = async {
            if changes.publishers > 0 {
                let setups: Vec<_> = publishers.into_iter().map(Opened::into_setup).collect();
                let spools = spool_paths(&setups);
                self.notifier.reconfigure(setups).await;
                Some(spools)
            } else {
                None
            }
        };
        let polling = async {
            if changes.sources || changes.plugins {
                self.engine.apply(&config.sources, plugins).await
            } else {
                Applied {
                    unchanged: self.engine.tasks().len(),
                    ..Applied::default()
                }
            }
        };
        // Publishers come first: they are in place before the new configuration is polled for the first time.
        let (spools, applied) = tokio::join!(biased; publishing, polling);
        self.config = config;
        if let Some(spools) = spools {
            self.warn_of_unused_spools(spools).await;
        }
        applied
    }

    /// Starts a stop that must end `within` this time.
    pub(crate) fn begin_stop(&self, within: Duration) -> Stopping {
        self.admin.set_phase(Phase::Stopping);
        Stopping {
            within,
            end: Instant::now() + within,
        }
    }

    /// Stops: starts no cycle, waits for running cycles, and delivers their samples.
    pub(crate) async fn stop(&self, Stopping { within, end }: Stopping) -> ShutdownReport {
        let polling = end - (within / DELIVERY_PART).min(MOST_DELIVERY);
        let delivering = end - (within / DELIVERY_PART / 2).min(MOST_CLOSING);
        self.engine.stop(polling).await;
        let report = self.notifier.shutdown(delivering).await;
        self.engine.settle(end).await;
        self.api.stop().await;
        report
    }
}

fn spool_paths(setups: &[PublisherSetup]) -> BTreeSet<PathBuf> {
    let spools = setups.iter().filter_map(|setup| setup.spool.as_ref());
    spools.map(|spool| spool.path().to_owned()).collect()
}

/// The deadline of a stop.
pub(crate) struct Stopping {
    within: Duration,
    end: Instant,
}

#[cfg(test)]
mod tests {
    use nephoscope_polling::record::CycleRecord;
    use tokio::sync::broadcast::Receiver;
    use tokio::time::timeout;
    use {nephoscope_file as _, nephoscope_synthetic as _};

    use super::*;
    use crate::cli::GlobalOptions;
    use crate::settings::Origin;

    const PATIENCE: Duration = Duration::from_secs(60);

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn origin(&self, publishers: &str, sources: &str) -> Origin {
            let state = self.0.path().join("state");
            let text = format!(
                "agent: {{namespaces: [synthetic], admin: \"off\", state_dir: {}}}\n\
                 notifier: {{publishers: [{publishers}]}}\nsources: [{sources}]\n",
                state.display(),
            );
            let file = self.0.path().join("polling.yaml");
            std::fs::write(&file, text).unwrap();
            let options = GlobalOptions {
                config: vec![file],
                ..Default::default()
            };
            Origin::new(Catalog::collect().unwrap(), options)
        }
    }

    async fn cycle(records: &mut Receiver<Arc<CycleRecord>>, samples: u64) -> Arc<CycleRecord> {
        let wanted = async {
            loop {
                let record = records.recv().await.unwrap();
                if record.samples == samples {
                    return record;
                }
            }
        };
        timeout(PATIENCE, wanted).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_agent_polls_reloads_and_stops_with_all_samples_delivered() {
        const DISCARD: &str = "{name: a, url: \"discard:\"}";
        let folder = Folder(tempfile::tempdir().unwrap());
        let source = |count: u32| {
            format!(
                "{{name: s, interval: 1, meters: [synthetic.cycle], discovery: [\"synthetic://{count}\"]}}"
            )
        };
        let origin = folder.origin(DISCARD, &source(3));
        let settings = origin.load().unwrap();
        let state = StateDir::acquire(&settings.loaded.config.agent.state_dir()).unwrap();
        let mut agent = Agent::start(settings, &state, false, Handle::current())
            .await
            .unwrap();
        let mut records = agent.engine().watch();
        cycle(&mut records, 3).await;

        let samples = folder.0.path().join("samples.jsonl");
        let both = format!("{DISCARD}, {{name: b, url: \"file://{}\"}}", samples.display());
        let origin = folder.origin(&both, &source(5));
        let kept = agent.notifier().publisher("a").unwrap();
        let replacement = agent.prepare(origin.load().unwrap()).await.unwrap();
        let changes = replacement.changes.clone();
        assert_eq!(
            (changes.sources, changes.plugins, changes.publishers),
            (true, false, 1)
        );
        let applied = agent.replace(replacement).await;
        assert_eq!(
            applied,
            Applied {
                unchanged: 1,
                ..Applied::default()
            }
        );
        assert!(
            Arc::ptr_eq(&kept, &agent.notifier().publisher("a").unwrap()),
            "the publisher is unchanged"
        );
        cycle(&mut records, 5).await;

        let stop = agent.begin_stop(PATIENCE);
        let report = timeout(PATIENCE, agent.stop(stop)).await.unwrap();
        assert_eq!((report.dropped_samples(), report.publishers.len()), (0, 2));
        let lines = std::fs::read_to_string(samples).unwrap().lines().count();
        assert!(
            lines >= 5 && lines.is_multiple_of(5),
            "complete cycles are written: {lines} lines"
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_failed_prepare_changes_nothing() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let origin = folder.origin("{name: a, url: \"discard:\"}", "");
        let settings = origin.load().unwrap();
        let config = settings.loaded.config.clone();
        let state = StateDir::acquire(&config.agent.state_dir()).unwrap();
        let agent = Agent::start(settings, &state, false, Handle::current())
            .await
            .unwrap();
        let bad = folder.origin("{name: b, url: \"file://relative\"}", "");
        let error = agent.prepare(bad.load().unwrap()).await.err().unwrap();
        let lines = error.lines();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("polling.yaml:2:"), "{lines:?}");
        assert_eq!(agent.config(), &config);
        assert_eq!(agent.notifier().status().len(), 1);
        assert!(agent.notifier().publisher("a").is_some());
    }
}
