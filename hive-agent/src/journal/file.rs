//! The journal's file: recovery after a crash, appending, rewriting.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::JournalRecord;
use crate::random;
use crate::storage::checksum::Checksum;
use crate::storage::{disk, files};

/// The version that is written. Version 1 had no checksums.
const VERSION: u32 = 2;
/// The number of start ids that are kept.
const MAX_STARTS: usize = 32;
/// Separates the JSON of a line, in which it is escaped, from the checksum.
const SEPARATOR: u8 = b'\t';

/// The first line.
#[derive(Serialize, Deserialize)]
struct JournalHeader {
    journal: String,
    version: u32,
    /// Records ever appended before the last rewrite.
    #[serde(default)]
    appended: u64,
    /// Records that the last rewrite kept.
    #[serde(default)]
    kept: u64,
    /// The start ids of the processes that wrote the journal, the latest last.
    #[serde(default)]
    starts: Vec<String>,
}

/// An open journal.
#[derive(Debug)]
pub(crate) struct JournalFile {
    path: PathBuf,
    id: String,
    /// `None` if the file could not be opened or created, because of the disk. Every append tries again.
    file: Option<File>,
    /// Whether the file exists.
    exists: bool,
    /// The offset behind the last complete line.
    size: u64,
    /// Whether there may be an incomplete line behind `size`.
    is_torn: bool,
    /// The number of records ever appended. A rewrite does not change it.
    position: u64,
    /// The start ids of the processes that wrote the journal, the latest last.
    starts: Vec<String>,
}

/// A journal and its records.
#[derive(Debug)]
pub(crate) struct OpenedJournal {
    pub(crate) file: JournalFile,
    pub(crate) records: Vec<JournalRecord>,
}

impl JournalFile {
    /// Opens the journal, or creates one.
    ///
    /// An incomplete last line is cut off: no command was started because of it. A complete line with a wrong checksum
    /// means that records are lost. The file is then renamed and a journal with another id is created, which tells the
    /// server. On a full disk the journal opens all the same, and appending fails.
    pub(crate) fn open(path: &Path) -> io::Result<OpenedJournal> {
        let mut content = Vec::new();
        match File::open(path) {
            Ok(mut file) => drop(file.read_to_end(&mut content)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::create(path),
            Err(error) => return Err(error),
        }
        let Some(ParsedJournal { header, mut records, size, unfinished }) = parse(&content) else {
            let damaged_path = path.with_extension("broken");
            warn!(path = %damaged_path.display(), "the journal is damaged; it is set aside and a new one begins");
            // Kept for a person to look at, and never deleted.
            fs::rename(path, &damaged_path)?;
            return Self::create(path);
        };
        // The header counts records up to the last rewrite, of which `kept` are in the file again.
        let position = header.appended + (records.len() as u64).saturating_sub(header.kept);
        let (path, id, starts) = (path.to_owned(), header.journal, header.starts);
        let mut file = Self { path, id, file: None, exists: true, size, is_torn: true, position, starts };
        ignore_full_disk(file.repair())?;
        if let Some(record) = unfinished {
            // Written again with its line end: the record may be of a command that was started.
            ignore_full_disk(file.append(&record.to_line()?, true))?;
            records.push(record);
        }
        Ok(OpenedJournal { file, records })
    }

    fn create(path: &Path) -> io::Result<OpenedJournal> {
        let (path, id, starts) = (path.to_owned(), random::unique_id()?, Vec::new());
        let mut file = Self { path, id, file: None, exists: false, size: 0, is_torn: true, position: 0, starts };
        ignore_full_disk(file.repair())?;
        Ok(OpenedJournal { file, records: Vec::new() })
    }

    /// Records durably that a process with this start id writes the journal from now on, and replaces all records by
    /// `lines`.
    pub(crate) fn start(&mut self, start_id: &str, lines: &[u8]) -> io::Result<()> {
        self.starts.push(start_id.to_owned());
        let surplus = self.starts.len().saturating_sub(MAX_STARTS);
        self.starts.drain(..surplus);
        self.rewrite(lines)
    }

    /// The number of records ever appended.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The start ids of the processes that wrote the journal, the latest last.
    pub(super) fn starts(&self) -> &[String] {
        &self.starts
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Appends complete lines. If they cannot be written completely, none of them stays.
    pub(super) fn append(&mut self, lines: &[u8], is_durable: bool) -> io::Result<()> {
        self.repair()?;
        // Set before the write: if it fails in the middle, the next append cuts the rest off.
        self.is_torn = true;
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let written = file.write_all(lines).and_then(|()| if is_durable { file.sync_data() } else { Ok(()) });
        match written {
            Ok(()) => {
                self.size += lines.len() as u64;
                self.position += count(lines);
                self.is_torn = false;
            }
            // If this fails as well, the next append tries again.
            Err(_) => drop(self.repair()),
        }
        written
    }

    /// Cuts off an incomplete line. Left in the middle of the file, it would make the whole journal unreadable at the
    /// next start.
    fn repair(&mut self) -> io::Result<()> {
        if !self.is_torn {
            return Ok(());
        }
        if !self.exists {
            return self.rewrite(&[]);
        }
        let file = match &mut self.file {
            Some(file) => file,
            empty => empty.insert(files::private_file().write(true).truncate(false).open(&self.path)?),
        };
        file.set_len(self.size)?;
        file.seek(io::SeekFrom::End(0))?;
        self.is_torn = false;
        Ok(())
    }

    /// Replaces all lines except the first.
    pub(crate) fn rewrite(&mut self, lines: &[u8]) -> io::Result<()> {
        let header = JournalHeader {
            journal: self.id.clone(),
            version: VERSION,
            appended: self.position,
            kept: count(lines),
            starts: self.starts.clone(),
        };
        let (file, size) = write_whole(&self.path, &header, lines)?;
        (self.file, self.size) = (Some(file), size);
        (self.exists, self.is_torn) = (true, false);
        Ok(())
    }
}

/// Ignores the error of a full disk: the agent starts all the same.
fn ignore_full_disk(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if disk::is_disk_error(&error) => {
            warn!(%error, "the journal cannot be written; no commands run until it can");
            Ok(())
        }
        written => written,
    }
}

/// The number of complete lines. JSON contains no line breaks of its own.
fn count(lines: &[u8]) -> u64 {
    lines.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n")).count() as u64
}

fn write_whole(path: &Path, header: &JournalHeader, lines: &[u8]) -> io::Result<(File, u64)> {
    let mut content = line(header)?;
    content.extend_from_slice(lines);
    files::write_atomically(path, &content)?;
    let mut file = files::private_file().write(true).truncate(false).open(path)?;
    let size = file.seek(io::SeekFrom::End(0))?;
    Ok((file, size))
}

/// The content of a journal's file.
struct ParsedJournal {
    header: JournalHeader,
    records: Vec<JournalRecord>,
    /// The offset behind the last complete line.
    size: u64,
    /// A last record that is complete except for the end of its line.
    unfinished: Option<JournalRecord>,
}

/// Parses a whole file. `None` if it is damaged.
fn parse(content: &[u8]) -> Option<ParsedJournal> {
    let mut lines = content.split_inclusive(|&byte| byte == b'\n');
    let first = lines.next()?.strip_suffix(b"\n")?;
    let header = read::<JournalHeader>(first, true)?;
    // Version 1 wrote lines without checksums, which are accepted only in its own files.
    let is_old = header.version < VERSION;
    let mut parsed = ParsedJournal { header, records: Vec::new(), size: first.len() as u64 + 1, unfinished: None };
    for line in lines {
        match line.strip_suffix(b"\n") {
            Some(whole) => parsed.records.push(read(whole, is_old)?),
            // The last byte may be a damaged line end.
            None => parsed.unfinished = read(line, false).or_else(|| read(&line[..line.len() - 1], false)),
        }
        if line.ends_with(b"\n") {
            parsed.size += line.len() as u64;
        }
    }
    Some(parsed)
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

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::id::Seed;
    use hive_wire::{CommandId, Timestamp};
    use proptest::prelude::*;

    fn record(n: u8) -> JournalRecord {
        JournalRecord::Started {
            id: CommandId::new(Seed { unix_millis: 1, random: [n; 10] }),
            expires_at: Timestamp::from_micros(i64::from(n)),
            power: None,
        }
    }

    fn journal(count: u8) -> (tempfile::TempDir, PathBuf, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let mut opened = JournalFile::open(&path).unwrap();
        for n in 0..count {
            opened.file.append(&record(n).to_line().unwrap(), false).unwrap();
        }
        (dir, path, opened.file.id)
    }

    #[test]
    fn a_journal_is_found_again() {
        let (_dir, path, id) = journal(3);
        let opened = JournalFile::open(&path).unwrap();
        assert_eq!(opened.file.id, id);
        assert_eq!(opened.records, [record(0), record(1), record(2)]);
    }

    #[test]
    fn a_torn_last_line_is_cut_off() {
        let (_dir, path, id) = journal(2);
        for torn in [&b"{\"record\":\"star"[..], b"\0\0\0\0", b"x"] {
            let mut content = fs::read(&path).unwrap();
            content.extend_from_slice(torn);
            fs::write(&path, content).unwrap();
            let mut opened = JournalFile::open(&path).unwrap();
            assert_eq!((opened.records.len(), &opened.file.id), (2, &id));
            opened.file.append(b"", true).unwrap();
        }
        let mut opened = JournalFile::open(&path).unwrap();
        opened.file.append(&record(2).to_line().unwrap(), true).unwrap();
        assert_eq!(JournalFile::open(&path).unwrap().records.len(), 3);
    }

    #[test]
    fn damage_begins_another_journal() {
        let damage: [fn(&str) -> String; 4] = [
            |content| content.replacen("\"rec", "rec", 1),
            |content| content.replacen("\"cmd_0", "\"cmd_1", 1),
            |content| content.replacen('\t', " ", 2),
            |content| format!("{content}garbage\n"),
        ];
        for damage in damage {
            let (_dir, path, id) = journal(3);
            let content = damage(&fs::read_to_string(&path).unwrap());
            fs::write(&path, &content).unwrap();
            let opened = JournalFile::open(&path).unwrap();
            assert_ne!(opened.file.id, id);
            assert!(opened.records.is_empty());
            assert_eq!(fs::read_to_string(path.with_extension("broken")).unwrap(), content);
        }
    }

    #[test]
    fn a_journal_without_checksums_is_read_and_gets_some() {
        let (_dir, path, _) = journal(0);
        let old = |record: &JournalRecord| serde_json::to_string(record).unwrap() + "\n";
        let content = format!("{{\"journal\":\"0123456789\",\"version\":1}}\n{}{}", old(&record(0)), old(&record(1)));
        fs::write(&path, content).unwrap();
        let mut opened = JournalFile::open(&path).unwrap();
        assert_eq!((&*opened.file.id, &opened.records[..]), ("0123456789", &[record(0), record(1)][..]));
        opened.file.append(&record(2).to_line().unwrap(), false).unwrap();
        let mut opened = JournalFile::open(&path).unwrap();
        assert_eq!(opened.records, [record(0), record(1), record(2)]);
        opened.file.rewrite(&record(2).to_line().unwrap()).unwrap();
        let content = fs::read_to_string(&path).unwrap();
        assert!(content.lines().count() == 2 && content.lines().all(|line| line.contains('\t')), "{content}");
    }

    #[test]
    fn a_line_of_a_newer_version_is_no_damage() {
        let (_dir, path, id) = journal(1);
        let mut opened = JournalFile::open(&path).unwrap();
        let newer = line(&serde_json::json!({"record": "from_the_future", "x": 1})).unwrap();
        opened.file.append(&newer, false).unwrap();
        opened.file.append(&record(1).to_line().unwrap(), false).unwrap();
        let opened = JournalFile::open(&path).unwrap();
        assert_eq!(opened.file.id, id);
        assert_eq!(opened.records, [record(0), JournalRecord::Unknown, record(1)]);
    }

    #[test]
    fn the_position_counts_every_record_ever_appended() {
        let (_dir, path, _) = journal(3);
        let reopened = || JournalFile::open(&path).unwrap().file;
        assert_eq!(reopened().position, 3);
        reopened().rewrite(&record(9).to_line().unwrap()).unwrap();
        assert_eq!(reopened().position, 3, "a rewrite appends nothing");
        reopened().append(&record(10).to_line().unwrap(), true).unwrap();
        reopened().append(b"", true).unwrap();
        assert_eq!(reopened().position, 4);
        reopened().start("process", &[]).unwrap();
        assert_eq!(reopened().position, 4);
        let torn = [fs::read(&path).unwrap(), record(11).to_line().unwrap()[..9].to_vec()].concat();
        fs::write(&path, torn).unwrap();
        assert_eq!(reopened().position, 4, "half a record is none");
    }

    #[test]
    fn the_latest_processes_are_remembered() {
        let (_dir, path, _) = journal(1);
        for n in 0..MAX_STARTS + 2 {
            JournalFile::open(&path).unwrap().file.start(&format!("process-{n}"), &[]).unwrap();
        }
        let file = JournalFile::open(&path).unwrap().file;
        assert_eq!((file.starts.len(), &*file.starts[0]), (MAX_STARTS, "process-2"));
        assert_eq!(file.starts.last().unwrap(), &format!("process-{}", MAX_STARTS + 1));
    }

    #[test]
    fn a_rewritten_journal_keeps_its_id() {
        let (_dir, path, id) = journal(3);
        let mut opened = JournalFile::open(&path).unwrap();
        opened.file.rewrite(&record(9).to_line().unwrap()).unwrap();
        opened.file.append(&record(10).to_line().unwrap(), true).unwrap();
        let opened = JournalFile::open(&path).unwrap();
        assert_eq!(opened.file.id, id);
        assert_eq!(opened.records, [record(9), record(10)]);
    }

    proptest! {
        #[test]
        fn a_journal_cut_anywhere_behind_its_first_line_loses_only_the_end(cut in 0usize..2000) {
            let (_dir, path, id) = journal(10);
            let content = fs::read(&path).unwrap();
            let first_line = content.iter().position(|&byte| byte == b'\n').unwrap() + 1;
            let cut = first_line + cut % (content.len() - first_line + 1);
            fs::write(&path, &content[..cut]).unwrap();
            let opened = JournalFile::open(&path).unwrap();
            let whole: Vec<_> = (0..10).map(record).take(opened.records.len()).collect();
            prop_assert_eq!(&opened.file.id, &id);
            prop_assert_eq!(opened.records, whole);
        }

        #[test]
        fn a_changed_byte_is_no_other_journal(place in any::<usize>(), flip in 1u8..) {
            let (_dir, path, id) = journal(5);
            let mut content = fs::read(&path).unwrap();
            let place = place % content.len();
            content[place] ^= flip;
            fs::write(&path, &content).unwrap();
            let opened = JournalFile::open(&path).unwrap();
            let all: Vec<_> = (0..5).map(record).collect();
            let is_whole = opened.file.id == id && opened.records == all;
            let is_new = opened.file.id != id && opened.records.is_empty();
            prop_assert!(is_whole || is_new, "{:?}", opened.records);
        }
    }
}
