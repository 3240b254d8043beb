//! Opens the spools of publishers, and finds those that no publisher uses any more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::try_join_all;
use nephoscope_config::{Fsync, SpoolMode, SpoolOrder, SpoolSettings};
use nephoscope_notifier::PublisherSetup;
use nephoscope_notifier::spool::{self, FolderError, OpenError, Order, Spool, SpoolOptions};
use nephoscope_plugin::BlockingPool;
use tokio::time::{Instant, sleep};

use crate::publishers::{Planned, PublishersError};

/// How long a folder is waited for that a publisher of this very process has not left yet: it was removed by the reload before, and
/// delivers what it has.
const LEAVING: Duration = Duration::from_secs(10);

/// How often such a folder is tried.
const RETRY: Duration = Duration::from_millis(200);

/// How long it may take to look for spools that are left.
const LOOK: Duration = Duration::from_secs(5);

/// A publisher with its spool open.
#[derive(Debug)]
pub(crate) struct Opened {
    setup: PublisherSetup,
    /// What its spool is to be like, where it was open before.
    options: Option<SpoolOptions>,
}

impl Opened {
    /// The publisher as the notifier takes it. From now on its spool is as the configuration says.
    pub(crate) fn into_setup(self) -> PublisherSetup {
        if let (Some(spool), Some(options)) = (&self.setup.spool, self.options) {
            spool.set_options(options);
        }
        self.setup
    }
}

/// Opens the spools of publishers, all at once. One that `known` has for a publisher's name, in the same folder, is taken as it is.
pub(crate) async fn open(
    planned: Vec<Planned>,
    known: impl Fn(&str) -> Option<Spool>,
) -> Result<Vec<Opened>, PublishersError> {
    let opening = planned.into_iter().map(|Planned { mut setup, spool }| {
        let before = known(&setup.name);
        async move {
            let Some(settings) = spool else {
                return Ok(Opened { setup, options: None });
            };
            let options = options(&settings);
            if let Some(spool) = before.filter(|spool| spool.path() == settings.path) {
                setup.spool = Some(spool);
                let options = Some(options);
                return Ok(Opened { setup, options });
            }
            match open_one(&setup, settings.path, options).await {
                Ok(spool) => setup.spool = Some(spool),
                Err(source) => {
                    let name = setup.name.to_string();
                    return Err(PublishersError::Spool { name, source });
                }
            }
            Ok(Opened { setup, options: None })
        }
    });
    try_join_all(opening).await
}

async fn open_one(setup: &PublisherSetup, path: PathBuf, options: SpoolOptions) -> Result<Spool, OpenError> {
    let deadline = Instant::now() + LEAVING;
    loop {
        match Spool::open(setup.name.clone(), path.clone(), options.clone()).await {
            Err(OpenError::Folder(FolderError::InUse { pid: Some(pid), .. }))
                if pid == std::process::id() && Instant::now() < deadline =>
            {
                sleep(RETRY).await;
            }
            opened => return opened,
        }
    }
}

/// What a spool is opened with.
pub(crate) fn options(settings: &SpoolSettings) -> SpoolOptions {
    SpoolOptions {
        mode: match settings.mode {
            SpoolMode::Always => spool::SpoolMode::Always,
            SpoolMode::Overflow | SpoolMode::Off => spool::SpoolMode::Overflow,
        },
        fsync: match settings.fsync {
            Fsync::Always => spool::Fsync::Always,
            Fsync::Interval => spool::Fsync::Interval,
            Fsync::Never => spool::Fsync::Never,
        },
        order: match settings.order {
            SpoolOrder::FreshFirst => Order::FreshFirst,
            SpoolOrder::Fifo => Order::Fifo,
        },
        max_bytes: settings.max_bytes,
        max_age: settings.max_age,
        ..SpoolOptions::default()
    }
}

/// Folders below `folder` that hold stored samples and are not among those `used`.
pub(crate) async fn left_behind(
    blocking: &BlockingPool,
    folder: PathBuf,
    used: BTreeSet<PathBuf>,
) -> Vec<PathBuf> {
    let look = move || look(&folder, &used);
    // A folder that cannot be looked into holds nothing that could be told of.
    let looked = blocking.call("spool.look", Instant::now() + LOOK, look).await;
    looked.unwrap_or_default()
}

/// As [`left_behind`], at once.
pub(crate) fn look(folder: &Path, used: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut left: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| !used.contains(path) && spool::has_segments(path))
        .collect();
    left.sort();
    left
}
