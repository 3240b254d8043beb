//! Builds the configured publishers for the notifier.

use std::path::Path;
use std::sync::Arc;

use nephoscope_config::{
    Config, Notifier as NotifierConfig, Publisher as PublisherConfig, SpoolOrder, SpoolSettings,
};
use nephoscope_model::{Encoding, Signer};
use nephoscope_notifier::spool::OpenError;
use nephoscope_notifier::{NotifierOptions, PublisherSetup, Selectors};
use nephoscope_plugin::{BlockingPool, BuildError, Catalog, OptionsError, Publisher, PublisherContext};

use crate::routing;

/// The URL of the publisher for a terminal if the configuration names no publisher.
const TERMINAL: &str = "stdout:";

/// A publisher and the settings of its spool, which is not open yet.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) setup: PublisherSetup,
    pub(crate) spool: Option<SpoolSettings>,
}

/// An error of the publishers; completes "failed to set up the publishers: ...".
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishersError {
    /// No publisher is configured.
    #[error(
        "`notifier.publishers` is empty, and standard output is not a terminal; \
         add a publisher, for example {{name: out, url: \"stdout:\"}}"
    )]
    None,
    /// The program has no publisher for the URL.
    #[error("`{name}`: this program has no publisher for `{scheme}:`")]
    Unknown {
        /// The name of the publisher.
        name: String,
        /// The scheme of its URL.
        scheme: String,
    },
    /// The publisher does not work on this machine.
    #[error("`{name}`: {reason}")]
    Unavailable {
        /// The name of the publisher.
        name: String,
        /// The reason.
        reason: String,
    },
    /// Publishers reject their URLs or options: the index in `notifier.publishers` and the error of each.
    #[error("invalid options")]
    Options(Vec<(usize, OptionsError)>),
    /// The spool of a publisher cannot be opened.
    #[error("open the spool of `{name}`")]
    Spool {
        /// The name of the publisher.
        name: String,
        /// The cause.
        #[source]
        source: OpenError,
    },
}

impl PublishersError {
    /// Returns whether the configuration causes the error.
    pub(crate) fn is_configuration(&self) -> bool {
        !matches!(self, Self::Unavailable { .. } | Self::Spool { .. })
    }
}

/// Returns the options of the notifier. An empty secret is the same as no secret, as in ceilometer.
pub(crate) fn notifier_options(config: &NotifierConfig) -> NotifierOptions {
    let signer = config
        .signing_secret
        .as_ref()
        .and_then(|secret| Signer::new(secret.expose()));
    NotifierOptions {
        signer: signer.map(Arc::new),
        ..NotifierOptions::default()
    }
}

/// Returns the settings of a publisher's spool, if it has one.
pub(crate) fn spool_of(
    catalog: &Catalog,
    config: &NotifierConfig,
    publisher: &PublisherConfig,
    state_dir: &Path,
) -> Option<SpoolSettings> {
    let plugin = catalog.publisher(&publisher.url.scheme());
    config.spool_of(publisher, plugin.is_some_and(|plugin| plugin.spool), state_dir)
}

/// Builds the publishers of `config` without opening their spools. Reuses publishers that `known` returns. If the configuration
/// has no publisher, samples are written to standard output if that is a `terminal`.
pub(crate) fn set_up(
    catalog: &Catalog,
    config: &NotifierConfig,
    state_dir: &Path,
    terminal: bool,
    blocking: &BlockingPool,
    known: impl Fn(&PublisherConfig) -> Option<Arc<dyn Publisher>>,
) -> Result<Vec<Planned>, PublishersError> {
    if config.publishers.is_empty() {
        if !terminal || catalog.publisher("stdout").is_none() {
            return Err(PublishersError::None);
        }
        let name = "terminal";
        let options = serde_json::Value::Null;
        let publisher = build(catalog, 0, name, "stdout", TERMINAL, options, blocking)?;
        let setup = PublisherSetup {
            name: name.into(),
            url_shown: TERMINAL.into(),
            publisher,
            queue: config.queue,
            spool: None,
            selectors: Selectors::default(),
        };
        return Ok(vec![Planned { setup, spool: None }]);
    }
    let setups = config.publishers.iter().enumerate().map(|(index, publisher)| {
        let made = match known(publisher) {
            Some(known) => known,
            None => {
                let options = publisher.options.to_value();
                let (scheme, url) = (publisher.url.scheme(), publisher.url.expose());
                build(catalog, index, &publisher.name, &scheme, url, options, blocking)?
            }
        };
        let mut spool = spool_of(catalog, config, publisher, state_dir);
        if let Some(spool) = &mut spool
            && made.needs_order()
            && config.spool_order_of(publisher).is_none()
        {
            spool.order = SpoolOrder::Fifo;
        }
        let storable = |encoding: Arc<dyn Encoding>| encoding.id().is_valid();
        if spool.is_some() && !made.encoding().is_some_and(storable) {
            let message = "this publisher does not support a spool";
            return Err(invalid(index, "spool", message.to_owned()));
        }
        let setup = PublisherSetup {
            name: publisher.name.as_str().into(),
            url_shown: publisher.url.to_string(),
            publisher: made,
            queue: publisher.queue.unwrap_or(config.queue),
            spool: None,
            selectors: routing::selectors(publisher)
                .map_err(|error| invalid(index, "meters", error.to_string()))?,
        };
        Ok(Planned { setup, spool })
    });
    let planned = all(setups)?;
    check_folders_are_distinct(&planned)?;
    Ok(planned)
}

fn check_folders_are_distinct(planned: &[Planned]) -> Result<(), PublishersError> {
    let folder = |planned: &Planned| planned.spool.as_ref().map(|spool| spool.path.clone());
    for (index, one) in planned.iter().enumerate() {
        let mut before = planned.iter().take(index);
        let same = before.find(|other| folder(one).is_some() && folder(one) == folder(other));
        if let Some(other) = same {
            let message = format!(
                "the publisher `{}` uses this folder for its spool",
                other.setup.name
            );
            return Err(invalid(index, "spool.path", message));
        }
    }
    Ok(())
}

fn invalid(index: usize, path: &str, message: String) -> PublishersError {
    let path = path.to_owned();
    PublishersError::Options(vec![(index, OptionsError::new(path, message))])
}

/// Returns all publishers, or the errors: all option errors if there are any, otherwise the first other error.
fn all<T>(made: impl Iterator<Item = Result<T, PublishersError>>) -> Result<Vec<T>, PublishersError> {
    let (mut good, mut options, mut other) = (Vec::new(), Vec::new(), None);
    for made in made {
        match made {
            Ok(made) => good.push(made),
            Err(PublishersError::Options(errors)) => options.extend(errors),
            Err(error) => other = other.or(Some(error)),
        }
    }
    match other {
        _ if !options.is_empty() => Err(PublishersError::Options(options)),
        Some(error) => Err(error),
        None => Ok(good),
    }
}

fn build(
    catalog: &Catalog,
    index: usize,
    name: &str,
    scheme: &str,
    url: &str,
    options: serde_json::Value,
    blocking: &BlockingPool,
) -> Result<Arc<dyn Publisher>, PublishersError> {
    let plugin = catalog
        .publisher(scheme)
        .ok_or_else(|| PublishersError::Unknown {
            name: name.to_owned(),
            scheme: scheme.to_owned(),
        })?;
    let context = PublisherContext::new(name.into(), url.to_owned(), options, blocking.clone());
    (plugin.build)(&context).map_err(|error| match error {
        BuildError::Options(error) => PublishersError::Options(vec![(index, error)]),
        BuildError::Unavailable(reason) => PublishersError::Unavailable {
            name: name.to_owned(),
            reason,
        },
        other => PublishersError::Unavailable {
            name: name.to_owned(),
            reason: other.to_string(),
        },
    })
}

/// Returns whether this configuration writes samples to standard output.
pub(crate) fn use_stdout(config: &Config) -> bool {
    let publishers = &config.notifier.publishers;
    publishers.is_empty()
        || publishers
            .iter()
            .any(|publisher| publisher.url.scheme() == "stdout")
}

#[cfg(test)]
mod tests {
    use nephoscope_file as _;

    use super::*;
    use crate::cli::GlobalOptions;
    use crate::settings::Origin;

    fn set_up_of(publishers: &str, terminal: bool) -> Result<Vec<Planned>, PublishersError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("polling.yaml");
        std::fs::write(
            &file,
            format!("sources: []\nnotifier: {{queue: 7, publishers: [{publishers}]}}\n"),
        )
        .unwrap();
        let catalog = Catalog::collect().unwrap();
        let options = GlobalOptions {
            config: vec![file],
            ..Default::default()
        };
        let config = Origin::new(catalog.clone(), options)
            .load()
            .unwrap()
            .loaded
            .config;
        set_up(
            &catalog,
            &config.notifier,
            Path::new("/state"),
            terminal,
            &BlockingPool::default(),
            |_| None,
        )
    }

    #[test]
    fn without_a_publisher_samples_are_printed_only_on_a_terminal() {
        let setups = set_up_of("", true).unwrap();
        assert_eq!(
            (
                setups.len(),
                setups[0].setup.url_shown.as_str(),
                setups[0].setup.queue
            ),
            (1, "stdout:", 7)
        );
        let error = set_up_of("", false).unwrap_err();
        assert!(error.is_configuration());
        insta::assert_snapshot!(error, @r#"
        `notifier.publishers` is empty, and standard output is not a terminal; add a publisher, for example {name: out, url: "stdout:"}
        "#);
    }

    #[test]
    fn each_publisher_has_its_own_queue() {
        let setups = set_up_of(
            "{name: a, url: \"discard:\"}, {name: b, url: \"DISCARD:\", queue: 3}",
            false,
        )
        .unwrap();
        let shown: Vec<_> = setups
            .iter()
            .map(|planned| (&*planned.setup.name, planned.setup.queue))
            .collect();
        assert_eq!(shown, [("a", 7), ("b", 3)]);
    }

    #[test]
    fn a_spool_needs_a_publisher_that_supports_it() {
        let planned = set_up_of(
            "{name: a, url: \"file:///x\", spool: {}}, {name: b, url: \"file:///y\"}",
            false,
        )
        .unwrap();
        let paths: Vec<_> = planned
            .iter()
            .map(|planned| planned.spool.as_ref().map(|spool| spool.path.as_path()))
            .collect();
        assert_eq!(paths, [Some(Path::new("/state/spool/a")), None]);
        let rejected = |publishers: &str| match set_up_of(publishers, false).unwrap_err() {
            PublishersError::Options(errors) => {
                let (index, error) = &errors[0];
                format!("{index} {}: {}", error.path, error.message)
            }
            other => panic!("{other}"),
        };
        assert_eq!(
            rejected("{name: a, url: \"discard:\", spool: {}}"),
            "0 spool: this publisher does not support a spool"
        );
        assert_eq!(
            rejected(
                "{name: a, url: \"file:///x\", spool: {path: /s}}, {name: b, url: \"file:///y\", spool: {path: /s}}"
            ),
            "1 spool.path: the publisher `a` uses this folder for its spool"
        );
    }

    #[test]
    fn all_rejected_urls_are_reported() {
        let bad =
            "{name: a, url: \"file://relative\"}, {name: b, url: \"stdout:\"}, {name: c, url: \"discard:x\"}";
        let PublishersError::Options(errors) = set_up_of(bad, false).unwrap_err() else {
            panic!("not an options error");
        };
        let shown: Vec<_> = errors
            .iter()
            .map(|(index, error)| (*index, error.path.as_str()))
            .collect();
        assert_eq!(shown, [(0, "url"), (2, "url")]);
    }
}
