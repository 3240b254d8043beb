//! `nephoscope partition`: shows or computes how a pool divides its work.

mod names;
mod rows;
mod tables;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use nephoscope_config::Backend;
use nephoscope_pool::PoolView;
use nephoscope_pool::etcd::{Store, StoreError};
use nephoscope_pool::protocol::{AgentId, Ownership, Prefix};
use serde::Serialize;

use crate::cli::{Format, PartitionArgs};
use crate::coordination::store_options;
use crate::error::{Exit, ProgramError};
use crate::logs;
use crate::output::{json_lines, note, print};
use crate::runtimes::Runtimes;
use crate::settings::{Origin, quiet_log};
use crate::table::Sheet;

use names::units;
use rows::Pool;
use tables::{members_table, moved_table, owners_table, plans_table};

/// The number of generated keys. With this number, shares are accurate to about one percent.
const GENERATED: usize = 10_000;

/// An error of `partition`; completes "failed to ...".
#[derive(Debug, thiserror::Error)]
pub(crate) enum PartitionError {
    /// Work is not shared.
    #[error(
        "show the pool: the configuration shares no work; set `coordination.endpoints` and no `backend: local`, or name the configuration of a pool member with `--config`"
    )]
    Local,
    /// The id is invalid.
    #[error("use `{0}` as the id of a member: expected at most 128 letters, digits, `.`, `_` and `-`")]
    Id(String),
    /// No plan contains the member.
    #[error("find the member `{0}` in any plan")]
    Unknown(String),
    /// The file of keys cannot be read.
    #[error("read the keys in `{}`", path.display())]
    Keys {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A request to etcd failed.
    #[error("read the pool: {0}")]
    Store(#[from] StoreError),
}

impl PartitionError {
    /// Returns whether the arguments or the configuration cause the error.
    pub(crate) fn is_usage(&self) -> bool {
        !matches!(self, Self::Store(_))
    }
}

/// Shows or computes the division of work.
pub(crate) fn partition(origin: &Origin, args: &PartitionArgs) -> Result<Exit, ProgramError> {
    let (level, form) = quiet_log(&origin.options);
    logs::start(level, form);
    if !args.members.is_empty() {
        offline(args)?;
        return Ok(Exit::Done);
    }
    let origin = origin.clone().or_built_in(true);
    let settings = origin.load()?;
    let config = &settings.loaded.config;
    if config.coordination.backend() == Backend::Local {
        return Err(PartitionError::Local.into());
    }
    let runtimes = Runtimes::start().map_err(ProgramError::Runtime)?;
    let units = {
        let _within = runtimes.plugins.enter();
        units(&settings)
    };
    let prefix = Prefix::new(&config.coordination.prefix);
    let view = runtimes.core.block_on(async {
        let store = Store::new(store_options(&config.coordination));
        PoolView::read(&store, &prefix).await
    });
    runtimes.end();
    let view = view.map_err(PartitionError::from)?;
    view.invalid
        .iter()
        .for_each(|bad| note(&format!("cannot decode: {bad}")));
    show(&Pool { view, units }, args)
}

fn show(pool: &Pool, args: &PartitionArgs) -> Result<Exit, ProgramError> {
    let format = args.printing.format();
    if let Some(key) = &args.key {
        let owners: Vec<_> = pool.owners(key, args.without.as_deref()).collect();
        match format {
            Format::Json => print(&json_lines(&owners)?)?,
            Format::Table => print(owners_table(Sheet::stdout(), &owners).as_bytes())?,
        }
        return Ok(Exit::Done);
    }
    let keys = keys(args.keys_file.as_deref())?;
    if let Some(member) = &args.without {
        let moved = pool.moved(member, &keys)?;
        match format {
            Format::Json => print(&json_lines(&moved)?)?,
            Format::Table => print(moved_table(Sheet::stdout(), &moved).as_bytes())?,
        }
        return Ok(Exit::Done);
    }
    let (members, plans) = (pool.members(), pool.plans(&keys));
    match format {
        Format::Json => {
            print(&json_lines(&members)?)?;
            print(&json_lines(&plans)?)?;
        }
        Format::Table => {
            print(members_table(Sheet::stdout(), &members).as_bytes())?;
            print(b"\n")?;
            print(plans_table(Sheet::stdout(), &plans).as_bytes())?;
        }
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Owned<'a> {
    key: &'a str,
    owner: &'a str,
}

fn offline(args: &PartitionArgs) -> Result<(), ProgramError> {
    let mut ids = Vec::new();
    for text in args
        .members
        .iter()
        .filter(|text| Some(*text) != args.without.as_ref())
    {
        ids.push(AgentId::new(text).ok_or_else(|| PartitionError::Id(text.clone()))?);
    }
    let members = Ownership::among(ids);
    let keys = keys(args.keys_file.as_deref())?;
    let owned = keys.iter().filter_map(|key| {
        let owner = members.owner(key)?.as_str();
        Some(Owned { key, owner })
    });
    match args.printing.format() {
        Format::Json => print(&json_lines(owned)?)?,
        Format::Table => {
            let rows = owned.map(|owned| vec![owned.key.to_owned(), owned.owner.to_owned()]);
            print(Sheet::stdout().table(&["key", "owner"], rows).as_bytes())?;
        }
    }
    Ok(())
}

/// Returns the keys in a file, one per line, or generated keys without a file.
fn keys(file: Option<&Path>) -> Result<Vec<String>, PartitionError> {
    let Some(path) = file else {
        return Ok((0..GENERATED).map(|number| format!("drawn-{number}")).collect());
    };
    let failed = |source| PartitionError::Keys {
        path: path.to_owned(),
        source,
    };
    let lines = BufReader::new(File::open(path).map_err(failed)?).lines();
    let lines = lines.filter(|line| line.as_ref().map_or(true, |line| !line.is_empty()));
    lines.collect::<Result<_, _>>().map_err(failed)
}

#[cfg(test)]
mod tests;
