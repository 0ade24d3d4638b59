//! The log of the server: to standard error, as text or JSON lines.

use std::io::{IsTerminal, Write};
use std::str::FromStr;

use hive_core::wire::escape::{JsonLines, log_field};
use tracing::Subscriber;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("must be text or json"),
        }
    }
}

/// What is logged: a level, or levels per module.
#[derive(Debug, Clone)]
pub struct LogFilter(Targets);

impl FromStr for LogFilter {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Starts the log of this process. Fails if it was started before.
pub fn init(format: LogFormat, filter: &LogFilter) -> Result<(), TryInitError> {
    // Only for a terminal: files and log collectors would store the escape sequences.
    let is_coloured = std::io::stderr().is_terminal();
    subscriber(format, filter, is_coloured, std::io::stderr).try_init()
}

/// A log to any writer. The text of an event is escaped: it cannot forge another line or control the terminal.
fn subscriber<W>(
    format: LogFormat,
    filter: &LogFilter,
    is_coloured: bool,
    to: fn() -> W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: Write + Send + Sync + 'static,
{
    let log = tracing_subscriber::registry().with(filter.0.clone());
    let lines = tracing_subscriber::fmt::layer();
    match format {
        LogFormat::Text => {
            let fields = debug_fn(|to, field, value| {
                let is_styled = to.has_ansi_escapes();
                log_field(to, field.name(), value, is_styled)
            });
            let lines = lines.with_ansi(is_coloured).with_writer(to).fmt_fields(fields.delimited(" "));
            Box::new(log.with(lines))
        }
        // Flattened, so that log collectors index the fields of an event by their names.
        LogFormat::Json => Box::new(log.with(lines.with_writer(move || JsonLines(to())).json().flatten_event(true))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Mutex;

    use hive_core::wire::escape::is_harmful;

    static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

    struct Writer;

    impl Write for Writer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            WRITTEN.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_cannot_forge_a_line_in_any_format() {
        let forged = "x\r\n2026-02-05T05:42:00Z  INFO forged\u{1b}[2K\u{7f}\u{9b}31m\u{202e}";
        for format in [LogFormat::Text, LogFormat::Json] {
            let log = subscriber(format, &"info".parse().unwrap(), false, || Writer);
            tracing::subscriber::with_default(log, || {
                let span = tracing::info_span!("call", name = %forged);
                let _entered = span.enter();
                tracing::warn!(error = %forged, quoted = forged, debug = ?forged, "{forged}");
            });
            let written = String::from_utf8(std::mem::take(&mut *WRITTEN.lock().unwrap())).unwrap();
            let line = written.strip_suffix('\n').unwrap();
            assert!(!line.chars().any(is_harmful), "{format:?}: {line:?}");
            assert!(line.matches("forged").count() >= 5, "{format:?}: {line:?}");
        }
    }
}
