//! How the program is started, and what is left of it when it has ended.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::binary::program_path;
use crate::program::Program;
use crate::sample::{Sample, samples};
use crate::terminal::Terminal;

/// What starts the program: it is killed when the thread ends that starts it, however that ends. One that went on after its test was
/// killed would still look for the ports that it knows, and find the servers of a later test there.
const TIE: [&str; 4] = ["setpriv", "--pdeathsig", "KILL", "--"];

/// A program that is about to start.
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
        // The rest of the environment is empty, as for a service.
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

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs in another folder.
    #[must_use]
    pub fn within(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Runs another copy of the program.
    #[must_use]
    pub fn copy_at(self, path: &Path) -> Self {
        let mut command = tied(path);
        // Without the tie and the path of the other one.
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

    /// Runs as another user, which root alone can.
    #[must_use]
    pub fn user(mut self, id: u32) -> Self {
        self.command.uid(id).gid(id);
        self
    }

    /// Where the admin API will listen, if not in the lab's state folder.
    #[must_use]
    pub fn admin_at(mut self, path: PathBuf) -> Self {
        self.admin = path;
        self
    }

    /// Writes standard output to this file, instead of handing it to the test.
    #[must_use]
    pub fn stdout(mut self, file: File) -> Self {
        self.stdout = Some(file);
        self
    }

    /// Starts the program; its standard output and error are pipes.
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

    /// Starts the program on a terminal, which shows both its standard output and its standard error.
    #[must_use]
    pub fn start_in_terminal(mut self) -> Program {
        let terminal = Terminal::open();
        let side = || {
            Stdio::from(
                terminal
                    .program_side
                    .try_clone()
                    .expect("a descriptor can be doubled"),
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
        // The command keeps descriptors of the program's side; the terminal ends when the last of them is closed.
        drop(self.command);
        Program::new(child, Some(terminal.into_test_side()), self.admin)
    }

    /// Runs the program to its end.
    #[must_use]
    pub fn finish(self) -> Finished {
        self.start().finish()
    }
}

/// A command for the program at this path.
fn tied(path: &Path) -> Command {
    let [setpriv, options @ ..] = TIE;
    let mut command = Command::new(setpriv);
    command.args(options).arg(path);
    command
}

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How.
    pub status: ExitStatus,
    /// What it has written to standard output, or to the terminal.
    pub stdout: String,
    /// What it has written to standard error.
    pub stderr: String,
}

impl Finished {
    /// The exit code.
    ///
    /// # Panics
    ///
    /// If a signal has ended the program.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| panic!("ended by the signal {:?}\n{self}", self.status.signal()))
    }

    /// This, if the exit code is the expected one.
    ///
    /// # Panics
    ///
    /// If it is another one.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{self}");
        self
    }

    /// The samples on standard output.
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
