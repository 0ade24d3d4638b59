//! A session on the user's own terminal.
//!
//! In the order of data flow: [`key_input`] reads what is typed, [`escapes`] finds the escape commands in it, [`view`]
//! is the loop between both sides, [`end_of_input`] ends a session whose input has ended, [`screen`] writes the output,
//! with the characters kept whole by [`utf8`]. [`raw`] restores the terminal, out of the [`modes`] that the session has
//! set. [`notices`] has the messages beside the output.

mod end_of_input;
pub(crate) mod escapes;
mod key_input;
mod modes;
pub(crate) mod notices;
mod outcome;
mod raw;
mod screen;
mod signals;
mod tty;
mod utf8;
mod view;

use std::io::{self, IsTerminal as _};
use std::sync::Arc;

use hive_core::sessions::SessionManager;
use hive_core::terminal::{Terminal, ViewOptions};
use hive_core::wire::SessionId;
use hive_core::wire::session::ViewMode;

use crate::error::{CliError, Result};
use key_input::KeyInput;
use raw::RawModeGuard;
use screen::ScreenWriter;
use signals::Signals;
use view::{TerminalView, ViewParts};

pub(crate) use outcome::ViewOutcome;
pub(crate) use tty::user_size;
pub(crate) use view::OnInputEnd;

/// Shows one session on the user's terminal. It receives the signals from its creation on.
pub(crate) struct SessionViewer {
    signals: Signals,
}

impl SessionViewer {
    /// Starts to receive signals: from here on none of them ends the process before the terminal is restored.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { signals: Signals::listen().map_err(CliError::Runtime)? })
    }

    /// Runs work before the session is shown. A signal that ends the process interrupts it.
    pub(crate) async fn run_unless_signalled<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            result = work => result,
            signal = self.signals.leave() => Err(CliError::Interrupted(signal)),
        }
    }

    /// Shows a session until it has ended or the user leaves.
    pub(crate) async fn show(
        mut self,
        hive: Arc<dyn SessionManager>,
        id: SessionId,
        mode: ViewMode,
        on_input_end: OnInputEnd,
    ) -> Result<ViewOutcome> {
        let is_read_only = mode == ViewMode::ReadOnly;
        let options = ViewOptions { mode, size: user_size() };
        let opening = Terminal::open(hive.clone(), id, options);
        let terminal = self.run_unless_signalled(async { Ok(opening.await?) }).await?;
        let (input, screen, raw_mode) = user_terminal().map_err(CliError::Terminal)?;
        let signals = self.signals;
        let outcome =
            TerminalView::new(ViewParts { hive, terminal, input, screen, signals, is_read_only, on_input_end })
                .run()
                .await;
        // Restored only now: the view writes its last message in raw mode.
        drop(raw_mode);
        outcome
    }
}

/// Opens the user's terminal for each of stdin and stdout that is one, and puts it into raw mode.
fn user_terminal() -> io::Result<(KeyInput, ScreenWriter, RawModeGuard)> {
    let typed_on = if io::stdin().is_terminal() { Some(tty::open(io::stdin())?) } else { None };
    let written_to = if io::stdout().is_terminal() { Some(tty::open(io::stdout())?) } else { None };
    let clone = |file: &Option<std::fs::File>| file.as_ref().map(std::fs::File::try_clone).transpose();
    let raw_mode = RawModeGuard::enable(clone(&typed_on)?, clone(&written_to)?)?;
    let input = typed_on.map_or_else(|| Ok(KeyInput::piped()), KeyInput::terminal)?;
    let screen = written_to.map_or_else(|| Ok(ScreenWriter::piped()), ScreenWriter::terminal)?;
    Ok((input, screen, raw_mode))
}
