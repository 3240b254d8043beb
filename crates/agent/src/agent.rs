//! A running agent: engine and notifier as the configuration says, and how they are changed and stopped.

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
use crate::publishers::{self, Planned, PublishersError};
use crate::refused;
use crate::reload::{Changes, Replacement, hold_back};
use crate::settings::{Settings, engine_options, plugins};
use crate::spools::{self, Opened};
use crate::state::StateDir;

/// The part of the time for a stop that is kept for delivering what the last polls have given, and its bounds.
const DELIVERY_PART: u32 = 3;
const MOST_DELIVERY: Duration = Duration::from_secs(10);

/// What is left of the time for a stop for publishers to close: at most this long.
const MOST_CLOSING: Duration = Duration::from_secs(1);

/// A running agent.
pub(crate) struct Agent {
    catalog: Catalog,
    /// The one that it holds, whatever the configuration says by now.
    state_dir: PathBuf,
    config: Config,
    terminal: bool,
    engine: Engine,
    notifier: Notifier,
    admin: AdminState,
    api: Api,
    coordination: Coordination,
    /// Threads for publishers and files that block; those of plugins are the engine's.
    blocking: BlockingPool,
    plugin_runtime: Handle,
}

impl Agent {
    /// Starts to poll and to publish. Called within the core runtime.
    ///
    /// On a `terminal` samples are printed if the configuration names no publisher.
    pub(crate) async fn start(
        settings: Settings,
        state: &StateDir,
        terminal: bool,
        plugin_runtime: Handle,
    ) -> Result<Self, ProgramError> {
        let config = &settings.loaded.config;
        let places = api::listen(&config.agent).await?;
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
        let (plugins, planned) = refused::both(&settings.loaded, plugins, planned)?;
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
        api::tell(&places);
        let api = places.serve(&admin);
        engine.apply(&config.sources, Arc::new(plugins)).await;
        admin.enter(Phase::Running);
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
        agent.tell_of_spools_beside(spools).await;
        Ok(agent)
    }

    /// Says which spools hold samples that no publisher delivers any more.
    async fn tell_of_spools_beside(&self, used: BTreeSet<PathBuf>) {
        let folder = self.config.notifier.spool_folder(&self.state_dir);
        for path in spools::left_behind(&self.blocking, folder, used).await {
            events::spool_left_behind(&path);
        }
    }

    /// The engine.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The notifier.
    pub(crate) fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    /// How it divides work with others.
    pub(crate) fn coordination(&self) -> &Coordination {
        &self.coordination
    }

    /// Threads for calls of the agent itself that block.
    pub(crate) fn blocking(&self) -> &BlockingPool {
        &self.blocking
    }

    /// The configuration on disk was refused with this many errors.
    pub(crate) fn configuration_refused(&self, errors: usize) {
        self.admin.configuration_rejected(Some(errors));
    }

    /// The configuration on disk was taken, but for these keys, which wait for a restart.
    pub(crate) fn configuration_taken(&self, after_restart: &[&'static str]) {
        self.admin.configuration_rejected(None);
        self.admin.after_restart(after_restart.to_vec());
    }

    /// The configuration in use.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Makes what another configuration needs, without changing anything.
    pub(crate) async fn prepare(&self, settings: Settings) -> Result<Replacement, ProgramError> {
        let Settings {
            mut loaded, catalog, ..
        } = settings;
        let before = self.engine.plugins();
        let mut changes = Changes::between(&self.config, &loaded.config);
        // What definitions say may change while the options that name their files do not.
        changes.plugins |= !before.catalog.has_same_definitions(&catalog);
        hold_back(&mut loaded.config, &self.config);
        let config = &loaded.config;
        let plugins = if changes.plugins {
            let _within = self.plugin_runtime.enter();
            plugins(&catalog, config, &config.agent.namespaces, Some(&before)).map(Arc::new)
        } else {
            Ok(before)
        };
        let (plugins, planned) = refused::both(&loaded, plugins, self.publishers(config))?;
        // Folders may be made and locked, which changes nothing for the publishers that there are.
        let publishers = spools::open(planned, |name| self.notifier.spool(name)).await?;
        Ok(Replacement {
            config: loaded.config,
            changes,
            plugins,
            publishers,
        })
    }

    fn publishers(&self, config: &Config) -> Result<Vec<Planned>, PublishersError> {
        // One that stays as it was goes on as it is.
        let known = |publisher: &PublisherConfig| {
            let same = |old: &&PublisherConfig| {
                (&old.name, &old.url, &old.options) == (&publisher.name, &publisher.url, &publisher.options)
            };
            let old = self.config.notifier.publishers.iter().find(same)?;
            // With its queue elsewhere it is another one: that which there is closes with its own.
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

    /// Polls and publishes as another configuration says from now on.
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
                    kept: self.engine.tasks().len(),
                    ..Applied::default()
                }
            }
        };
        // The publishers first: they are in place when this is polled for the first time.
        let (spools, applied) = tokio::join!(biased; publishing, polling);
        self.config = config;
        if let Some(spools) = spools {
            self.tell_of_spools_beside(spools).await;
        }
        applied
    }

    /// Says that the agent stops; what follows must have ended `within` this time.
    pub(crate) fn begin_stop(&self, within: Duration) -> Stopping {
        self.admin.enter(Phase::Stopping);
        Stopping {
            within,
            end: Instant::now() + within,
        }
    }

    /// Stops: no cycle starts any more, those that run end, and what they have is delivered.
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

/// A stop that was announced: how long it may take in all, and until when.
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
    async fn an_agent_polls_is_changed_and_stops_with_everything_delivered() {
        const DISCARD: &str = "{name: a, url: \"discard:\"}";
        let folder = Folder(tempfile::tempdir().unwrap());
        let source = |count: u32| {
            format!(
                "{{name: s, interval: 1, meters: [synthetic.cycle], discovery: [\"synthetic://{count}\"]}}"
            )
        };
        let origin = folder.origin(DISCARD, &source(3));
        let settings = origin.load().unwrap();
        let state = StateDir::take(&settings.loaded.config.agent.state_dir()).unwrap();
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
                kept: 1,
                ..Applied::default()
            }
        );
        assert!(
            Arc::ptr_eq(&kept, &agent.notifier().publisher("a").unwrap()),
            "it stayed as it was"
        );
        cycle(&mut records, 5).await;

        let stop = agent.begin_stop(PATIENCE);
        let report = timeout(PATIENCE, agent.stop(stop)).await.unwrap();
        assert_eq!((report.dropped_samples(), report.publishers.len()), (0, 2));
        let lines = std::fs::read_to_string(samples).unwrap().lines().count();
        assert!(
            lines >= 5 && lines.is_multiple_of(5),
            "whole cycles were written: {lines} lines"
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_cannot_be_prepared_changes_nothing() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let origin = folder.origin("{name: a, url: \"discard:\"}", "");
        let settings = origin.load().unwrap();
        let config = settings.loaded.config.clone();
        let state = StateDir::take(&config.agent.state_dir()).unwrap();
        let agent = Agent::start(settings, &state, false, Handle::current())
            .await
            .unwrap();
        let bad = folder.origin("{name: b, url: \"file://relative\"}", "");
        let refused = agent.prepare(bad.load().unwrap()).await.err().unwrap();
        let lines = refused.lines();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("polling.yaml:2:"), "{lines:?}");
        assert_eq!(agent.config(), &config);
        assert_eq!(agent.notifier().status().len(), 1);
        assert!(agent.notifier().publisher("a").is_some());
    }
}
