//! The journal's file: recovery after a crash, appending, rewriting.
//!
//! The file is extended by zeros in segments, and records overwrite the zeros. The sync of a record then changes no size
//! and allocates no block, and is one flush of the disk instead of a commit of the file system's own journal. Zeros are
//! written and not only reserved with `fallocate`, because a block that was only reserved is converted when it is first
//! written, which is such a commit again. An agent that stops cuts the zeros off.
//!
//! On ext4 with fast commits this gains nothing within about 5 s after a segment was added: until the next full commit, each
//! sync also writes the inode, and takes as long as one that extends the file.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use tracing::warn;

use super::JournalRecord;
use super::format::{JournalHeader, ParsedJournal, VERSION, count, line, parse};
use crate::random;
use crate::storage::{disk, files};
use crate::system_error;

/// The number of start ids that are kept.
const MAX_STARTS: usize = 32;
/// The zeros that are written ahead of the records, enough for about 60 commands.
const SEGMENT: usize = 32 * 1024;
/// With fewer zeros left, the next segment is written.
const MIN_AHEAD: u64 = SEGMENT as u64 / 2;

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
    /// The offset behind the last zero that was written ahead. It equals `size` if there is none.
    allocated: u64,
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
        let mut file =
            Self { path, id, file: None, exists: true, size, allocated: size, is_torn: true, position, starts };
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
        let mut file =
            Self { path, id, file: None, exists: false, size: 0, allocated: 0, is_torn: true, position: 0, starts };
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
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let written =
            file.write_all_at(lines, self.size).and_then(|()| if is_durable { file.sync_data() } else { Ok(()) });
        match written {
            Ok(()) => {
                self.size += lines.len() as u64;
                self.allocated = self.allocated.max(self.size);
                self.position += count(lines);
                self.is_torn = false;
            }
            // If this fails as well, the next append tries again.
            Err(_) => drop(self.repair()),
        }
        written
    }

    /// Writes the next segment of zeros if few are left. It takes a sync, so it is called when nobody waits.
    ///
    /// If there is no space, records are appended behind the end of the file for as long as that works.
    pub(super) fn allocate_ahead(&mut self) {
        if self.is_torn || self.allocated - self.size >= MIN_AHEAD {
            return;
        }
        let Some(file) = &self.file else { return };
        let allocated = file.write_all_at(&vec![0; SEGMENT], self.allocated).and_then(|()| file.sync_data());
        match allocated {
            Ok(()) => self.allocated += SEGMENT as u64,
            // The last free bytes of a disk are for records: what was written of the segment is given back.
            Err(_) => drop(file.set_len(self.allocated)),
        }
    }

    /// Cuts off the zeros that were written ahead.
    pub(super) fn cut_to_size(&mut self) {
        let cut = self.file.as_ref().map_or(Ok(()), |file| file.set_len(self.size));
        // The reader ignores zeros at the end, so nothing is lost if they stay.
        drop(cut);
        self.allocated = self.size;
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
        self.allocated = self.size;
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
        (self.file, self.size, self.allocated) = (Some(file), size, size);
        (self.exists, self.is_torn) = (true, false);
        Ok(())
    }
}

/// Ignores the error of a full disk: the agent starts all the same.
fn ignore_full_disk(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if disk::is_disk_error(&error) => {
            warn!("the journal cannot be written, and no commands run until it can: {}", system_error::text(&error));
            Ok(())
        }
        written => written,
    }
}

fn write_whole(path: &Path, header: &JournalHeader, lines: &[u8]) -> io::Result<(File, u64)> {
    let mut content = line(header)?;
    content.extend_from_slice(lines);
    files::write_atomically(path, &content)?;
    let file = files::private_file().write(true).truncate(false).open(path)?;
    Ok((file, content.len() as u64))
}

#[cfg(test)]
mod tests;
