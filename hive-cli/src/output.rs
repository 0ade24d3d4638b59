//! The only place that writes to stdout and stderr.
//!
//! stdout holds what was asked for: with `-o json` exactly one document, with `-o jsonl` one a line. Everything else goes
//! to stderr. A reader that went away is a failure like another, not a panic.

use std::io::{self, Write};

use clap::ValueEnum;
use hive_core::wire::agent::Channel;
use hive_core::wire::escape::json;
use serde::Serialize;
use serde_json::{Value, json};

use crate::escape;
use crate::failure::{Failure, Result};
use crate::style::{self, FAILURE, HINT};
use crate::table::{Place, Table};

/// How results are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Table,
    Json,
    Jsonl,
}

/// Writes results in the format that the user chose.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) format: Format,
}

impl Output {
    /// Whether programs read it, in either form.
    pub(crate) fn is_json(self) -> bool {
        self.format != Format::Table
    }

    /// Whether it is written line by line, as things happen.
    pub(crate) fn is_lines(self) -> bool {
        self.format == Format::Jsonl
    }

    /// Shows a thing as JSON or as a table.
    pub(crate) fn show<T: Serialize + ?Sized>(self, thing: &T, as_table: impl FnOnce(&T) -> Table) -> Result<()> {
        if self.is_json() { self.json(thing) } else { table(&as_table(thing)) }
    }

    /// Shows a thing as JSON, or says a sentence.
    pub(crate) fn tell<T: Serialize>(self, thing: &T, sentence: &str) -> Result<()> {
        if self.is_json() { self.json(thing) } else { text(sentence) }
    }

    /// Writes a thing as JSON: a list as one document, or each of its entries as a line.
    pub(crate) fn json<T: Serialize + ?Sized>(self, thing: &T) -> Result<()> {
        if self.is_lines()
            && let Ok(Value::Array(entries)) = serde_json::to_value(thing)
        {
            return entries.iter().try_for_each(line);
        }
        line(thing)
    }

    /// Tells a failure and gives the exit code that goes with it.
    pub(crate) fn failure(self, failure: &Failure) -> u8 {
        if failure.is_silent() {
            return failure.exit_code();
        }
        if self.is_json() {
            let mut error = json!({ "code": failure.code(), "message": failure.to_string() });
            if let Some(text) = failure.hint() {
                error["advice"] = text.into();
            }
            write_stderr(&format!("{}\n", json(&json!({ "error": error }).to_string())));
        } else {
            note(&failure.to_string());
            if let Some(text) = failure.hint() {
                hint(&text);
            }
        }
        failure.exit_code()
    }
}

/// Writes one document and its line end.
pub(crate) fn line<T: Serialize + ?Sized>(thing: &T) -> Result<()> {
    write_stdout(format!("{}\n", document(thing)?).as_bytes())
}

/// A thing as JSON. What is in its strings reaches a terminal as little as elsewhere.
fn document<T: Serialize + ?Sized>(thing: &T) -> Result<String> {
    let document = serde_json::to_string(thing).map_err(|error| Failure::Output(error.into()))?;
    Ok(json(&document).into_owned())
}

/// Writes a table.
pub(crate) fn table(table: &Table) -> Result<()> {
    let place = Place { width: style::width(), is_coloured: style::is_coloured(&io::stdout()) };
    write_stdout(table.render(place).as_bytes())
}

/// A list that is written while its entries are found: as the one document, or line by line.
#[derive(Debug)]
pub(crate) struct JsonList {
    is_lines: bool,
    is_begun: bool,
}

impl JsonList {
    pub(crate) fn new(output: Output) -> Self {
        Self { is_lines: output.is_lines(), is_begun: false }
    }

    pub(crate) fn push<T: Serialize>(&mut self, entry: &T) -> Result<()> {
        if self.is_lines {
            return line(entry);
        }
        let before = if std::mem::replace(&mut self.is_begun, true) { ',' } else { '[' };
        write_stdout(format!("{before}{}", document(entry)?).as_bytes())
    }

    pub(crate) fn end(self) -> Result<()> {
        match (self.is_lines, self.is_begun) {
            (true, _) => Ok(()),
            (false, true) => write_stdout(b"]\n"),
            (false, false) => write_stdout(b"[]\n"),
        }
    }
}

/// Writes lines for people.
pub(crate) fn text(text: &str) -> Result<()> {
    write_stdout(format!("{}\n", escape::message(text)).as_bytes())
}

/// Passes a program's bytes through as they are.
pub(crate) fn raw(channel: &Channel, bytes: &[u8]) -> Result<()> {
    match channel {
        Channel::Stdout => write_stdout(bytes),
        Channel::Stderr => write(&mut io::stderr().lock(), bytes),
        Channel::Unknown(_) => Ok(()),
    }
}

/// Writes a text of ours as it is.
pub(crate) fn plain(bytes: &[u8]) -> Result<()> {
    write_stdout(bytes)
}

/// Says something that was not asked for.
pub(crate) fn note(text: &str) {
    write_stderr(&format!("{} {}\n", style::on_stderr(FAILURE, "hive:"), escape::message(text)));
}

/// Says what to do next.
pub(crate) fn hint(text: &str) {
    write_stderr(&format!("{}\n", style::on_stderr(HINT, escape::message(text))));
}

/// Writes lines for people where programs write what is not asked for.
pub(crate) fn aside(text: &str) {
    write_stderr(&format!("{}\n", escape::message(text)));
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
