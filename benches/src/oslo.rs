//! oslo.messaging's notifier, in a virtual environment that is made once under `target/`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nephoscope_model::{Batch, Sample};

use crate::instances::BATCH;
use crate::place;
use crate::trouble::{During, Trouble};

/// What is installed from PyPI.
const PACKAGE: &str = "oslo.messaging";

/// Sends the samples that come on standard input, one JSON a line, and prints how many a second were confirmed.
const PROGRAM: &str = include_str!("../oslo/notify.py");

/// A Python that has oslo.messaging.
pub(crate) struct Oslo {
    python: PathBuf,
}

impl Oslo {
    /// Makes the environment if it is not there.
    pub(crate) fn installed() -> Result<Self, Trouble> {
        let folder = place::target()?.join("oslo.messaging");
        let python = folder.join("bin/python");
        let has_it = |python: &PathBuf| {
            let mut command = Command::new(python);
            command
                .args(["-c", "import oslo_messaging"])
                .stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        if !has_it(&python) {
            succeed(
                Command::new("python3")
                    .args(["-m", "venv", "--clear"])
                    .arg(&folder),
            )?;
            succeed(Command::new(&python).args(["-m", "pip", "install", "--quiet", PACKAGE]))?;
        }
        Ok(Self { python })
    }

    /// Samples per second to the broker at `port`.
    pub(crate) fn rate(&self, port: u16, samples: &[Sample]) -> Result<f64, Trouble> {
        let lines = Batch::new(samples.to_vec(), "openstack".into());
        let mut child = Command::new(&self.python)
            .args(["-W", "ignore", "-c", PROGRAM])
            .arg(format!("rabbit://guest:guest@127.0.0.1:{port}/"))
            .arg(BATCH.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .during("start Python")?;
        let mut input = child
            .stdin
            .take()
            .ok_or_else(|| Trouble::new("Python has no stdin"))?;
        input
            .write_all(lines.json_lines())
            .during("give Python the samples")?;
        drop(input);
        let output = child.wait_with_output().during("wait for Python")?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim()
            .parse()
            .map_err(|_| Trouble::new(format!("Python printed `{}`, no rate", text.trim())))
    }
}

fn succeed(command: &mut Command) -> Result<(), Trouble> {
    let status = command.stdout(Stdio::null()).status().during("run Python")?;
    if status.success() {
        return Ok(());
    }
    Err(Trouble::new(format!("{command:?} ended with {status}")))
}
