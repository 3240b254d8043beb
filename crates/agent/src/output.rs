//! Standard output and standard error.

use std::io::{self, IsTerminal, Write};

use nephoscope_config::hide_userinfo;
use serde::Serialize;

use crate::cli::{Format, Printing};

impl Printing {
    /// Returns the selected format. Default: a table on a terminal, otherwise JSON.
    pub(crate) fn format(self) -> Format {
        self.format.unwrap_or(if stdout_is_terminal() {
            Format::Table
        } else {
            Format::Json
        })
    }
}

/// Returns whether standard output is a terminal.
pub(crate) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Returns whether standard error is a terminal.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Returns whether standard output shows colors. Respects `NO_COLOR` and similar variables.
pub(crate) fn stdout_is_styled() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}

/// Returns whether standard error shows colors.
pub(crate) fn stderr_is_styled() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

/// Writes all bytes to standard output, without interleaving with other writers of this program.
pub(crate) fn print(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Writes a line to standard error, with the user information of URLs masked. Ignores errors.
pub(crate) fn note(line: &str) {
    let line = hide_userinfo(line) + "\n";
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// Serializes one JSON object per line.
pub(crate) fn json_lines<T: Serialize>(items: impl IntoIterator<Item = T>) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    for item in items {
        serde_json::to_writer(&mut out, &item)?;
        out.push(b'\n');
    }
    Ok(out)
}
