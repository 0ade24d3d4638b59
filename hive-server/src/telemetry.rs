//! The server's log: to standard error, for people or as JSON lines.

use std::error::Error;
use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// How log lines look.
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

/// What is logged: a level, or levels by module.
#[derive(Debug, Clone)]
pub struct LogFilter(String);

impl FromStr for LogFilter {
    type Err = tracing_subscriber::filter::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        EnvFilter::builder().parse(text).map(|_| Self(text.to_owned()))
    }
}

/// Starts the log of this process. Fails where there is one already.
pub fn init(format: LogFormat, filter: &LogFilter) -> Result<(), TryInitError> {
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(EnvFilter::new(&filter.0));
    match format {
        LogFormat::Text => log.finish().try_init(),
        LogFormat::Json => log.json().flatten_event(true).finish().try_init(),
    }
}

/// Returns an error and what caused it, as one line. Some errors tell their cause by themselves; it is not told again.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let (mut line, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        let words = error.to_string();
        if !line.ends_with(&words) {
            line = format!("{line}: {words}");
        }
        cause = error.source();
    }
    line.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Link(&'static str, #[source] Option<Box<Self>>);

    fn check(chain: &[&'static str], expected: &str) {
        let error = chain.iter().rev().fold(None, |cause, words| Some(Box::new(Link(words, cause)))).unwrap();
        assert_eq!(with_causes(error.as_ref()), expected);
    }

    #[test]
    fn every_cause_is_told_once() {
        check(&["cannot start"], "cannot start");
        check(&["cannot start", "no disk", "it is\nfull"], "cannot start: no disk: it is full");
        check(&["cannot start: no disk", "no disk", "it is full"], "cannot start: no disk: it is full");
    }
}
