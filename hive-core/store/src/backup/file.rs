//! The records of a backup file, and the checksum at its end.

use std::io::{BufRead, Write};

use data_encoding::HEXLOWER;
use hive_wire::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::{BackupError, BackupSummary, FORMAT};

/// A record, on a line of its own.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BackupRecord {
    /// The format and origin of the file.
    Header(Header),
    /// A file of the key directory.
    Key { name: String, text: String },
    /// The table whose rows follow.
    Table { name: String, columns: Vec<String> },
    /// A row of it, in the order of its columns.
    Row(Vec<Json>),
    /// The last record: the number of rows, and the checksum of all lines before.
    End { rows: u64, sha256: String },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) format: u32,
    /// The schema version of the database.
    pub(super) migration: i64,
    /// The schema version of the telemetry, if that is in the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) telemetry: Option<i64>,
    pub(super) program: String,
    pub(super) created_at: Timestamp,
}

/// Writes records, and the checksum at the end.
pub(super) struct RecordWriter<'w> {
    out: &'w mut (dyn Write + Send),
    hash: Sha256,
    rows: u64,
}

impl<'w> RecordWriter<'w> {
    pub(super) fn new(out: &'w mut (dyn Write + Send)) -> Self {
        Self { out, hash: Sha256::new(), rows: 0 }
    }

    pub(super) fn write(&mut self, line: &BackupRecord) -> std::io::Result<()> {
        self.rows += u64::from(matches!(line, BackupRecord::Row(_)));
        let text = text(line);
        self.hash.update(&text);
        self.out.write_all(&text)
    }

    pub(super) fn finish(self) -> std::io::Result<BackupSummary> {
        let summary = BackupSummary { rows: self.rows, sha256: HEXLOWER.encode(&self.hash.finalize()) };
        let BackupSummary { rows, sha256 } = summary.clone();
        self.out.write_all(&text(&BackupRecord::End { rows, sha256 }))?;
        Ok(summary)
    }
}

fn text(line: &BackupRecord) -> Vec<u8> {
    let mut text = serde_json::to_vec(line).expect("a line is plain data");
    text.push(b'\n');
    text
}

/// Reads records.
pub(super) struct RecordReader<R>(R);

impl<R: BufRead> RecordReader<R> {
    pub(super) fn new(file: R) -> Self {
        Self(file)
    }

    /// Returns the next record, and its bytes.
    fn next_with_bytes(&mut self) -> Result<Option<(BackupRecord, Vec<u8>)>, BackupError> {
        let mut bytes = Vec::new();
        if self.0.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        // The message of serde may repeat a part of the line, which has secrets.
        let line = serde_json::from_slice(&bytes).map_err(|_| BackupError::Corrupt("a line cannot be read".into()))?;
        Ok(Some((line, bytes)))
    }

    /// Reads the first record.
    pub(super) fn header(&mut self) -> Result<Header, BackupError> {
        match self.next()? {
            Some(BackupRecord::Header(header)) => Ok(header),
            _ => Err(BackupError::Corrupt("it has no header".into())),
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<BackupRecord>, BackupError> {
        Ok(self.next_with_bytes()?.map(|(line, _)| line))
    }
}

/// Reads a whole file and verifies its checksum.
pub(super) fn verify(file: impl BufRead) -> Result<BackupSummary, BackupError> {
    let corrupt = |why: &str| BackupError::Corrupt(why.to_owned());
    let mut reader = RecordReader::new(file);
    match reader.next_with_bytes()? {
        Some((BackupRecord::Header(header), _)) if header.format > FORMAT => Err(BackupError::Newer),
        Some((BackupRecord::Header(header), _)) if header.format < FORMAT => Err(BackupError::Unsupported),
        Some((BackupRecord::Header(_), bytes)) => verify_rest(&mut reader, &bytes),
        _ => Err(corrupt("it has no header")),
    }
}

/// Verifies the records after the header.
fn verify_rest<R: BufRead>(reader: &mut RecordReader<R>, header: &[u8]) -> Result<BackupSummary, BackupError> {
    let corrupt = |why: &str| BackupError::Corrupt(why.to_owned());
    let (mut hash, mut count) = (Sha256::new_with_prefix(header), 0);
    while let Some((line, bytes)) = reader.next_with_bytes()? {
        let BackupRecord::End { rows, sha256 } = line else {
            count += u64::from(matches!(line, BackupRecord::Row(_)));
            hash.update(&bytes);
            continue;
        };
        let is_whole = rows == count && sha256 == HEXLOWER.encode(&hash.finalize());
        // A file that was appended to, or cut within the last line, is refused too.
        let is_last = bytes.ends_with(b"\n") && reader.next_with_bytes()?.is_none();
        return if is_whole && is_last { Ok(BackupSummary { rows, sha256 }) } else { Err(corrupt("it was changed")) };
    }
    Err(corrupt("its end is missing"))
}
