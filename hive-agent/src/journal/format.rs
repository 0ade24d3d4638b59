//! The format of the journal's file: JSON lines with checksums behind a header, and zeros behind the last line. No I/O.

use std::io::{self, Write as _};

use serde::{Deserialize, Serialize};

use super::JournalRecord;
use crate::storage::checksum::Checksum;

/// The version that is written. Version 1 had no checksums.
pub(super) const VERSION: u32 = 2;
/// Separates the JSON of a line, in which it is escaped, from the checksum.
const SEPARATOR: u8 = b'\t';

/// Zeros in a row that are not damage of single bytes.
const MIN_HOLE: usize = 16;

/// The first line.
#[derive(Serialize, Deserialize)]
pub(super) struct JournalHeader {
    pub(super) journal: String,
    pub(super) version: u32,
    /// Records ever appended before the last rewrite.
    #[serde(default)]
    pub(super) appended: u64,
    /// Records that the last rewrite kept.
    #[serde(default)]
    pub(super) kept: u64,
    /// The start ids of the processes that wrote the journal, the latest last.
    #[serde(default)]
    pub(super) starts: Vec<String>,
}

/// The content of a journal's file.
pub(super) struct ParsedJournal {
    pub(super) header: JournalHeader,
    pub(super) records: Vec<JournalRecord>,
    /// The offset behind the last complete line.
    pub(super) size: u64,
    /// A last record that is complete except for the end of its line.
    pub(super) unfinished: Option<JournalRecord>,
}

/// Parses a whole file. `None` if it is damaged.
pub(super) fn parse(content: &[u8]) -> Option<ParsedJournal> {
    let mut lines = content.split_inclusive(|&byte| byte == b'\n');
    let first = lines.next()?.strip_suffix(b"\n")?;
    let header = read::<JournalHeader>(first, true)?;
    // Version 1 wrote lines without checksums, which are accepted only in its own files.
    let is_old = header.version < VERSION;
    let mut parsed = ParsedJournal { header, records: Vec::new(), size: first.len() as u64 + 1, unfinished: None };
    for line in lines.by_ref() {
        let Some(whole) = line.strip_suffix(b"\n") else {
            parsed.unfinished = read_unfinished(line);
            break;
        };
        match read(whole, is_old) {
            Some(record) => parsed.records.push(record),
            // A power loss may keep later pages of the last write and lose earlier ones, which still contain zeros.
            // Nothing was started because of these records. Behind them there is no whole record: one would mean that
            // the disk has lost bytes of an earlier write.
            None if has_hole(whole) && !lines.any(|line| is_record(line, is_old)) => break,
            None => return None,
        }
        parsed.size += line.len() as u64;
    }
    Some(parsed)
}

/// Decodes a last line that has no end.
fn read_unfinished(line: &[u8]) -> Option<JournalRecord> {
    // The zeros that were written ahead. JSON contains none.
    let end = line.iter().rposition(|&byte| byte != 0)? + 1;
    // The last byte may be a damaged line end.
    read(&line[..end], false).or_else(|| read(&line[..end - 1], false))
}

/// Whether some of the zeros that were written ahead are left in the line. One zero byte may be damage.
fn has_hole(line: &[u8]) -> bool {
    line.windows(MIN_HOLE).any(|window| window.iter().all(|&byte| byte == 0))
}

fn is_record(line: &[u8], may_be_bare: bool) -> bool {
    line.strip_suffix(b"\n").is_some_and(|whole| read::<JournalRecord>(whole, may_be_bare).is_some())
}

/// Encodes a line: JSON, checksum, line end.
pub(super) fn line(content: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(content)?;
    let checksum = Checksum::of(&line);
    line.push(SEPARATOR);
    writeln!(line, "{checksum}")?;
    Ok(line)
}

/// Decodes a line without its end. `None` if the checksum is wrong.
fn read<T: for<'l> Deserialize<'l>>(line: &[u8], may_be_bare: bool) -> Option<T> {
    let json = match line.iter().rposition(|&byte| byte == SEPARATOR) {
        Some(at) => Some(&line[..at]).filter(|json| Checksum::of(json).is(&line[at + 1..])),
        None => Some(line).filter(|_| may_be_bare),
    };
    serde_json::from_slice(json?).ok()
}

/// The number of complete lines. JSON contains no line breaks of its own.
pub(super) fn count(lines: &[u8]) -> u64 {
    lines.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n")).count() as u64
}
