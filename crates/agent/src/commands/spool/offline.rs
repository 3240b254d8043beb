//! The spools of publishers while no agent runs: this program opens them itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nephoscope_admin::HeldBatches;
use nephoscope_config::{Config, Loaded};
use nephoscope_model::Timestamp;
use nephoscope_notifier::spool::{Held, Spool, SpoolOptions, SpoolStatus, Takes};
use nephoscope_notifier::{Notifier, PublisherSetup, PublisherState, PublisherStatus};
use nephoscope_plugin::BlockingPool;
use nephoscope_polling::clock::{Clock, SystemClock};
use tokio::runtime::Handle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::error::ProgramError;
use crate::publishers::{self, PublishersError};
use crate::refused;
use crate::settings::Origin;
use crate::signals::Signals;
use crate::spools::{self, Opened};

use super::report::{Content, Drained, DroppedFrom, kept};
use super::{Chosen, Named};

/// How often it is looked whether spools are empty.
const LOOK: Duration = Duration::from_millis(100);

/// How long it may take to end: what is under way is confirmed, and the position is written.
const END: Duration = Duration::from_secs(5);

/// What is in the spools, and in folders beside them that no publisher uses.
pub(super) async fn list(
    origin: &Origin,
    loaded: &Loaded,
    chosen: &Chosen,
) -> Result<Vec<Content>, ProgramError> {
    let config = &loaded.config;
    let takes = takes(origin, config);
    let mut contents = Vec::new();
    for named in &chosen.spools {
        contents.push(match open(named).await? {
            Some(spool) => {
                let status = spool.status();
                spool.shut().await;
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
    if chosen.all {
        let used: BTreeSet<_> = chosen
            .spools
            .iter()
            .map(|named| named.settings.path.clone())
            .collect();
        let folder = config.notifier.spool_folder(&config.agent.state_dir());
        for path in spools::look(&folder, &used) {
            let opened = Spool::open("none".into(), path, SpoolOptions::default()).await;
            // One that cannot be opened is shown when a publisher names it.
            if let Ok(spool) = opened {
                let status = spool.status();
                spool.shut().await;
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

/// Drops what was stored longer ago than `age`.
pub(super) async fn drop_old(chosen: &Chosen, age: Duration) -> Result<Vec<DroppedFrom>, ProgramError> {
    let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    let time = SystemClock.wall().as_millis().saturating_sub(age);
    let mut all = Vec::new();
    for named in &chosen.spools {
        let dropped = match open(named).await? {
            Some(spool) => {
                let dropped = spool.drop_older_than(time).await.unwrap_or_default();
                spool.shut().await;
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

/// Delivers what is in the spools, until they are empty, nothing was delivered for `patience`, or a signal comes.
pub(super) async fn drain(
    origin: &Origin,
    loaded: &Loaded,
    chosen: &Chosen,
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
    let ((), mut planned) = refused::both(loaded, Ok(()), planned)?;
    // Others have nothing to deliver, and a spool that is not there yet need not be made.
    planned.retain(|planned| {
        let there = planned.spool.as_ref().is_some_and(|spool| spool.path.exists());
        there && chosen.has(&planned.setup.name)
    });
    let opened = spools::open(planned, |_| None).await?;
    let setups: Vec<PublisherSetup> = opened.into_iter().map(Opened::into_setup).collect();
    let notifier = Notifier::start(
        setups,
        publishers::notifier_options(&config.notifier),
        &Handle::current(),
    );
    let at_first: Vec<u64> = notifier.status().iter().map(held).collect();
    tokio::select! {
        () = emptied(&notifier, patience) => {}
        _ = signals.stop() => {}
    }
    // Why something is left is known only before the end.
    let before: Vec<_> = notifier
        .status()
        .into_iter()
        .map(|status| error(&status).or(kept_of(&status).1))
        .collect();
    notifier.shutdown(Instant::now() + END).await;
    let after = notifier.status();
    let mut drained: Vec<Drained> = after
        .iter()
        .zip(at_first)
        .zip(before)
        .map(|((status, held_samples), error)| {
            let left_samples = held(status);
            Drained {
                publisher: status.name.to_string(),
                held_samples,
                left_samples,
                kept_samples: kept_of(status).0,
                error: error.filter(|_| left_samples > 0),
            }
        })
        .collect();
    for named in &chosen.spools {
        if !drained.iter().any(|drained| drained.publisher == named.name) {
            drained.push(Drained {
                publisher: named.name.clone(),
                ..Drained::default()
            });
        }
    }
    Ok(drained)
}

/// Resolves when every spool is empty but for what its publisher does not take, or when none of them gets emptier for `patience`.
async fn emptied(notifier: &Notifier, patience: Duration) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut least = u64::MAX;
    let mut progress = Instant::now();
    loop {
        looks.tick().await;
        let left: u64 = notifier
            .status()
            .iter()
            .map(|status| held(status).saturating_sub(kept_of(status).0))
            .sum();
        if left == 0 {
            return;
        }
        if left < least {
            (least, progress) = (left, Instant::now());
        } else if progress.elapsed() >= patience {
            return;
        }
    }
}

fn held(status: &PublisherStatus) -> u64 {
    let spooled = status.spool.as_ref().map_or(0, |spool| spool.samples);
    spooled + u64::try_from(status.queued_samples).unwrap_or(u64::MAX)
}

/// What the publisher does not take, and why it is left.
fn kept_of(status: &PublisherStatus) -> (u64, Option<String>) {
    let spool = status.spool.as_ref();
    let held = spool.map_or(&[][..], |spool| &spool.held);
    let held: Vec<_> = held.iter().cloned().map(HeldBatches::from).collect();
    kept(&held)
}

/// What the publishers take out of their spools. Nothing is known where they cannot be made.
fn takes(origin: &Origin, config: &Config) -> BTreeMap<String, Takes> {
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
        let takes = Takes::of(publisher.encoding().as_deref(), |kind| publisher.takes(kind));
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

/// Opens a spool whose folder is there.
async fn open(named: &Named) -> Result<Option<Spool>, ProgramError> {
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

fn content(publisher: Option<&str>, status: SpoolStatus, takes: Option<&Takes>) -> Content {
    let encodings = status.held.into_iter().map(|held| {
        let kept = takes.is_some_and(|takes| !takes.includes(&held.contents));
        HeldBatches::from(Held { kept, ..held })
    });
    Content {
        publisher: publisher.map(str::to_owned),
        batches: status.batches,
        samples: status.samples,
        bytes: status.bytes,
        limit_bytes: Some(status.max_bytes),
        oldest: status.oldest.map(|time| Timestamp::from_millis(time).to_string()),
        quarantined_batches: status.quarantine.batches,
        encodings: encodings.collect(),
        path: status.path,
    }
}
