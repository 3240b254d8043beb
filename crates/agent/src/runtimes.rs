//! The two runtimes: one for the agent itself, one for plugins.
//!
//! A plugin that blocks its thread must not block the scheduler, the notifier or the admin API
//! (`docs/decisions/0004-two-runtimes.md`).

use std::io;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Runtime};

/// The maximum number of threads of the agent itself, which does little work.
const CORE_THREADS: usize = 2;

/// The minimum number of threads for plugins, because some may block.
const MIN_PLUGIN_THREADS: usize = 4;

/// The runtimes of the program.
pub(crate) struct Runtimes {
    /// The engine, the notifier and the admin API.
    pub(crate) core: Runtime,
    /// The discoveries and pollsters.
    pub(crate) plugins: Runtime,
}

impl Runtimes {
    /// Starts the threads.
    pub(crate) fn start() -> io::Result<Self> {
        let cpus = available_parallelism().map_or(1, usize::from);
        Ok(Self {
            core: runtime("core", CORE_THREADS.min(cpus))?,
            plugins: runtime("plugins", MIN_PLUGIN_THREADS.max(cpus))?,
        })
    }

    /// Shuts down without waiting: a hung plugin ends with the process.
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
