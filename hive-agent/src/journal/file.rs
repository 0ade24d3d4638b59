//! The journal's file: opening what a crash left, appending, rewriting.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::Record;
use crate::{files, random};

/// The first line.
#[derive(Serialize, Deserialize)]
struct Header {
    journal: String,
    version: u32,
}

/// An open journal.
#[derive(Debug)]
pub(crate) struct JournalFile {
    path: PathBuf,
    id: String,
    file: File,
    /// Where the last whole line ends.
    size: u64,
}

/// A journal and what stood in it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) file: JournalFile,
    pub(crate) records: Vec<Record>,
}

impl JournalFile {
    /// Opens the journal, or begins one.
    ///
    /// A last line that was never finished is cut off: nothing was started because of it. A line in the middle that
    /// cannot be read means that memory is lost; the file is set aside and a journal with another id begins, so that the
    /// server learns of it.
    pub(crate) fn open(path: &Path) -> io::Result<Opened> {
        let mut content = Vec::new();
        match File::open(path) {
            Ok(mut file) => drop(file.read_to_end(&mut content)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::begin(path),
            Err(error) => return Err(error),
        }
        let Some((id, records, size)) = parse(&content) else {
            let aside = path.with_extension("broken");
            warn!(path = %aside.display(), "the journal is damaged; it is set aside and a new one begins");
            fs::rename(path, &aside)?;
            return Self::begin(path);
        };
        let mut file = files::private_file().write(true).truncate(false).open(path)?;
        file.set_len(size)?;
        file.seek(io::SeekFrom::End(0))?;
        let path = path.to_owned();
        Ok(Opened { file: Self { path, id, file, size }, records })
    }

    fn begin(path: &Path) -> io::Result<Opened> {
        let id = random::unique_id()?;
        let (file, size) = write_whole(path, &id, &[])?;
        let path = path.to_owned();
        Ok(Opened { file: Self { path, id, file, size }, records: Vec::new() })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Appends whole lines. If they cannot be written completely, none of them stays.
    pub(super) fn append(&mut self, lines: &[u8], is_durable: bool) -> io::Result<()> {
        let mut written = self.file.write_all(lines);
        if is_durable && written.is_ok() {
            written = self.file.sync_data();
        }
        match written {
            Ok(()) => {
                self.size += lines.len() as u64;
                Ok(())
            }
            // Half a line in the middle would cost the whole journal at the next start.
            Err(error) => {
                self.file.set_len(self.size)?;
                self.file.seek(io::SeekFrom::End(0))?;
                Err(error)
            }
        }
    }

    /// Replaces all lines but the first.
    pub(crate) fn rewrite(&mut self, lines: &[u8]) -> io::Result<()> {
        (self.file, self.size) = write_whole(&self.path, &self.id, lines)?;
        Ok(())
    }
}

fn write_whole(path: &Path, id: &str, lines: &[u8]) -> io::Result<(File, u64)> {
    let header = Header { journal: id.to_owned(), version: 1 };
    let mut content = serde_json::to_vec(&header)?;
    content.push(b'\n');
    content.extend_from_slice(lines);
    files::write_atomically(path, &content)?;
    let mut file = files::private_file().write(true).truncate(false).open(path)?;
    let size = file.seek(io::SeekFrom::End(0))?;
    Ok((file, size))
}

/// Gives the id, the records, and where the last whole line ends; `None` if the file is damaged.
fn parse(content: &[u8]) -> Option<(String, Vec<Record>, u64)> {
    let mut lines = content.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n")).peekable();
    let first = lines.next()?;
    let header: Header = serde_json::from_slice(first).ok()?;
    let mut records = Vec::new();
    let mut size = first.len();
    while let Some(line) = lines.next() {
        match serde_json::from_slice(line) {
            Ok(record) => records.push(record),
            Err(_) if lines.peek().is_none() => break,
            Err(_) => return None,
        }
        size += line.len();
    }
    Some((header.journal, records, size as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::id::Seed;
    use hive_wire::{CommandId, Timestamp};
    use proptest::prelude::*;

    fn record(n: u8) -> Record {
        Record::Started {
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
        for torn in [&b"{\"record\":\"star"[..], b"\0\0\0\0", b"garbage\n"] {
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
    fn damage_in_the_middle_begins_another_journal() {
        let (_dir, path, id) = journal(3);
        let content =
            fs::read_to_string(&path).unwrap().replacen("started", "sta\u{1}ted", 1).replacen("{\"rec", "\"rec", 1);
        fs::write(&path, content).unwrap();
        let opened = JournalFile::open(&path).unwrap();
        assert_ne!(opened.file.id, id);
        assert!(opened.records.is_empty());
        assert!(path.with_extension("broken").exists());
    }

    #[test]
    fn a_line_of_a_newer_version_is_no_damage() {
        let (_dir, path, id) = journal(1);
        let mut opened = JournalFile::open(&path).unwrap();
        opened.file.append(b"{\"record\":\"from_the_future\",\"x\":1}\n", false).unwrap();
        opened.file.append(&record(1).to_line().unwrap(), false).unwrap();
        let opened = JournalFile::open(&path).unwrap();
        assert_eq!(opened.file.id, id);
        assert_eq!(opened.records, [record(0), Record::Unknown, record(1)]);
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
    }
}
