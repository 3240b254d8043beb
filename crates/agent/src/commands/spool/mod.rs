//! `nephoscope spool`: lists the spools of publishers, delivers their samples, or drops old samples.

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

/// The selected spools.
struct Selection {
    spools: Vec<NamedSpool>,
    /// Whether no names were given.
    all: bool,
}

/// The spool of a publisher.
struct NamedSpool {
    name: String,
    settings: SpoolSettings,
}

impl Selection {
    fn of(origin: &Origin, config: &Config, names: &[String]) -> Result<Self, ProgramError> {
        let state_dir = config.agent.state_dir();
        let spools = config.notifier.publishers.iter().filter_map(|publisher| {
            let settings = spool_of(&origin.catalog, &config.notifier, publisher, &state_dir)?;
            let name = publisher.name.clone();
            Some(NamedSpool { name, settings })
        });
        let mut spools: Vec<NamedSpool> = spools.collect();
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

    /// Returns whether the spool of this publisher is selected.
    fn has(&self, name: &str) -> bool {
        self.spools.iter().any(|spool| spool.name == name)
    }
}

/// Runs the command, through the agent that runs on the state folder if there is one.
pub(crate) fn spool(origin: &Origin, args: &SpoolArgs) -> Result<Exit, ProgramError> {
    let (level, form) = quiet_log(&origin.options);
    logs::start(level, form);
    let settings = origin.load_and_warn()?;
    let selection = Selection::of(origin, &settings.loaded.config, &args.publishers)?;
    let runtimes = Runtimes::start().map_err(ProgramError::Runtime)?;
    let exit = runtimes.core.block_on(act(origin, &settings, &selection, args));
    runtimes.end();
    exit
}

async fn act(
    origin: &Origin,
    settings: &Settings,
    selection: &Selection,
    args: &SpoolArgs,
) -> Result<Exit, ProgramError> {
    let loaded = &settings.loaded;
    let config = &loaded.config;
    let format = args.printing.format();
    let patience = Duration::from(args.timeout);
    let folder = StateFolder::open(&config.agent.state_dir())?;
    let agent = if folder.in_use {
        Some(Running::new(client(config)?, selection))
    } else {
        None
    };
    if args.drain {
        let drained = match &agent {
            Some(agent) => agent.drain(patience).await?,
            None => offline::drain(origin, loaded, selection, patience).await?,
        };
        let remaining = drained.iter().any(|drained| drained.remaining_samples > 0);
        show(drained, format)?;
        return Ok(if remaining { Exit::Failed } else { Exit::Done });
    }
    if let Some(age) = args.drop_older_than {
        let age = Duration::from(age);
        let dropped = match &agent {
            Some(agent) => agent.drop_old(age).await?,
            None => offline::drop_old(selection, age).await?,
        };
        show(dropped, format)?;
        return Ok(Exit::Done);
    }
    let contents = match &agent {
        Some(agent) => agent.list().await?,
        None => offline::list(origin, loaded, selection).await?,
    };
    show(contents, format)?;
    Ok(Exit::Done)
}

/// The state folder, if it exists.
struct StateFolder {
    /// Whether an agent uses it.
    in_use: bool,
    /// The lock of this command, if no agent uses the folder: no agent can start while spools are open.
    _state: Option<StateDir>,
}

impl StateFolder {
    fn open(state_dir: &Path) -> Result<Self, ProgramError> {
        let exists = state_dir.exists();
        match exists.then(|| StateDir::acquire(state_dir)).transpose() {
            Ok(state) => Ok(Self {
                in_use: false,
                _state: state,
            }),
            Err(StateError::InUse { .. }) => Ok(Self {
                in_use: true,
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
