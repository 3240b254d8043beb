//! Starting the program, and its result.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::binary::program_path;
use crate::program::Program;
use crate::sample::{Sample, samples};
use crate::terminal::Terminal;

/// The command prefix that makes the kernel kill the program when the thread that started it ends. A program that survived
/// its test would continue to connect to its ports, and reach the servers of a later test.
const TIE: [&str; 4] = ["setpriv", "--pdeathsig", "KILL", "--"];

/// A program that is not started yet.
#[derive(Debug)]
pub struct Launch {
    command: Command,
    admin: PathBuf,
    stdout: Option<File>,
}

impl Launch {
    pub(crate) fn new(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = tied(program_path());
        command.args(arguments).current_dir(folder).env_clear();
        // The environment is otherwise empty, as for a service.
        command
            .env("HOME", folder)
            .env("XDG_STATE_HOME", folder.join("xdg-state"));
        command.env("PATH", "/usr/bin:/bin").env("TZ", "UTC");
        Self {
            command,
            admin: folder.join("state/admin.sock"),
            stdout: None,
        }
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn within(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Runs another binary.
    #[must_use]
    pub fn copy_at(self, path: &Path) -> Self {
        let mut command = tied(path);
        // Without the prefix and the path of the original command.
        command.args(self.command.get_args().skip(TIE.len())).env_clear();
        if let Some(folder) = self.command.get_current_dir() {
            command.current_dir(folder);
        }
        for (name, value) in self.command.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        Self { command, ..self }
    }

    /// Sets the user id, which requires root.
    #[must_use]
    pub fn user(mut self, id: u32) -> Self {
        self.command.uid(id).gid(id);
        self
    }

    /// Sets where the admin API listens, if not in the lab's state folder.
    #[must_use]
    pub fn admin_at(mut self, path: PathBuf) -> Self {
        self.admin = path;
        self
    }

    /// Redirects standard output to this file.
    #[must_use]
    pub fn stdout(mut self, file: File) -> Self {
        self.stdout = Some(file);
        self
    }

    /// Starts the program with pipes for standard output and error.
    #[must_use]
    pub fn start(mut self) -> Program {
        self.command.stdin(Stdio::null()).stderr(Stdio::piped());
        match self.stdout {
            Some(file) => self.command.stdout(file),
            None => self.command.stdout(Stdio::piped()),
        };
        let child = self
            .command
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be run: {error}", program_path().display()));
        Program::new(child, None, self.admin)
    }

    /// Starts the program on a terminal for both standard output and error.
    #[must_use]
    pub fn start_in_terminal(mut self) -> Program {
        let terminal = Terminal::open();
        let side = || {
            Stdio::from(
                terminal
                    .program_side
                    .try_clone()
                    .expect("a descriptor can be duplicated"),
            )
        };
        self.command
            .env("TERM", "xterm-256color")
            .stdin(side())
            .stdout(side())
            .stderr(side());
        let child = self
            .command
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be run: {error}", program_path().display()));
        // The command holds descriptors of the program's side; the terminal ends when the last one is closed.
        drop(self.command);
        Program::new(child, Some(terminal.into_test_side()), self.admin)
    }

    /// Runs the program to completion.
    #[must_use]
    pub fn finish(self) -> Finished {
        self.start().finish()
    }
}

/// Returns a command for the program at this path.
fn tied(path: &Path) -> Command {
    let [setpriv, options @ ..] = TIE;
    let mut command = Command::new(setpriv);
    command.args(options).arg(path);
    command
}

/// The result of a program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit status.
    pub status: ExitStatus,
    /// Its standard output, or the output on the terminal.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Finished {
    /// Returns the exit code.
    ///
    /// # Panics
    ///
    /// Panics if a signal ended the program.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| panic!("ended by the signal {:?}\n{self}", self.status.signal()))
    }

    /// Returns `self` if the exit code is the expected one.
    ///
    /// # Panics
    ///
    /// Panics otherwise.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{self}");
        self
    }

    /// Returns the samples on standard output.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        samples(&self.stdout)
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "--- standard output:\n{}--- standard error:\n{}",
            self.stdout, self.stderr
        )
    }
}
