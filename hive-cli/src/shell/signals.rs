//! What the operating system tells us while we have the terminal.

use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// Something that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// We are to go, by the signal of this number.
    Leave(i32),
    /// The screen has another size.
    Resized,
    /// We were stopped, and go on.
    Continued,
}

/// The signals that concern us. From here on, none of them ends the process by itself.
#[derive(Debug)]
pub(super) struct Signals {
    hangup: Stream,
    interrupt: Stream,
    quit: Stream,
    terminate: Stream,
    resized: Stream,
    continued: Stream,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            resized: signal(SignalKind::window_change())?,
            continued: signal(SignalKind::from_raw(nix::sys::signal::Signal::SIGCONT as i32))?,
        })
    }

    /// Waits for the next one. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Signal {
        let left = |kind: SignalKind| Signal::Leave(kind.as_raw_value());
        tokio::select! {
            _ = self.hangup.recv() => left(SignalKind::hangup()),
            _ = self.interrupt.recv() => left(SignalKind::interrupt()),
            _ = self.quit.recv() => left(SignalKind::quit()),
            _ = self.terminate.recv() => left(SignalKind::terminate()),
            _ = self.resized.recv() => Signal::Resized,
            _ = self.continued.recv() => Signal::Continued,
        }
    }

    /// Waits until we are to go; gives the number of the signal.
    pub(super) async fn leave(&mut self) -> i32 {
        loop {
            if let Signal::Leave(number) = self.next().await {
                return number;
            }
        }
    }
}
