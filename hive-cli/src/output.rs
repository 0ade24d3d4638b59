//! The only module that writes to stdout and stderr.
//!
//! Results go to stdout: with `-o json` exactly one document, with `-o jsonl` one a line. Everything else goes to
//! stderr. A closed pipe is an error like another, not a panic.

use std::io::{self, Write};

use clap::ValueEnum;
use hive_core::wire::agent::Channel;
use hive_core::wire::escape::json;
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::{CliError, Result};
use crate::escape;
use crate::style::{self, ERROR, HINT};
use crate::table::{TableLayout, TextTable};

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
pub(crate) struct Printer {
    pub(crate) format: Format,
}

impl Printer {
    /// Whether the format is JSON, as one document or as lines.
    pub(crate) fn is_json(self) -> bool {
        self.format != Format::Table
    }

    /// Whether each result is a line of JSON, written as soon as it is known.
    pub(crate) fn is_lines(self) -> bool {
        self.format == Format::Jsonl
    }

    /// Writes a value as JSON or as a table.
    pub(crate) fn show<T: Serialize + ?Sized>(self, value: &T, as_table: impl FnOnce(&T) -> TextTable) -> Result<()> {
        if self.is_json() { self.json(value) } else { table(&as_table(value)) }
    }

    /// Writes a value as JSON, or a sentence instead of it.
    pub(crate) fn report<T: Serialize>(self, value: &T, sentence: &str) -> Result<()> {
        if self.is_json() { self.json(value) } else { text(sentence) }
    }

    /// Writes a value as JSON. With `jsonl` each entry of a list is a line.
    pub(crate) fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        if self.is_lines()
            && let Ok(Value::Array(entries)) = serde_json::to_value(value)
        {
            return entries.iter().try_for_each(json_line);
        }
        json_line(value)
    }

    /// Writes an error to standard error and returns its exit code.
    pub(crate) fn error(self, error: &CliError) -> u8 {
        if error.is_silent() {
            return error.exit_code();
        }
        if self.is_json() {
            let mut body = json!({ "code": error.code(), "message": error.to_string() });
            if let Some(text) = error.hint() {
                body["advice"] = text.into();
            }
            write_stderr(&format!("{}\n", json(&json!({ "error": body }).to_string())));
        } else {
            note(&error.to_string());
            if let Some(text) = error.hint() {
                hint(&text);
            }
        }
        error.exit_code()
    }
}

/// Writes a value as one line of JSON.
pub(crate) fn json_line<T: Serialize + ?Sized>(value: &T) -> Result<()> {
    write_stdout(format!("{}\n", document(value)?).as_bytes())
}

/// Formats a value as JSON. Harmful characters in its strings are escaped, because the document may be shown on a
/// terminal.
fn document<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    let document = serde_json::to_string(value).map_err(|error| CliError::Output(error.into()))?;
    Ok(json(&document).into_owned())
}

/// Writes a table.
pub(crate) fn table(table: &TextTable) -> Result<()> {
    let layout = TableLayout { width: style::width(), is_coloured: style::is_coloured(&io::stdout()) };
    write_stdout(table.render(layout).as_bytes())
}

/// A list that is written entry by entry: as one document, or as lines. So its length needs no memory.
#[derive(Debug)]
pub(crate) struct JsonList {
    is_lines: bool,
    is_begun: bool,
}

impl JsonList {
    pub(crate) fn new(printer: Printer) -> Self {
        Self { is_lines: printer.is_lines(), is_begun: false }
    }

    pub(crate) fn push<T: Serialize>(&mut self, entry: &T) -> Result<()> {
        if self.is_lines {
            return json_line(entry);
        }
        // The bracket comes with the first entry: an error before it leaves standard output empty.
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

/// Writes lines of text.
pub(crate) fn text(text: &str) -> Result<()> {
    write_stdout(format!("{}\n", escape::message(text)).as_bytes())
}

/// Writes bytes of a satellite's program unchanged, to the same channel.
pub(crate) fn raw(channel: &Channel, bytes: &[u8]) -> Result<()> {
    match channel {
        Channel::Stdout => write_stdout(bytes),
        Channel::Stderr => write(&mut io::stderr().lock(), bytes),
        // A newer hive may have a channel that this version cannot place.
        Channel::Unknown(_) => Ok(()),
    }
}

/// Writes bytes of this program unchanged.
pub(crate) fn bytes(bytes: &[u8]) -> Result<()> {
    write_stdout(bytes)
}

/// Writes a message to standard error.
pub(crate) fn note(text: &str) {
    write_stderr(&format!("{} {}\n", style::on_stderr(ERROR, "hive:"), escape::message(text)));
}

/// Writes a hint to standard error.
pub(crate) fn hint(text: &str) {
    write_stderr(&format!("{}\n", style::on_stderr(HINT, escape::message(text))));
}

/// Writes lines of text to standard error, without the prefix of a message.
pub(crate) fn stderr_text(text: &str) {
    write_stderr(&format!("{}\n", escape::message(text)));
}

/// Writes a question to standard error, without a line end.
pub(crate) fn prompt(question: &str) {
    write_stderr(&escape::message(question));
}

/// Writes to standard error.
fn write_stderr(text: &str) {
    // A failed write is ignored: there is no other place for its message.
    write(&mut io::stderr().lock(), text.as_bytes()).ok();
}

fn write_stdout(bytes: &[u8]) -> Result<()> {
    write(&mut io::stdout().lock(), bytes)
}

fn write(to: &mut impl Write, bytes: &[u8]) -> Result<()> {
    // Standard output holds bytes back until a line end: a prompt of a remote program would not appear without the
    // flush.
    to.write_all(bytes).and_then(|()| to.flush()).map_err(CliError::Output)
}
