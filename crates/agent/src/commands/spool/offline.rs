//! Spool commands while no agent runs: the command opens the spools itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nephoscope_admin::SpooledEncoding;
use nephoscope_config::{Config, Loaded};
use nephoscope_model::Timestamp;
use nephoscope_notifier::spool::{AcceptedContents, Spool, SpoolOptions, SpoolStatus, StoredContents};
use nephoscope_notifier::{Notifier, PublisherSetup, PublisherState, PublisherStatus};
use nephoscope_plugin::BlockingPool;
use nephoscope_polling::clock::{Clock, SystemClock};
use tokio::runtime::Handle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::error::ProgramError;
use crate::option_errors;
use crate::publishers::{self, PublishersError};
use crate::settings::Origin;
use crate::signals::Signals;
use crate::spools::{self, Opened};

use super::report::{Content, Drained, DroppedFrom, unsupported};
use super::{NamedSpool, Selection};

/// The interval of checks whether the spools are empty.
const CHECK: Duration = Duration::from_millis(100);

/// The timeout of the shutdown: batches in flight are confirmed, and the position is written.
const END: Duration = Duration::from_secs(5);

/// Returns the contents of the selected spools, and of folders that no publisher uses.
pub(super) async fn list(
    origin: &Origin,
    loaded: &Loaded,
    selection: &Selection,
) -> Result<Vec<Content>, ProgramError> {
    let config = &loaded.config;
    let takes = takes(origin, config);
    let mut contents = Vec::new();
    for named in &selection.spools {
        contents.push(match open(named).await? {
            Some(spool) => {
                let status = spool.status();
                spool.shutdown().await;
                content(Some(&named.name), status, takes.get(&named.name))
            }
            None => Content {
                publisher: Some(named.name.clone()),
                limit_bytes: Some(named.settings.max_bytes),
                path: named.settings.path.clone(),
                ..Content::default()
            },
        });
    }
    if selection.all {
        let used: BTreeSet<_> = selection
            .spools
            .iter()
            .map(|named| named.settings.path.clone())
            .collect();
        let folder = config.notifier.spool_folder(&config.agent.state_dir());
        for path in spools::find_unused(&folder, &used) {
            let opened = Spool::open("none".into(), path, SpoolOptions::default()).await;
            // A folder that cannot be opened is skipped. The error is shown if a publisher uses it.
            if let Ok(spool) = opened {
                let status = spool.status();
                spool.shutdown().await;
                let limit_bytes = None;
                let content = content(None, status, None);
                contents.push(Content {
                    limit_bytes,
                    ..content
                });
            }
        }
    }
    Ok(contents)
}

/// Drops samples that are older than `age`.
pub(super) async fn drop_old(selection: &Selection, age: Duration) -> Result<Vec<DroppedFrom>, ProgramError> {
    let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    let time = SystemClock.wall().as_millis().saturating_sub(age);
    let mut all = Vec::new();
    for named in &selection.spools {
        let dropped = match open(named).await? {
            Some(spool) => {
                let dropped = spool.drop_older_than(time).await.unwrap_or_default();
                spool.shutdown().await;
                dropped
            }
            None => Default::default(),
        };
        all.push(DroppedFrom {
            publisher: named.name.clone(),
            dropped_batches: dropped.batches,
            dropped_samples: dropped.samples,
        });
    }
    Ok(all)
}

/// Delivers the samples until the spools are empty, until nothing was delivered for `patience`, or until a signal.
pub(super) async fn drain(
    origin: &Origin,
    loaded: &Loaded,
    selection: &Selection,
    patience: Duration,
) -> Result<Vec<Drained>, ProgramError> {
    let mut signals = Signals::listen().map_err(ProgramError::Signals)?;
    let config = &loaded.config;
    let blocking = BlockingPool::default();
    let planned = publishers::set_up(
        &origin.catalog,
        &config.notifier,
        &config.agent.state_dir(),
        false,
        &blocking,
        |_| None,
    );
    let ((), mut planned) = option_errors::combine(loaded, Ok(()), planned)?;
    // Other publishers have nothing to deliver, and missing spools are not created.
    planned.retain(|planned| {
        let exists = planned.spool.as_ref().is_some_and(|spool| spool.path.exists());
        exists && selection.has(&planned.setup.name)
    });
    let opened = spools::open(planned, |_| None).await?;
    let setups: Vec<PublisherSetup> = opened.into_iter().map(Opened::into_setup).collect();
    let notifier = Notifier::start(
        setups,
        publishers::notifier_options(&config.notifier),
        &Handle::current(),
    );
    let initial: Vec<u64> = notifier.status().iter().map(samples).collect();
    tokio::select! {
        () = emptied(&notifier, patience) => {}
        _ = signals.stop() => {}
    }
    // The shutdown clears the errors.
    let errors: Vec<_> = notifier
        .status()
        .into_iter()
        .map(|status| error(&status).or(unsupported_in(&status).1))
        .collect();
    notifier.shutdown(Instant::now() + END).await;
    let after = notifier.status();
    let mut drained: Vec<Drained> = after
        .iter()
        .zip(initial)
        .zip(errors)
        .map(|((status, initial_samples), error)| {
            let remaining_samples = samples(status);
            Drained {
                publisher: status.name.to_string(),
                initial_samples,
                remaining_samples,
                unsupported_samples: unsupported_in(status).0,
                error: error.filter(|_| remaining_samples > 0),
            }
        })
        .collect();
    for named in &selection.spools {
        if !drained.iter().any(|drained| drained.publisher == named.name) {
            drained.push(Drained {
                publisher: named.name.clone(),
                ..Drained::default()
            });
        }
    }
    Ok(drained)
}

/// Resolves when all spools are empty except for unsupported encodings, or after `patience` without progress.
async fn emptied(notifier: &Notifier, patience: Duration) {
    let mut checks = interval(CHECK);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut least = u64::MAX;
    let mut progress = Instant::now();
    loop {
        checks.tick().await;
        let remaining: u64 = notifier
            .status()
            .iter()
            .map(|status| samples(status).saturating_sub(unsupported_in(status).0))
            .sum();
        if remaining == 0 {
            return;
        }
        if remaining < least {
            (least, progress) = (remaining, Instant::now());
        } else if progress.elapsed() >= patience {
            return;
        }
    }
}

fn samples(status: &PublisherStatus) -> u64 {
    let spooled = status.spool.as_ref().map_or(0, |spool| spool.samples);
    spooled + u64::try_from(status.queued_samples).unwrap_or(u64::MAX)
}

/// Returns the number of samples in unsupported encodings, and a description.
fn unsupported_in(status: &PublisherStatus) -> (u64, Option<String>) {
    let spool = status.spool.as_ref();
    let held = spool.map_or(&[][..], |spool| &spool.contents);
    let encodings: Vec<_> = held.iter().cloned().map(SpooledEncoding::from).collect();
    unsupported(&encodings)
}

/// Returns the encodings that the publishers support. Returns nothing if a publisher cannot be built.
fn takes(origin: &Origin, config: &Config) -> BTreeMap<String, AcceptedContents> {
    let state_dir = config.agent.state_dir();
    let blocking = BlockingPool::default();
    let made = publishers::set_up(
        &origin.catalog,
        &config.notifier,
        &state_dir,
        false,
        &blocking,
        |_| None,
    );
    let takes = made.unwrap_or_default().into_iter().map(|planned| {
        let publisher = planned.setup.publisher;
        let takes = AcceptedContents::of(publisher.encoding().as_deref(), |kind| publisher.accepts(kind));
        (planned.setup.name.to_string(), takes)
    });
    takes.collect()
}

fn error(status: &PublisherStatus) -> Option<String> {
    match &status.state {
        PublisherState::Retrying { error, .. } => Some(error.to_string()),
        PublisherState::Blocked { error, .. } => error.as_ref().map(ToString::to_string),
        PublisherState::Idle
        | PublisherState::Delivering
        | PublisherState::Draining { .. }
        | PublisherState::Stopped => None,
    }
}

/// Opens a spool if its folder exists.
async fn open(named: &NamedSpool) -> Result<Option<Spool>, ProgramError> {
    if !named.settings.path.exists() {
        return Ok(None);
    }
    let options = spools::options(&named.settings);
    let opened = Spool::open(named.name.as_str().into(), named.settings.path.clone(), options).await;
    match opened {
        Ok(spool) => Ok(Some(spool)),
        Err(source) => {
            let name = named.name.clone();
            Err(PublishersError::Spool { name, source }.into())
        }
    }
}

fn content(publisher: Option<&str>, status: SpoolStatus, takes: Option<&AcceptedContents>) -> Content {
    let encodings = status.contents.into_iter().map(|held| {
        let kept = takes.is_some_and(|takes| !takes.includes(&held.contents));
        SpooledEncoding::from(StoredContents {
            unsupported: kept,
            ..held
        })
    });
    Content {
        publisher: publisher.map(str::to_owned),
        batches: status.batches,
        samples: status.samples,
        bytes: status.bytes,
        limit_bytes: Some(status.max_bytes),
        oldest: status
            .oldest_time
            .map(|time| Timestamp::from_millis(time).to_string()),
        dead_letter_batches: status.dead_letter.batches,
        encodings: encodings.collect(),
        path: status.path,
    }
}
