//! A session on the user's own terminal.
//!
//! In the order of data flow: [`keyboard`] reads what is typed, [`escapes`] finds our orders in it, [`view`] is the loop
//! between both sides, [`ending`] ends a session whose input has ended, [`screen`] writes what comes back, [`characters`] whole. [`raw`] gives the terminal back as it was, out of the [`modes`]
//! a session has brought it into; [`notices`] words what is said beside the output.

mod characters;
mod ending;
pub(crate) mod escapes;
mod keyboard;
mod modes;
pub(crate) mod notices;
mod outcome;
mod raw;
mod screen;
mod signals;
mod tty;
mod view;

use std::io::{self, IsTerminal as _};
use std::sync::Arc;

use hive_core::session::{SessionManager, Terminal, ViewOptions};
use hive_core::wire::SessionId;
use hive_core::wire::session::ViewMode;

use crate::failure::{Failure, Result};
use keyboard::Keyboard;
use raw::Loan;
use screen::Screen;
use signals::Signals;
use view::{Parts, View};

pub(crate) use outcome::ViewOutcome;
pub(crate) use tty::user_size;
pub(crate) use view::AtEnd;

/// A user's terminal that is about to show a session.
pub(crate) struct Seat {
    signals: Signals,
}

impl Seat {
    /// From here on no signal ends the process before the terminal is given back.
    pub(crate) fn take() -> Result<Self> {
        Ok(Self { signals: Signals::listen().map_err(Failure::Runtime)? })
    }

    /// Does something that comes before, or is interrupted.
    pub(crate) async fn before<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = work => done,
            signal = self.signals.leave() => Err(Failure::Interrupted(signal)),
        }
    }

    /// Shows a session until it has ended or the user leaves.
    pub(crate) async fn show(
        mut self,
        hive: Arc<dyn SessionManager>,
        id: SessionId,
        mode: ViewMode,
        at_end: AtEnd,
    ) -> Result<ViewOutcome> {
        let is_read_only = mode == ViewMode::ReadOnly;
        let options = ViewOptions { mode, size: user_size() };
        let opening = Terminal::open(hive.clone(), id, options);
        let terminal = self.before(async { Ok(opening.await?) }).await?;
        let (keyboard, screen, loan) = user_terminal().map_err(Failure::Terminal)?;
        let signals = self.signals;
        let left = View::new(Parts { hive, terminal, keyboard, screen, signals, is_read_only, at_end }).run().await;
        drop(loan);
        left
    }
}

/// Takes the user's terminal, as far as stdin and stdout are one.
fn user_terminal() -> io::Result<(Keyboard, Screen, Loan)> {
    let keys = if io::stdin().is_terminal() { Some(tty::open(io::stdin())?) } else { None };
    let sight = if io::stdout().is_terminal() { Some(tty::open(io::stdout())?) } else { None };
    let clone = |file: &Option<std::fs::File>| file.as_ref().map(std::fs::File::try_clone).transpose();
    let loan = Loan::take(clone(&keys)?, clone(&sight)?)?;
    let keyboard = keys.map_or_else(|| Ok(Keyboard::piped()), Keyboard::terminal)?;
    let screen = sight.map_or_else(|| Ok(Screen::piped()), Screen::terminal)?;
    Ok((keyboard, screen, loan))
}
