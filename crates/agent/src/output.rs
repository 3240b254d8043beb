//! Standard output and standard error: what they are, and how lines get there.

use std::io::{self, IsTerminal, Write};

use nephoscope_config::hide_userinfo;
use serde::Serialize;

use crate::cli::{Format, Printing};

impl Printing {
    /// As asked for; otherwise a table on a terminal and JSON for programs.
    pub(crate) fn format(self) -> Format {
        self.format.unwrap_or(if stdout_is_terminal() {
            Format::Table
        } else {
            Format::Json
        })
    }
}

/// Whether a person reads standard output.
pub(crate) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether a person reads standard error.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether standard output shows colours (`NO_COLOR` and its like are respected).
pub(crate) fn stdout_is_styled() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}

/// Whether standard error shows colours.
pub(crate) fn stderr_is_styled() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

/// Writes all of `bytes` to standard output, in one piece as seen by other writers of this program.
pub(crate) fn print(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Writes a line to standard error, without the user information of URLs; nobody need read it.
pub(crate) fn note(line: &str) {
    let line = hide_userinfo(line) + "\n";
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// One JSON object a line.
pub(crate) fn json_lines<T: Serialize>(items: impl IntoIterator<Item = T>) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    for item in items {
        serde_json::to_writer(&mut out, &item)?;
        out.push(b'\n');
    }
    Ok(out)
}
