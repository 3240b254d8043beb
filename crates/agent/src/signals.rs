//! The signals of the program.

use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// A received signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGHUP: reload the configuration.
    Reload,
    /// SIGTERM or SIGINT: stop.
    Stop(Stop),
}

/// A signal that stops the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// SIGINT, from the keyboard.
    Interrupt,
    /// SIGTERM, from a service manager.
    Terminate,
}

impl Stop {
    /// Returns the name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }

    /// Returns the number on Linux.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Interrupt => 2,
            Self::Terminate => 15,
        }
    }
}

/// The signal handlers.
pub(crate) struct Signals {
    interrupt: Stream,
    terminate: Stream,
    hangup: Stream,
}

impl Signals {
    /// Installs the handlers. Must be called within a runtime.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Signal::Stop(Stop::Terminate),
            _ = self.interrupt.recv() => Signal::Stop(Stop::Interrupt),
            _ = self.hangup.recv() => Signal::Reload,
        }
    }

    /// Waits for the next stop signal and ignores other signals.
    pub(crate) async fn stop(&mut self) -> Stop {
        loop {
            if let Signal::Stop(stop) = self.next().await {
                return stop;
            }
        }
    }
}
