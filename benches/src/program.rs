//! The program itself, as users start it, and the time to its first sample.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep};

use crate::bench::Effort;
use crate::clocks;
use crate::figure::{Budget, Figure, Unit};
use crate::process::{self, Memory};
use crate::stats::median;
use crate::trouble::{During, Trouble};

/// The file at the root of the repository.
pub(crate) const DEFAULT_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../polling.yaml");

/// The interval of its sources.
const INTERVAL: i64 = 10;

/// From the start of the program to its first sample.
pub(crate) fn start(effort: Effort) -> Result<Vec<Figure>, Trouble> {
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

/// A runtime for waiting and for asking.
pub(crate) fn runtime() -> Result<Runtime, Trouble> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .during("start a runtime")
}

/// Waits for the first part of a cycle, in which a starting agent polls at once.
async fn first_part_of_a_cycle() {
    let interval = INTERVAL * 1000;
    let passed = clocks::wall().as_millis().rem_euclid(interval);
    // Neither on the edge, nor so late that the start itself could pass the half.
    if !(300..4000).contains(&passed) {
        let wait = (interval - passed + 300).rem_euclid(interval);
        sleep(Duration::from_millis(wait.unsigned_abs())).await;
    }
}

/// A running program; it is stopped when this is dropped.
pub(crate) struct Program {
    child: Child,
    /// Its state folder, empty at the start.
    _state: TempDir,
}

impl Program {
    /// With the default file, and sections of its own.
    pub(crate) fn start(stdout: Stdio, sections: &str) -> Result<Self, Trouble> {
        let state = tempfile::tempdir().during("make a state folder")?;
        let agent = state.path().join("agent.yaml");
        // The default file's own `agent:`, with this folder.
        std::fs::write(&agent, agent_section(state.path()) + sections).during("write a configuration")?;
        let child = Command::new(binary()?)
            .arg("run")
            .args(["--config", DEFAULT_FILE, "--config"])
            .arg(&agent)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::null())
            .spawn()
            .during("start the program")?;
        Ok(Self { child, _state: state })
    }

    pub(crate) fn memory(&self) -> Result<Memory, Trouble> {
        process::memory(self.child.id())
    }

    fn first_line(&mut self) -> Result<(), Trouble> {
        let stdout = self
            .child
            .stdout
            .as_mut()
            .ok_or_else(|| Trouble::new("the program has no stdout"))?;
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .during("read a sample")?;
        if line.contains("counter_name") {
            return Ok(());
        }
        Err(Trouble::new(format!(
            "the program wrote no sample but `{}`",
            line.trim_end()
        )))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself; that is seen elsewhere.
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

/// The program, as `benches/run` has built it.
pub(crate) fn binary() -> Result<PathBuf, Trouble> {
    let path = std::env::var_os("NEPHOSCOPE_BIN").map(PathBuf::from);
    path.ok_or_else(|| Trouble::new("NEPHOSCOPE_BIN names no program; use benches/run"))
}
