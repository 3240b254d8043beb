//! `nephoscope spool`: lists what is in the spools of publishers, delivers it, or drops what is old.

mod offline;
mod report;
mod running;

use std::path::Path;
use std::time::Duration;

use nephoscope_admin::AgentClient;
use nephoscope_config::{Admin, Config, SpoolSettings, nearest};

use crate::cli::SpoolArgs;
use crate::error::{Exit, ProgramError};
use crate::logs;
use crate::publishers::spool_of;
use crate::runtimes::Runtimes;
use crate::settings::{Origin, Settings, quiet_log};
use crate::state::{StateDir, StateError};

use report::show;
use running::Running;

/// The spools that are meant.
struct Chosen {
    spools: Vec<Named>,
    /// Whether no names were given.
    all: bool,
}

/// The spool of a publisher.
struct Named {
    name: String,
    settings: SpoolSettings,
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
    fn has(&self, name: &str) -> bool {
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
        Some(Running::new(client(config)?, chosen))
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
        None => offline::list(origin, loaded, chosen).await?,
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

fn client(config: &Config) -> Result<AgentClient, ProgramError> {
    match config.agent.admin() {
        Admin::Unix(path) => Ok(AgentClient::new(path)),
        Admin::Off | Admin::Tcp(_) => Err(ProgramError::NoSocket {
            state_dir: config.agent.state_dir(),
        }),
    }
}
