//! The lines of a backup, and the seal behind them.

use std::io::{BufRead, Write};

use data_encoding::HEXLOWER;
use hive_wire::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::{BackupError, FORMAT, Summary};

/// A line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// What the file is.
    Header(Header),
    /// A file of the key directory.
    Key { name: String, text: String },
    /// The table whose rows follow.
    Table { name: String, columns: Vec<String> },
    /// A row of it, in the order of its columns.
    Row(Vec<Json>),
    /// The last line: what is before it, in short.
    End { rows: u64, sha256: String },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) format: u32,
    /// The number of the last migration of the database.
    pub(super) migration: i64,
    pub(super) program: String,
    pub(super) created_at: Timestamp,
}

/// Writes lines, and the seal behind them.
pub(super) struct SealedWriter<'w> {
    out: &'w mut (dyn Write + Send),
    hash: Sha256,
    rows: u64,
}

impl<'w> SealedWriter<'w> {
    pub(super) fn new(out: &'w mut (dyn Write + Send)) -> Self {
        Self { out, hash: Sha256::new(), rows: 0 }
    }

    pub(super) fn line(&mut self, line: &Line) -> std::io::Result<()> {
        self.rows += u64::from(matches!(line, Line::Row(_)));
        let text = text(line);
        self.hash.update(&text);
        self.out.write_all(&text)
    }

    pub(super) fn seal(self) -> std::io::Result<Summary> {
        let summary = Summary { rows: self.rows, sha256: HEXLOWER.encode(&self.hash.finalize()) };
        let Summary { rows, sha256 } = summary.clone();
        self.out.write_all(&text(&Line::End { rows, sha256 }))?;
        Ok(summary)
    }
}

fn text(line: &Line) -> Vec<u8> {
    let mut text = serde_json::to_vec(line).expect("a line is plain data");
    text.push(b'\n');
    text
}

/// Reads lines.
pub(super) struct Reader<R>(R);

impl<R: BufRead> Reader<R> {
    pub(super) fn new(file: R) -> Self {
        Self(file)
    }

    /// The next line, and its bytes.
    fn next_with_bytes(&mut self) -> Result<Option<(Line, Vec<u8>)>, BackupError> {
        let mut bytes = Vec::new();
        if self.0.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        // Not serde's own words: they may repeat what is in the line.
        let line = serde_json::from_slice(&bytes).map_err(|_| BackupError::Damaged("a line cannot be read".into()))?;
        Ok(Some((line, bytes)))
    }

    pub(super) fn next(&mut self) -> Result<Option<Line>, BackupError> {
        Ok(self.next_with_bytes()?.map(|(line, _)| line))
    }
}

/// Reads a whole file and holds it against its seal.
pub(super) fn check(file: impl BufRead) -> Result<Summary, BackupError> {
    let damaged = |why: &str| BackupError::Damaged(why.to_owned());
    let mut reader = Reader::new(file);
    match reader.next_with_bytes()? {
        Some((Line::Header(header), _)) if header.format > FORMAT => Err(BackupError::Newer),
        Some((Line::Header(header), _)) if header.format < FORMAT => Err(BackupError::Unsupported),
        Some((Line::Header(_), bytes)) => check_rest(&mut reader, &bytes),
        _ => Err(damaged("it has no header")),
    }
}

/// Checks what is behind the header.
fn check_rest<R: BufRead>(reader: &mut Reader<R>, header: &[u8]) -> Result<Summary, BackupError> {
    let damaged = |why: &str| BackupError::Damaged(why.to_owned());
    let (mut hash, mut count) = (Sha256::new_with_prefix(header), 0);
    while let Some((line, bytes)) = reader.next_with_bytes()? {
        let Line::End { rows, sha256 } = line else {
            count += u64::from(matches!(line, Line::Row(_)));
            hash.update(&bytes);
            continue;
        };
        let is_whole = rows == count && sha256 == HEXLOWER.encode(&hash.finalize());
        let is_last = bytes.ends_with(b"\n") && reader.next_with_bytes()?.is_none();
        return if is_whole && is_last { Ok(Summary { rows, sha256 }) } else { Err(damaged("it was changed")) };
    }
    Err(damaged("its end is missing"))
}
