//! Opens the spools of publishers, and finds unused spools.

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

/// How long to wait for a folder that a removed publisher of this process still uses to deliver its samples.
const LEAVING: Duration = Duration::from_secs(10);

/// The retry interval for such a folder.
const RETRY: Duration = Duration::from_millis(200);

/// The timeout of the search for unused spools.
const LOOK: Duration = Duration::from_secs(5);

/// A publisher with its open spool.
#[derive(Debug)]
pub(crate) struct Opened {
    setup: PublisherSetup,
    /// New options for a spool that was open before.
    options: Option<SpoolOptions>,
}

impl Opened {
    /// Returns the setup for the notifier, and applies new options to its spool.
    pub(crate) fn into_setup(self) -> PublisherSetup {
        if let (Some(spool), Some(options)) = (&self.setup.spool, self.options) {
            spool.set_options(options);
        }
        self.setup
    }
}

/// Opens the spools of publishers concurrently. Reuses the spool that `known` returns for a publisher in the same folder.
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

/// Returns the options of a spool.
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
            SpoolOrder::NewestFirst => Order::NewestFirst,
            SpoolOrder::Fifo => Order::Fifo,
        },
        max_bytes: settings.max_bytes,
        max_age: settings.max_age,
        ..SpoolOptions::default()
    }
}

/// Returns folders below `folder` that contain samples and are not in `used`.
pub(crate) async fn unused(
    blocking: &BlockingPool,
    folder: PathBuf,
    used: BTreeSet<PathBuf>,
) -> Vec<PathBuf> {
    let look = move || find_unused(&folder, &used);
    // A folder that cannot be read in time is ignored.
    let looked = blocking.call("spool.look", Instant::now() + LOOK, look).await;
    looked.unwrap_or_default()
}

/// The blocking version of [`unused`].
pub(crate) fn find_unused(folder: &Path, used: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut unused: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| !used.contains(path) && spool::has_segments(path))
        .collect();
    unused.sort();
    unused
}
