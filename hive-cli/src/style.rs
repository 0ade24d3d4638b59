//! Colours and the width of the terminal.

use std::fmt::Display;
use std::io::{self, IsTerminal};

use anstream::{AutoStream, ColorChoice, stream::RawStream};
use anstyle::{AnsiColor, Style};
use clap::ValueEnum;

pub(crate) const HEADING: Style = Style::new().bold();
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
pub(crate) const HINT: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const ODD: Style = AnsiColor::Yellow.on_default();

/// When colours are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    #[default]
    Auto,
    Always,
    Never,
}

/// Sets when colours are used, for the whole run. With `Auto`, `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE` and `TERM=dumb`
/// decide.
pub(crate) fn choose(colour: Colour) {
    match colour {
        Colour::Auto => ColorChoice::Auto,
        Colour::Always => ColorChoice::Always,
        Colour::Never => ColorChoice::Never,
    }
    .write_global();
}

pub(crate) fn is_coloured(stream: &impl RawStream) -> bool {
    AutoStream::choice(stream) != ColorChoice::Never
}

/// Formats a text in a style, if standard error shows colours.
pub(crate) fn on_stderr(style: Style, text: impl Display) -> String {
    if is_coloured(&io::stderr()) { format!("{style}{text}{style:#}") } else { text.to_string() }
}

/// Returns the columns of the terminal on standard output; `None` where it is no terminal.
pub(crate) fn width() -> Option<usize> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&stdout).ok()?;
    // A terminal without a set size, such as a serial console, reports 0 columns.
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Returns the style of a state, given its first word.
pub(crate) fn of_state(word: &str) -> Style {
    // Some cells add to the state: `exited 3`, or `open, satellite offline`.
    match word.split([' ', ',']).next().unwrap_or_default() {
        "succeeded" | "active" | "yes" | "success" | "open" => GOOD,
        "failed" | "failure" | "timed_out" | "not_run" | "expired" | "outcome_unknown" | "lost" | "error" => BAD,
        "cancelled" | "cancelling" | "no" | "inactive" | "maintenance" | "disabled" | "revoked" => ODD,
        _ => Style::new(),
    }
}
