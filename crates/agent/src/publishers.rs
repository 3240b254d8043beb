//! From the configuration's publishers to those that the notifier delivers to.

use std::sync::Arc;

use nephoscope_config::{Config, Notifier as NotifierConfig, Publisher as PublisherConfig};
use nephoscope_notifier::PublisherSetup;
use nephoscope_plugin::{BlockingPool, BuildError, Publisher, PublisherContext, Registry};

/// Where samples go on a terminal when the configuration names no publisher.
const TERMINAL: &str = "stdout:";

/// Why publishers cannot be set up; completes "failed to set up the publishers: ...".
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishersError {
    /// There is none.
    #[error(
        "none is named under `notifier.publishers`, and standard output is no terminal; \
         name one, for example {{name: out, url: \"stdout:\"}}"
    )]
    None,
    /// This program has none for the URL.
    #[error("`{name}`: this program has no publisher for `{scheme}:`")]
    Unknown {
        /// Its name.
        name: String,
        /// The scheme of its URL.
        scheme: String,
    },
    /// It does not take its URL or options, or does not work on this machine.
    #[error("`{name}`")]
    Build {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: BuildError,
    },
}

impl PublishersError {
    /// Whether a better configuration is the way out.
    pub(crate) fn is_configuration(&self) -> bool {
        !matches!(
            self,
            Self::Build {
                source: BuildError::Unavailable(_),
                ..
            }
        )
    }
}

/// The publishers of `config`. Those for which `known` gives one are not made anew. Where the configuration has
/// none, samples go to standard output if that is a `terminal`.
pub(crate) fn set_up(
    registry: &Registry,
    config: &NotifierConfig,
    terminal: bool,
    blocking: &BlockingPool,
    known: impl Fn(&PublisherConfig) -> Option<Arc<dyn Publisher>>,
) -> Result<Vec<PublisherSetup>, PublishersError> {
    if config.publishers.is_empty() {
        if !terminal || registry.publisher("stdout").is_none() {
            return Err(PublishersError::None);
        }
        let name = "terminal";
        let publisher = build(
            registry,
            name,
            "stdout",
            TERMINAL,
            serde_json::Value::Null,
            blocking,
        )?;
        let setup = PublisherSetup {
            name: name.into(),
            url_shown: TERMINAL.into(),
            publisher,
            queue: config.queue,
        };
        return Ok(vec![setup]);
    }
    let setups = config.publishers.iter().map(|publisher| {
        let made = match known(publisher) {
            Some(known) => known,
            None => {
                let options = publisher.options.to_value();
                let (scheme, url) = (publisher.url.scheme(), publisher.url.expose());
                build(registry, &publisher.name, &scheme, url, options, blocking)?
            }
        };
        Ok(PublisherSetup {
            name: publisher.name.as_str().into(),
            url_shown: publisher.url.to_string(),
            publisher: made,
            queue: publisher.queue.unwrap_or(config.queue),
        })
    });
    setups.collect()
}

fn build(
    registry: &Registry,
    name: &str,
    scheme: &str,
    url: &str,
    options: serde_json::Value,
    blocking: &BlockingPool,
) -> Result<Arc<dyn Publisher>, PublishersError> {
    let plugin = registry
        .publisher(scheme)
        .ok_or_else(|| PublishersError::Unknown {
            name: name.to_owned(),
            scheme: scheme.to_owned(),
        })?;
    let context = PublisherContext::new(name.into(), url.to_owned(), options, blocking.clone());
    (plugin.build)(&context).map_err(|source| PublishersError::Build {
        name: name.to_owned(),
        source,
    })
}

/// Whether samples of this configuration go to standard output.
pub(crate) fn use_stdout(config: &Config) -> bool {
    let publishers = &config.notifier.publishers;
    publishers.is_empty()
        || publishers
            .iter()
            .any(|publisher| publisher.url.scheme() == "stdout")
}
