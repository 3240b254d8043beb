//! Peers that are Python packages, each in a virtual environment that is made once under `target/`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::place;
use crate::trouble::{During, Trouble};

/// A Python that has a package.
pub(crate) struct Python {
    program: PathBuf,
}

impl Python {
    /// The one with this `package` of PyPI, which has this `module`. Makes the environment if it is not there.
    pub(crate) fn with(package: &str, module: &str) -> Result<Self, Trouble> {
        let folder = place::target()?.join(package);
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

    /// What a script says, with these arguments and this input.
    pub(crate) fn run(&self, script: &str, arguments: &[&str], input: &[u8]) -> Result<String, Trouble> {
        let mut child = Command::new(&self.program)
            .args(["-W", "ignore", "-c", script])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .during("start Python")?;
        let mut stdin = child
            .stdin
            .take()
            .ok_or_else(|| Trouble::new("Python has no stdin"))?;
        stdin.write_all(input).during("give Python its input")?;
        drop(stdin);
        let output = child.wait_with_output().during("wait for Python")?;
        if !output.status.success() {
            return Err(Trouble::new(format!("Python ended with {}", output.status)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn succeed(command: &mut Command) -> Result<(), Trouble> {
    let status = command.stdout(Stdio::null()).status().during("run Python")?;
    if status.success() {
        return Ok(());
    }
    Err(Trouble::new(format!("{command:?} ended with {status}")))
}
