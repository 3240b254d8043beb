//! Loads the configuration as the command line specifies.

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

/// The built-in configuration: the file at the root of the repository.
const BUILT_IN: &str = include_str!("../../../polling.yaml");

/// The source of a configuration, for loading it again.
#[derive(Clone)]
pub(crate) struct Origin {
    /// The plugins of the program.
    pub(crate) catalog: Catalog,
    pub(crate) options: GlobalOptions,
    /// Whether the built-in configuration is used without a file.
    built_in: bool,
    /// Whether a rejected definition is an error instead of a warning.
    strict_definitions: bool,
}

/// A valid configuration.
pub(crate) struct Settings {
    pub(crate) loaded: Loaded,
    /// The plugins of the program, expanded with this configuration.
    pub(crate) catalog: Catalog,
    /// The files and folders of the configuration.
    pub(crate) watched: Watched,
    /// Warnings about probable mistakes.
    pub(crate) warnings: Vec<Diagnostic>,
}

/// Files and folders whose changes affect a configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watched {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) folders: Vec<PathBuf>,
    /// The extensions of the files in the folders.
    pub(crate) extensions: BTreeSet<String>,
}

/// An error of the configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// The configuration or the options of plugins are invalid.
    #[error("{}", errors.render(false))]
    Invalid {
        /// The errors.
        errors: ConfigErrors,
    },
}

impl SettingsError {
    /// Returns the full diagnostics, separated by blank lines.
    pub(crate) fn render(&self, color: bool) -> String {
        match self {
            Self::Invalid { errors } => errors.render(color),
        }
    }

    /// Returns one line per diagnostic, for the log.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Self::Invalid { errors } => errors.errors().iter().map(Diagnostic::one_line).collect(),
        }
    }
}

impl Origin {
    /// Creates a source with the default files, or the files of the command line.
    pub(crate) fn new(catalog: Catalog, options: GlobalOptions) -> Self {
        Self {
            strict_definitions: options.strict,
            catalog,
            options,
            built_in: false,
        }
    }

    /// Makes rejected definitions errors.
    #[must_use]
    pub(crate) fn strict_about_definitions(mut self) -> Self {
        self.strict_definitions = true;
        self
    }

    /// Uses the built-in configuration without a file if `yes`.
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
        let mut loaded = load(&request).map_err(|errors| SettingsError::Invalid { errors })?;
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
            Err(errors) => return Err(SettingsError::Invalid { errors }),
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

    /// Reads and checks the configuration, and prints warnings on standard error.
    pub(crate) fn load_and_warn(&self) -> Result<Settings, SettingsError> {
        let settings = self.load()?;
        settings.print_warnings();
        Ok(settings)
    }
}

/// Builds the plugins of a configuration. A reload passes the plugins `before` it. Must be called within a runtime, because plugins
/// may start tasks.
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

/// Returns the options of plugin families as JSON values.
fn values(options: &BTreeMap<String, Options>) -> BTreeMap<String, serde_json::Value> {
    let options = options.iter();
    options
        .map(|(name, options)| (name.clone(), options.to_value()))
        .collect()
}

impl Settings {
    /// Builds the plugins of the configuration; see [`plugins`].
    pub(crate) fn plugins(&self) -> Result<Plugins, LoadErrors> {
        let config = &self.loaded.config;
        plugins(&self.catalog, config, &config.agent.namespaces, None)
    }

    /// Prints the warnings on standard error, and a note if the configuration is the built-in one.
    pub(crate) fn print_warnings(&self) {
        for warning in &self.warnings {
            note(&format!("{}\n", warning.render(stderr_is_styled())));
        }
        if self.loaded.built_in {
            note("no configuration found: polling this machine with the built-in polling.yaml");
        }
    }
}

/// Returns the schemas of the options under `plugins`, by plugin family.
pub fn families(catalog: &Catalog) -> Schemas {
    catalog
        .families()
        .map(|family| (family.name.to_owned(), schema(family.options)))
        .collect()
}

/// Returns the schemas of publisher options, by URL scheme.
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

/// Returns the options of the engine. The caller sets the state folder.
pub(crate) fn engine_options(config: &Config) -> EngineOptions {
    let agent = &config.agent;
    EngineOptions {
        agent_id: agent.id().into(),
        host: agent.host().into(),
        sample_source: agent.sample_source.as_str().into(),
        batch_size: config.notifier.batch_size,
        flush_interval: config.notifier.flush_interval.into(),
        limits: LimitOptions {
            max_concurrent_polls: agent.limits.max_concurrent_polls,
            max_concurrent_polls_per_endpoint: agent.limits.max_concurrent_polls_per_endpoint,
            max_resources_per_discovery: agent.limits.max_resources_per_discovery,
        },
        splay: agent.splay,
        // An agent without a pool polls shared units of the current cycle.
        shared_in_progress: true,
        state_dir: None,
    }
}

/// Returns the log options of commands that exit by themselves: errors only by default.
pub(crate) fn quiet_log(options: &GlobalOptions) -> (LogLevel, LogFormat) {
    let level = options.log_level.map_or(LogLevel::Error, LogLevel::from);
    let format = options.log_format.map_or(LogFormat::Text, LogFormat::from);
    (level, format)
}
