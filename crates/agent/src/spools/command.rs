//! `nephoscope spool`: lists what is in the spools of publishers, delivers it, or drops what is old.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Method;
use nephoscope_config::{Admin, Config, SpoolSettings, nearest};
use serde::Deserialize;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::admin::{DRAIN_PATH, DROP_PATH};
use crate::cli::SpoolArgs;
use crate::error::{Exit, ProgramError};
use crate::logs;
use crate::publishers::spool_of;
use crate::runtimes::Runtimes;
use crate::settings::{Origin, Settings, quiet_log};
use crate::spools::client::{self, ClientError};
use crate::spools::offline;
use crate::spools::report::{Content, Drained, DroppedFrom, show};
use crate::state::{StateDir, StateError};

/// How often a running agent is asked whether spools are empty.
const ASK: Duration = Duration::from_millis(250);

/// Where an agent says what its publishers have.
const PUBLISHERS: &str = "/api/v1/publishers";

/// The spools that are meant.
pub(crate) struct Chosen {
    pub(crate) spools: Vec<Named>,
    /// Whether no names were given.
    pub(crate) all: bool,
}

/// The spool of a publisher.
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) settings: SpoolSettings,
}

impl Chosen {
    fn of(origin: &Origin, config: &Config, names: &[String]) -> Result<Self, ProgramError> {
        let state_dir = config.agent.state_dir();
        let spools = config.notifier.publishers.iter().filter_map(|publisher| {
            let settings = spool_of(&origin.catalog, &config.notifier, publisher, &state_dir)?;
            let name = publisher.name.clone();
            Some(Named { name, settings })
        });
        let mut spools: Vec<Named> = spools.collect();
        for name in names {
            if !spools.iter().any(|spool| spool.name == *name) {
                let known = spools.iter().map(|spool| spool.name.as_str());
                let near = nearest(name, known).map(str::to_owned);
                let name = name.clone();
                return Err(ProgramError::NoSpool { name, near });
            }
        }
        spools.retain(|spool| names.is_empty() || names.contains(&spool.name));
        Ok(Self {
            spools,
            all: names.is_empty(),
        })
    }

    /// Whether the spool of this publisher is meant.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.spools.iter().any(|spool| spool.name == name)
    }
}

/// Does what is asked for, through the agent that runs on the state folder if there is one.
pub(crate) fn spool(origin: &Origin, args: &SpoolArgs) -> Result<Exit, ProgramError> {
    let (level, form) = quiet_log(&origin.options);
    logs::start(level, form);
    let settings = origin.load_and_tell()?;
    let chosen = Chosen::of(origin, &settings.loaded.config, &args.publishers)?;
    let runtimes = Runtimes::start().map_err(ProgramError::Runtime)?;
    let exit = runtimes.core.block_on(act(origin, &settings, &chosen, args));
    runtimes.end();
    exit
}

async fn act(
    origin: &Origin,
    settings: &Settings,
    chosen: &Chosen,
    args: &SpoolArgs,
) -> Result<Exit, ProgramError> {
    let loaded = &settings.loaded;
    let config = &loaded.config;
    let format = args.printing.format();
    let patience = Duration::from(args.timeout);
    let hold = Hold::take(&config.agent.state_dir())?;
    let agent = if hold.by_agent {
        let socket = socket(config)?;
        Some(Running { socket, chosen })
    } else {
        None
    };
    if args.drain {
        let drained = match &agent {
            Some(agent) => agent.drain(patience).await?,
            None => offline::drain(origin, loaded, chosen, patience).await?,
        };
        let left = drained.iter().any(|drained| drained.left_samples > 0);
        show(drained, format)?;
        return Ok(if left { Exit::Failed } else { Exit::Done });
    }
    if let Some(age) = args.drop_older_than {
        let age = Duration::from(age);
        let dropped = match &agent {
            Some(agent) => agent.drop_old(age).await?,
            None => offline::drop_old(chosen, age).await?,
        };
        show(dropped, format)?;
        return Ok(Exit::Done);
    }
    let contents = match &agent {
        Some(agent) => agent.list().await?,
        None => offline::list(config, chosen).await?,
    };
    show(contents, format)?;
    Ok(Exit::Done)
}

/// The state folder, if it is there.
struct Hold {
    /// Whether an agent runs on it.
    by_agent: bool,
    /// Otherwise it is held here: no agent starts while spools are open.
    _state: Option<StateDir>,
}

impl Hold {
    fn take(state_dir: &Path) -> Result<Self, ProgramError> {
        let there = state_dir.exists();
        match there.then(|| StateDir::take(state_dir)).transpose() {
            Ok(state) => Ok(Self {
                by_agent: false,
                _state: state,
            }),
            Err(StateError::Held { .. }) => Ok(Self {
                by_agent: true,
                _state: None,
            }),
            Err(error) => Err(error.into()),
        }
    }
}

fn socket(config: &Config) -> Result<PathBuf, ClientError> {
    match config.agent.admin() {
        Admin::Unix(path) => Ok(path),
        Admin::Off | Admin::Tcp(_) => Err(ClientError::NoSocket {
            state_dir: config.agent.state_dir(),
        }),
    }
}

/// An agent that runs.
struct Running<'a> {
    socket: PathBuf,
    chosen: &'a Chosen,
}

/// What an agent says of its publishers, as far as it matters here.
#[derive(Deserialize)]
struct Publishers {
    publishers: Vec<Publisher>,
}

#[derive(Deserialize)]
struct Publisher {
    name: String,
    error: Option<String>,
    spool: Option<Spool>,
}

#[derive(Deserialize)]
struct Spool {
    samples: u64,
    batches: u64,
    bytes: u64,
    limit_bytes: u64,
    oldest: Option<String>,
    low: u64,
    quarantine: Quarantine,
}

#[derive(Deserialize)]
struct Quarantine {
    batches: u64,
}

#[derive(Deserialize)]
struct Begun<T> {
    publishers: Vec<T>,
}

#[derive(Deserialize)]
struct Drain {
    name: String,
    samples: u64,
    until: u64,
}

#[derive(Deserialize)]
struct Drop {
    name: String,
    dropped_samples: u64,
    dropped_batches: u64,
}

impl Running<'_> {
    async fn publishers(&self) -> Result<Vec<Publisher>, ClientError> {
        let answer: Publishers = client::ask(&self.socket, Method::GET, PUBLISHERS).await?;
        Ok(answer.publishers)
    }

    async fn list(&self) -> Result<Vec<Content>, ClientError> {
        let publishers = self.publishers().await?;
        let contents = publishers.into_iter().filter_map(|publisher| {
            let spool = publisher.spool?;
            let mut named = self.chosen.spools.iter();
            // The agent may not have taken the configuration over that is read here.
            let named = named.find(|named| named.name == publisher.name);
            (self.chosen.all || named.is_some()).then(|| Content {
                publisher: Some(publisher.name),
                batches: spool.batches,
                samples: spool.samples,
                bytes: spool.bytes,
                limit_bytes: Some(spool.limit_bytes),
                oldest: spool.oldest,
                quarantined_batches: spool.quarantine.batches,
                path: named.map(|named| named.settings.path.clone()).unwrap_or_default(),
            })
        });
        Ok(contents.collect())
    }

    /// Posts for all spools, or for each of those that are meant.
    async fn post<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        query: &[String],
    ) -> Result<Vec<T>, ClientError> {
        let names: Vec<Option<&str>> = if self.chosen.all {
            vec![None]
        } else {
            let names = self.chosen.spools.iter();
            names.map(|named| Some(named.name.as_str())).collect()
        };
        let mut all = Vec::new();
        for name in names {
            // Names have no letter that would have to be escaped.
            let name = name.map(|name| format!("publisher={name}"));
            let query: Vec<_> = query.iter().cloned().chain(name).collect();
            let target = format!("{path}?{}", query.join("&"));
            let answer: Begun<T> = client::ask(&self.socket, Method::POST, &target).await?;
            all.extend(answer.publishers);
        }
        Ok(all)
    }

    async fn drop_old(&self, age: Duration) -> Result<Vec<DroppedFrom>, ClientError> {
        let query = [format!("older_than={}", age.as_secs())];
        let drops: Vec<Drop> = self.post(DROP_PATH, &query).await?;
        let dropped = drops.into_iter().map(|drop| DroppedFrom {
            publisher: drop.name,
            dropped_batches: drop.dropped_batches,
            dropped_samples: drop.dropped_samples,
        });
        Ok(dropped.collect())
    }

    /// Has the agent drain, and waits until what the spools held is gone, or nothing of it went for `patience`.
    async fn drain(&self, patience: Duration) -> Result<Vec<Drained>, ClientError> {
        let begun: Vec<Drain> = self.post(DRAIN_PATH, &[]).await?;
        let mut looks = interval(ASK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut furthest, mut progress) = (0, Instant::now());
        loop {
            looks.tick().await;
            let publishers = self.publishers().await?;
            let drained: Vec<Drained> = begun.iter().map(|drain| drained(drain, &publishers)).collect();
            let done = drained.iter().all(|drained| drained.left_samples == 0);
            let spools = publishers.iter().filter_map(|publisher| publisher.spool.as_ref());
            let reached: u64 = spools.map(|spool| spool.low).sum();
            if reached > furthest {
                (furthest, progress) = (reached, Instant::now());
            }
            if done || progress.elapsed() >= patience {
                return Ok(drained);
            }
        }
    }
}

/// How far a drain has come.
fn drained(drain: &Drain, publishers: &[Publisher]) -> Drained {
    let mut named = publishers.iter();
    let publisher = named.find(|publisher| publisher.name == drain.name);
    let left = publisher.and_then(|publisher| publisher.spool.as_ref());
    let left = left.filter(|spool| spool.low < drain.until);
    // Others may have come since.
    let left_samples = left.map_or(0, |spool| spool.samples.min(drain.samples).max(1));
    Drained {
        publisher: drain.name.clone(),
        held_samples: drain.samples,
        left_samples,
        error: publisher
            .filter(|_| left_samples > 0)
            .and_then(|publisher| publisher.error.clone()),
    }
}
