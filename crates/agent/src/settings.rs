//! From the command line's options to a checked configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use nephoscope_config::{
    Config, ConfigErrors, Diagnostic, Known, LoadRequest, Loaded, LogFormat, LogLevel, Options, Schemas,
    definitions, lint, load,
};
use nephoscope_plugin::{Catalog, ExpandRequest, OptionsSpec};
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
    /// What is linked into the program.
    pub(crate) catalog: Catalog,
    pub(crate) options: GlobalOptions,
    /// Whether the built-in configuration will do where there is no file.
    built_in: bool,
    /// Whether a definition that an agent would set aside is an error.
    strict_definitions: bool,
}

/// A configuration that can be used.
pub(crate) struct Settings {
    pub(crate) loaded: Loaded,
    /// What is linked into the program, and what its families made of this configuration.
    pub(crate) catalog: Catalog,
    /// The files and folders that it was made of.
    pub(crate) watched: Watched,
    /// What is probably not meant as it is written.
    pub(crate) warnings: Vec<Diagnostic>,
}

/// Files and folders whose changes change a configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watched {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) folders: Vec<PathBuf>,
    /// Of the files in the folders.
    pub(crate) extensions: BTreeSet<String>,
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
    pub(crate) fn new(catalog: Catalog, options: GlobalOptions) -> Self {
        Self {
            strict_definitions: options.strict,
            catalog,
            options,
            built_in: false,
        }
    }

    /// A definition that an agent would set aside is an error.
    #[must_use]
    pub(crate) fn strict_about_definitions(mut self) -> Self {
        self.strict_definitions = true;
        self
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
        request.families = families(&self.catalog);
        request.publishers = publishers(&self.catalog);
        let mut loaded = load(&request).map_err(|errors| SettingsError::Wrong { errors })?;
        if let Some(level) = self.options.log_level {
            loaded.config.agent.log.level = level.into();
        }
        if let Some(format) = self.options.log_format {
            loaded.config.agent.log.format = format.into();
        }
        let mut warnings = std::mem::take(&mut loaded.warnings);
        let state_dir = loaded.config.agent.state_dir();
        let options = values(&loaded.config.plugins);
        let request = ExpandRequest::new(&options, &loaded.config.agent.namespaces).state_dir(&state_dir);
        let expanded = self.catalog.expand(&request);
        match definitions(&loaded, &expanded, self.strict_definitions) {
            Ok(of_definitions) => warnings.extend(of_definitions),
            Err(errors) => return Err(SettingsError::Wrong { errors }),
        }
        let mut extensions = expanded.files.extensions;
        if !loaded.folders.is_empty() {
            extensions.extend(["yaml", "yml"].map(str::to_owned));
        }
        let watched = Watched {
            files: [loaded.files.as_slice(), &expanded.files.files].concat(),
            folders: [loaded.folders.as_slice(), &expanded.files.folders].concat(),
            extensions,
        };
        warnings.extend(lint(&loaded, &known(&expanded.catalog)));
        Ok(Settings {
            loaded,
            catalog: expanded.catalog,
            watched,
            warnings,
        })
    }

    /// Reads and checks the configuration for a command that ends by itself: warnings are told at once, on
    /// standard error.
    pub(crate) fn load_and_tell(&self) -> Result<Settings, SettingsError> {
        let settings = self.load()?;
        settings.tell();
        Ok(settings)
    }
}

/// Makes the plugins that a configuration asks for, after those that were there `before` a reload. Called within
/// a runtime, where plugins may start tasks.
pub(crate) fn plugins(
    catalog: &Catalog,
    config: &Config,
    namespaces: &[String],
    before: Option<&Plugins>,
) -> Result<Plugins, LoadErrors> {
    Plugins::load(&PluginsRequest {
        catalog,
        namespaces,
        options: &values(&config.plugins),
        host: config.agent.host().into(),
        before,
    })
}

/// The options of plugin families as plugins read them.
fn values(options: &BTreeMap<String, Options>) -> BTreeMap<String, serde_json::Value> {
    let options = options.iter();
    options
        .map(|(name, options)| (name.clone(), options.to_value()))
        .collect()
}

impl Settings {
    /// Makes the plugins that the configuration asks for; see [`plugins`].
    pub(crate) fn plugins(&self) -> Result<Plugins, LoadErrors> {
        let config = &self.loaded.config;
        plugins(&self.catalog, config, &config.agent.namespaces, None)
    }

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
pub fn families(catalog: &Catalog) -> Schemas {
    catalog
        .families()
        .map(|family| (family.name.to_owned(), schema(family.options)))
        .collect()
}

/// The options of publishers by scheme.
pub fn publishers(catalog: &Catalog) -> Schemas {
    let schemes = catalog.publishers().iter().flat_map(|publisher| {
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

fn known(catalog: &Catalog) -> Known {
    let mut known = Known::default();
    for discovery in catalog.discoveries() {
        for namespace in &discovery.namespaces {
            known
                .discoveries
                .entry(namespace.to_string())
                .or_default()
                .insert(discovery.name.to_string());
        }
    }
    for pollster in catalog.pollsters() {
        for namespace in &pollster.namespaces {
            let names = known.meters.entry(namespace.to_string()).or_default();
            for meter in &pollster.meters {
                names.insert(meter.name.to_string());
                names.extend(meter.aliases.iter().map(ToString::to_string));
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
