//! Two sets of threads: one for the agent itself, one for plugins.
//!
//! A plugin that blocks its thread, against all rules, must not hold up the scheduler, the notifier or the admin
//! API (`docs/decisions/0004-two-runtimes.md`).

use std::io;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Runtime};

/// Threads of the agent itself: it only hands things on.
const CORE_THREADS: usize = 2;

/// Plugins have at least so many threads, however small the machine: some may block.
const LEAST_PLUGIN_THREADS: usize = 4;

/// The threads of the program.
pub(crate) struct Runtimes {
    /// Engine, notifier, admin API.
    pub(crate) core: Runtime,
    /// Discoveries and pollsters.
    pub(crate) plugins: Runtime,
}

impl Runtimes {
    /// Starts them.
    pub(crate) fn start() -> io::Result<Self> {
        let cpus = available_parallelism().map_or(1, usize::from);
        Ok(Self {
            core: runtime("core", CORE_THREADS.min(cpus))?,
            plugins: runtime("plugins", LEAST_PLUGIN_THREADS.max(cpus))?,
        })
    }

    /// Ends without waiting for anybody: a plugin that hangs ends with the process.
    pub(crate) fn end(self) {
        self.plugins.shutdown_background();
        self.core.shutdown_background();
    }
}

fn runtime(name: &str, threads: usize) -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(name)
        .enable_all()
        .build()
}
