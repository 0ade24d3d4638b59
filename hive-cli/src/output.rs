//! The only place that writes to stdout and stderr.
//!
//! stdout holds what was asked for: with `-o json` exactly one document. Everything else goes to stderr. A reader that
//! went away is a failure like another, not a panic.

use std::io::{self, IsTerminal, Write};

use hive_core::wire::agent::Channel;
use serde::Serialize;
use serde_json::json;

use crate::escape;
use crate::failure::{Failure, Result};
use crate::table::Table;

/// How output is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) is_json: bool,
}

impl Output {
    /// Shows a thing as JSON or as a table.
    pub(crate) fn show<T: Serialize + ?Sized>(self, thing: &T, table: impl FnOnce(&T) -> Table) -> Result<()> {
        if self.is_json { json(thing) } else { write_stdout(table(thing).to_string().as_bytes()) }
    }

    /// Shows a thing as JSON, or says a sentence.
    pub(crate) fn tell<T: Serialize>(self, thing: &T, sentence: &str) -> Result<()> {
        if self.is_json { json(thing) } else { text(sentence) }
    }

    /// Tells a failure and gives the exit code that goes with it.
    pub(crate) fn failure(self, failure: &Failure) -> u8 {
        if failure.is_silent() {
            return failure.exit_code();
        }
        if self.is_json {
            let document = json!({ "error": { "code": failure.code(), "message": failure.to_string() } });
            write_stderr(&format!("{document}\n"));
        } else {
            note(&failure.to_string());
        }
        failure.exit_code()
    }
}

/// Writes the one document.
pub(crate) fn json<T: Serialize + ?Sized>(thing: &T) -> Result<()> {
    let mut text = serde_json::to_vec(thing).map_err(|error| Failure::Output(error.into()))?;
    text.push(b'\n');
    write_stdout(&text)
}

/// Writes a table.
pub(crate) fn table(table: &Table) -> Result<()> {
    write_stdout(table.to_string().as_bytes())
}

/// The one document, as a list that is written while its entries are found.
#[derive(Debug, Default)]
pub(crate) struct JsonList {
    is_begun: bool,
}

impl JsonList {
    pub(crate) fn push<T: Serialize>(&mut self, entry: &T) -> Result<()> {
        let mut text = if std::mem::replace(&mut self.is_begun, true) { vec![b','] } else { vec![b'['] };
        serde_json::to_writer(&mut text, entry).map_err(|error| Failure::Output(error.into()))?;
        write_stdout(&text)
    }

    pub(crate) fn end(self) -> Result<()> {
        write_stdout(if self.is_begun { b"]\n" } else { b"[]\n" })
    }
}

/// Writes lines for people.
pub(crate) fn text(text: &str) -> Result<()> {
    write_stdout(format!("{}\n", escape::message(text)).as_bytes())
}

/// Passes a program's bytes through as they are.
pub(crate) fn raw(channel: Channel, bytes: &[u8]) -> Result<()> {
    match channel {
        Channel::Stdout => write_stdout(bytes),
        Channel::Stderr => write(&mut io::stderr().lock(), bytes),
    }
}

/// Says something that was not asked for.
pub(crate) fn note(text: &str) {
    write_stderr(&format!("hive: {}\n", escape::message(text)));
}

/// Writes lines for people where programs write what is not asked for.
pub(crate) fn aside(text: &str) {
    write_stderr(&format!("{}\n", escape::message(text)));
}

/// Shows how far something is, in the place of what was shown before; nothing takes it away. Only people at a terminal
/// see it.
pub(crate) fn progress(text: &str) {
    if io::stderr().is_terminal() {
        write_stderr(&format!("\r\u{1b}[K{}", escape::cell(text)));
    }
}

/// Asks on the terminal, without ending the line.
pub(crate) fn prompt(question: &str) {
    write_stderr(&escape::message(question));
}

/// Nobody may be there to read it, and nobody else can be told.
fn write_stderr(text: &str) {
    write(&mut io::stderr().lock(), text.as_bytes()).ok();
}

fn write_stdout(bytes: &[u8]) -> Result<()> {
    write(&mut io::stdout().lock(), bytes)
}

fn write(to: &mut impl Write, bytes: &[u8]) -> Result<()> {
    to.write_all(bytes).and_then(|()| to.flush()).map_err(Failure::Output)
}
