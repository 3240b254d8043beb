//! The program as users start it, and the time to its first sample.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep};

use crate::bench::Effort;
use crate::clocks;
use crate::error::{BenchError, Context};
use crate::figure::{Budget, Figure, Unit};
use crate::process::{self, Memory};
use crate::stats::median;

/// The file at the root of the repository.
pub(crate) const DEFAULT_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../polling.yaml");

/// The interval of its sources.
const INTERVAL: i64 = 10;

/// Measures from the start of the program to its first sample.
pub(crate) fn start(effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let runs = effort.of(10, 4);
    let runtime = runtime()?;
    let mut found = Vec::new();
    for _ in 0..runs {
        runtime.block_on(first_part_of_a_cycle());
        let began = Instant::now();
        let mut program = Program::start(Stdio::piped(), "")?;
        program.first_line()?;
        found.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(vec![Figure::new(
        "start to first sample",
        Unit::Milliseconds,
        Budget::AtMost(100.0),
        median(found),
        format!(
            "from starting the program to its first line on stdout, with the default file, an empty state \
             folder, in the first half of a cycle; median of {runs}"
        ),
    )])
}

/// Creates a runtime for waits and requests.
pub(crate) fn runtime() -> Result<Runtime, BenchError> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start a runtime")
}

/// Waits for the first part of a cycle, in which a starting agent polls immediately.
async fn first_part_of_a_cycle() {
    let interval = INTERVAL * 1000;
    let passed = clocks::wall().as_millis().rem_euclid(interval);
    // Neither at the edge, nor so late that the start could pass the half of the cycle.
    if !(300..4000).contains(&passed) {
        let wait = (interval - passed + 300).rem_euclid(interval);
        sleep(Duration::from_millis(wait.unsigned_abs())).await;
    }
}

/// A running program; dropping it stops it.
pub(crate) struct Program {
    child: Child,
    /// Its state folder, empty at the start.
    _state: TempDir,
}

impl Program {
    /// Starts it with the default file and further sections.
    pub(crate) fn start(stdout: Stdio, sections: &str) -> Result<Self, BenchError> {
        let state = tempfile::tempdir().context("make a state folder")?;
        let agent = state.path().join("agent.yaml");
        // Replaces the `agent:` of the default file, with this folder.
        std::fs::write(&agent, agent_section(state.path()) + sections).context("write a configuration")?;
        let child = Command::new(binary()?)
            .arg("run")
            .args(["--config", DEFAULT_FILE, "--config"])
            .arg(&agent)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::null())
            .spawn()
            .context("start the program")?;
        Ok(Self { child, _state: state })
    }

    pub(crate) fn memory(&self) -> Result<Memory, BenchError> {
        process::memory(self.child.id())
    }

    fn first_line(&mut self) -> Result<(), BenchError> {
        let stdout = self
            .child
            .stdout
            .as_mut()
            .ok_or_else(|| BenchError::new("the program has no stdout"))?;
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .context("read a sample")?;
        if line.contains("counter_name") {
            return Ok(());
        }
        Err(BenchError::new(format!(
            "the program wrote `{}` instead of a sample",
            line.trim_end()
        )))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already; other code reports that.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn agent_section(state: &Path) -> String {
    format!(
        "agent:\n  namespaces: [host]\n  state_dir: {}\n",
        state.join("state").display()
    )
}

/// Returns the program that `benches/run` built.
pub(crate) fn binary() -> Result<PathBuf, BenchError> {
    let path = std::env::var_os("NEPHOSCOPE_BIN").map(PathBuf::from);
    path.ok_or_else(|| BenchError::new("NEPHOSCOPE_BIN is not set: use benches/run"))
}
