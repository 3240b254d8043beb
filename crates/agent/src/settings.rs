//! From the command line's options to a checked configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use nephoscope_config::{
    Config, ConfigErrors, Diagnostic, Known, LoadRequest, Loaded, LogFormat, LogLevel, Schemas, lint, load,
};
use nephoscope_plugin::{OptionsSpec, Registry};
use nephoscope_polling::engine::EngineOptions;
use nephoscope_polling::limits::LimitOptions;
use nephoscope_polling::plugins::{LoadErrors, LoadRequest as PluginsRequest, Plugins};

use crate::cli::GlobalOptions;
use crate::output::{note, stderr_is_styled};

/// The configuration of who has none: the file at the root of the repository.
const BUILT_IN: &str = include_str!("../../../polling.yaml");

/// Where a configuration comes from, so that it can be read again.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) registry: Arc<Registry>,
    pub(crate) options: GlobalOptions,
    /// Whether the built-in configuration will do where there is no file.
    built_in: bool,
}

/// A configuration that can be used.
pub(crate) struct Settings {
    pub(crate) loaded: Loaded,
    /// What is probably not meant as it is written.
    pub(crate) warnings: Vec<Diagnostic>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// It is wrong in itself, or a plugin does not take its options.
    #[error("{}", errors.render(false))]
    Wrong {
        /// What is wrong.
        errors: ConfigErrors,
    },
}

impl SettingsError {
    /// The diagnostics as people read them, with blank lines between them.
    pub(crate) fn render(&self, color: bool) -> String {
        match self {
            Self::Wrong { errors } => errors.render(color),
        }
    }

    /// Each diagnostic in one line, for the log.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Self::Wrong { errors } => errors.errors().iter().map(Diagnostic::one_line).collect(),
        }
    }
}

impl Origin {
    /// The usual places, or those that the command line names.
    pub(crate) fn new(registry: Arc<Registry>, options: GlobalOptions) -> Self {
        Self {
            registry,
            options,
            built_in: false,
        }
    }

    /// Falls back on the built-in configuration if `yes`.
    #[must_use]
    pub(crate) fn or_built_in(mut self, yes: bool) -> Self {
        self.built_in = yes;
        self
    }

    /// Reads and checks the configuration.
    pub(crate) fn load(&self) -> Result<Settings, SettingsError> {
        let mut request = LoadRequest::new(BUILT_IN);
        request.paths.clone_from(&self.options.config);
        request.strict = self.options.strict;
        request.namespaces = (!self.options.namespaces.is_empty()).then(|| self.options.namespaces.clone());
        request.terminal = self.built_in;
        request.families = families(&self.registry);
        request.publishers = publishers(&self.registry);
        let mut loaded = load(&request).map_err(|errors| SettingsError::Wrong { errors })?;
        if let Some(level) = self.options.log_level {
            loaded.config.agent.log.level = level.into();
        }
        if let Some(format) = self.options.log_format {
            loaded.config.agent.log.format = format.into();
        }
        let mut warnings = std::mem::take(&mut loaded.warnings);
        warnings.extend(lint(&loaded, &known(&self.registry)));
        Ok(Settings { loaded, warnings })
    }

    /// Reads and checks the configuration for a command that ends by itself: warnings are told at once, on
    /// standard error.
    pub(crate) fn load_and_tell(&self) -> Result<Settings, SettingsError> {
        let settings = self.load()?;
        settings.tell();
        Ok(settings)
    }

    /// Makes the plugins that a configuration asks for, after those that were there `before` a reload. Called within
    /// a runtime, where plugins may start tasks.
    pub(crate) fn plugins(
        &self,
        config: &Config,
        namespaces: &[String],
        before: Option<&Plugins>,
    ) -> Result<Plugins, LoadErrors> {
        let options: BTreeMap<_, _> = config
            .plugins
            .iter()
            .map(|(name, options)| (name.clone(), options.to_value()))
            .collect();
        Plugins::load(&PluginsRequest {
            registry: &self.registry,
            namespaces,
            options: &options,
            host: config.agent.host().into(),
            before,
        })
    }
}

impl Settings {
    /// Shows the warnings on standard error, and says when the configuration is the built-in one.
    pub(crate) fn tell(&self) {
        for warning in &self.warnings {
            note(&format!("{}\n", warning.render(stderr_is_styled())));
        }
        if self.loaded.built_in {
            note("no configuration found: polling this machine with the built-in polling.yaml");
        }
    }
}

/// The options of plugin families, for checking what stands under `plugins`.
pub fn families(registry: &Registry) -> Schemas {
    registry
        .families
        .values()
        .map(|family| (family.name.to_owned(), schema(family.options)))
        .collect()
}

/// The options of publishers by scheme.
pub fn publishers(registry: &Registry) -> Schemas {
    let schemes = registry.publishers.iter().flat_map(|publisher| {
        publisher
            .schemes
            .iter()
            .map(|scheme| ((*scheme).to_owned(), schema(publisher.options)))
    });
    schemes.collect()
}

fn schema(options: Option<OptionsSpec>) -> Option<serde_json::Value> {
    options.map(|options| options.schema().into())
}

fn known(registry: &Registry) -> Known {
    let mut known = Known::default();
    for discovery in &registry.discoveries {
        for namespace in discovery.namespaces {
            known
                .discoveries
                .entry((*namespace).to_owned())
                .or_default()
                .insert(discovery.name.to_owned());
        }
    }
    for pollster in &registry.pollsters {
        for namespace in pollster.namespaces {
            let names = known.meters.entry((*namespace).to_owned()).or_default();
            for meter in pollster.meters {
                names.insert(meter.name.to_owned());
                names.extend(meter.aliases.iter().map(|alias| (*alias).to_owned()));
            }
        }
    }
    known
}

/// What the engine must know of a configuration; where finished cycles are remembered is the caller's.
pub(crate) fn engine_options(config: &Config) -> EngineOptions {
    let agent = &config.agent;
    EngineOptions {
        agent_id: agent.id().into(),
        host: agent.host().into(),
        sample_source: agent.sample_source.as_str().into(),
        batch_size: config.notifier.batch_size,
        batch_age: config.notifier.batch_age.into(),
        limits: LimitOptions {
            polls: agent.limits.polls,
            endpoint: agent.limits.endpoint,
            listing: agent.limits.listing,
        },
        splay: agent.splay,
        // An agent that is alone shares with nobody.
        shared_in_progress: true,
        state_dir: None,
    }
}

/// What commands log that end by themselves: problems alone, unless asked for more.
pub(crate) fn quiet_log(options: &GlobalOptions) -> (LogLevel, LogFormat) {
    let level = options.log_level.map_or(LogLevel::Error, LogLevel::from);
    let format = options.log_format.map_or(LogFormat::Text, LogFormat::from);
    (level, format)
}
