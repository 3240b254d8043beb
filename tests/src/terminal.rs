//! A pseudo-terminal for the program.

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// Wide enough for every line of a test.
const SIZE: Winsize = Winsize {
    ws_row: 50,
    ws_col: 200,
    ws_xpixel: 0,
    ws_ypixel: 0,
};

/// Both sides of a pseudo-terminal.
pub(crate) struct Terminal {
    test_side: OwnedFd,
    pub(crate) program_side: OwnedFd,
}

impl Terminal {
    pub(crate) fn open() -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let test_side = openpt(flags).expect("there is a pseudo-terminal");
        grantpt(&test_side).expect("a pseudo-terminal can be used");
        unlockpt(&test_side).expect("a pseudo-terminal can be used");
        let name = ptsname(&test_side, Vec::new()).expect("a pseudo-terminal has a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let program_side = open(&name, flags, Mode::empty()).expect("a pseudo-terminal can be opened");
        tcsetwinsize(&program_side, SIZE).expect("a pseudo-terminal has a size");
        Self {
            test_side,
            program_side,
        }
    }

    /// Returns the side that shows the program's output; it ends when the other side is closed.
    pub(crate) fn into_test_side(self) -> File {
        self.test_side.into()
    }
}
