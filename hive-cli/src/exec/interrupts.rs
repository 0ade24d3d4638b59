//! The signals that ask this program to end while it waits for a command of the hive.

use std::fs;

use nix::sys::signal::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{CliError, Result};

/// Receives SIGINT, SIGTERM and SIGHUP. While this exists, none of them ends the process by itself.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Interrupts {
    pub(crate) fn listen() -> Result<Self> {
        let listen_to = |number: Number| signal(SignalKind::from_raw(number as i32)).map_err(CliError::Runtime);
        // `nohup` starts programs with SIGHUP ignored. A handler would undo that, and end the command with its
        // terminal.
        let hangup = if is_ignored(Number::SIGHUP) { None } else { Some(listen_to(Number::SIGHUP)?) };
        Ok(Self { interrupt: listen_to(Number::SIGINT)?, terminate: listen_to(Number::SIGTERM)?, hangup })
    }

    /// Waits for a signal and returns its number. Cancel-safe.
    pub(crate) async fn next(&mut self) -> i32 {
        let number = tokio::select! {
            Some(()) = self.interrupt.recv() => Number::SIGINT,
            Some(()) = self.terminate.recv() => Number::SIGTERM,
            Some(()) = received(self.hangup.as_mut()) => Number::SIGHUP,
            else => std::future::pending().await,
        };
        number as i32
    }
}

async fn received(signal: Option<&mut Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => None,
    }
}

/// Whether a signal is ignored. Where /proc does not say (as on macOS), it counts as not ignored.
fn is_ignored(number: Number) -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, number))
}

fn ignores(status: &str, number: Number) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    // Signal n is bit n - 1, as proc(5) defines the mask.
    mask >> (number as u32 - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_signal_stands_in_the_mask() {
        let status = "Name:\thive\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000004002\n";
        assert!(ignores(status, Number::SIGHUP) && ignores(status, Number::SIGPIPE));
        assert!(!ignores(status, Number::SIGINT) && !ignores("", Number::SIGHUP));
    }
}
