//! Peers that are Python packages, each in a virtual environment under `target/`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::error::{BenchError, Context};
use crate::folders;

/// A Python with a package.
pub(crate) struct Python {
    program: PathBuf,
}

impl Python {
    /// Returns the environment with this `package` of PyPI, which contains this `module`. Creates it if it is missing.
    pub(crate) fn with(package: &str, module: &str) -> Result<Self, BenchError> {
        let folder = folders::target()?.join(package);
        let program = folder.join("bin/python");
        let import = format!("import {module}");
        let has_it = |program: &PathBuf| {
            let mut command = Command::new(program);
            command.args(["-c", &import]).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        if !has_it(&program) {
            succeed(
                Command::new("python3")
                    .args(["-m", "venv", "--clear"])
                    .arg(&folder),
            )?;
            succeed(Command::new(&program).args(["-m", "pip", "install", "--quiet", package]))?;
        }
        Ok(Self { program })
    }

    /// Runs a script with arguments and input; returns its output.
    pub(crate) fn run(&self, script: &str, arguments: &[&str], input: &[u8]) -> Result<String, BenchError> {
        let mut child = Command::new(&self.program)
            .args(["-W", "ignore", "-c", script])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start Python")?;
        let mut stdin = child
            .stdin
            .take()
            .ok_or_else(|| BenchError::new("Python has no stdin"))?;
        stdin.write_all(input).context("write the input of Python")?;
        drop(stdin);
        let output = child.wait_with_output().context("wait for Python")?;
        if !output.status.success() {
            return Err(BenchError::new(format!("Python ended with {}", output.status)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn succeed(command: &mut Command) -> Result<(), BenchError> {
    let status = command.stdout(Stdio::null()).status().context("run Python")?;
    if status.success() {
        return Ok(());
    }
    Err(BenchError::new(format!("{command:?} ended with {status}")))
}
