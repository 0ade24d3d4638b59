//! The output of commands on disk, until the server has acknowledged it: `spool/<command>.stdout` and `.stderr`.
//!
//! A file is created with its first byte, so that a command without output costs none. Reads and writes are plain
//! system calls on the page cache. They take a few microseconds for chunks of this size, and are made directly in the
//! async tasks.
//!
//! Output that a full disk does not take is kept in [`memory`] until the server has it, so that a caller who listens
//! misses nothing.

mod memory;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hive_wire::CommandId;
use hive_wire::agent::{Channel, MAX_OUTPUT, Received};
use tracing::warn;

use crate::storage::disk::{self, DiskHealth};
use crate::storage::files;

use memory::{MemorySpool, MemoryTail};

/// The directory of all outputs.
#[derive(Debug, Clone)]
pub(crate) struct Spool {
    pub(crate) dir: PathBuf,
    disk: Arc<DiskHealth>,
    memory: Arc<MemorySpool>,
}

impl Spool {
    /// Creates the directory. If the disk is full, it is created with the first output.
    pub(crate) fn open(dir: PathBuf, disk: Arc<DiskHealth>) -> io::Result<Self> {
        match files::create_private_dir(&dir) {
            Err(error) if disk::is_disk_error(&error) => {
                warn!("{}", disk.record_failure("the output of commands", &error));
            }
            made => made?,
        }
        Ok(Self { dir, disk, memory: Arc::default() })
    }

    fn path(&self, id: CommandId, channel: Channel) -> PathBuf {
        debug_assert!(channel.is_known(), "an agent writes the outputs that it knows");
        self.dir.join(format!("{id}.{channel}"))
    }

    /// Opens a writer of one output.
    pub(crate) fn writer(&self, id: CommandId, channel: Channel) -> SpoolWriter {
        let (path, spool) = (self.path(id, channel.clone()), self.clone());
        SpoolWriter { spool, id, channel, path, file: None, tail: None, len: 0, is_truncated: false, loss: None }
    }

    /// Opens a reader of one output.
    pub(crate) fn reader(&self, id: CommandId, channel: Channel) -> SpoolReader {
        let path = self.path(id, channel.clone());
        SpoolReader { memory: self.memory.clone(), id, channel, path, file: None, tail: None }
    }

    /// The length of a command's output on disk.
    pub(crate) fn stored_len(&self, id: CommandId) -> Received {
        let len = |channel| fs::metadata(self.path(id, channel)).map_or(0, |file| file.len());
        Received { stdout: len(Channel::Stdout), stderr: len(Channel::Stderr) }
    }

    /// Removes a command's output.
    pub(crate) fn remove(&self, id: CommandId) {
        self.memory.remove(id);
        for channel in [Channel::Stdout, Channel::Stderr] {
            match fs::remove_file(self.path(id, channel)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    warn!(command.id = %id, %error, "cannot remove a command's output");
                }
                _ => {}
            }
        }
    }

    /// Removes the output of commands that are not needed any more.
    pub(crate) fn sweep(&self, is_needed: impl Fn(CommandId) -> bool) -> io::Result<()> {
        if !self.dir.is_dir() {
            return Ok(());
        }
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|name| name.split('.').next()?.parse().ok());
            match id {
                Some(id) if !is_needed(id) => self.remove(id),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Stores one output, up to [`MAX_OUTPUT`].
#[derive(Debug)]
pub(crate) struct SpoolWriter {
    spool: Spool,
    id: CommandId,
    channel: Channel,
    path: PathBuf,
    file: Option<File>,
    /// Where the output continues after the disk has failed.
    tail: Option<Arc<MemoryTail>>,
    len: u64,
    is_truncated: bool,
    loss: Option<String>,
}

impl SpoolWriter {
    /// Stores as many of these bytes as fit, and returns the length of the output so far.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> u64 {
        let room = if self.is_truncated { 0 } else { MAX_OUTPUT - self.len };
        let kept = &bytes[..bytes.len().min(room as usize)];
        self.is_truncated |= kept.len() < bytes.len();
        if self.tail.is_none()
            && let Err(error) = self.write(kept)
        {
            self.continue_in_memory(&error);
        }
        if let Some(tail) = &self.tail {
            if tail.append(kept) {
                self.len += kept.len() as u64;
            } else {
                self.record_loss("there is no memory for it");
            }
        }
        self.len
    }

    /// Waits until there is room for more. It waits only while the output is kept in memory, and only for a limited
    /// time: if the server does not read, the rest is lost.
    pub(crate) async fn room(&mut self) {
        // On disk there is always room: a program is never blocked by the network.
        let Some(tail) = self.tail.as_ref().filter(|_| !self.is_truncated) else { return };
        if !tail.room().await {
            self.record_loss("the server does not take it");
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            empty => empty.insert(create(&self.path)?),
        };
        file.write_all(bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Continues in memory.
    fn continue_in_memory(&mut self, error: &io::Error) {
        let message = self.spool.disk.record_failure("the output of commands", error);
        warn!(command.id = %self.id, "{message}");
        // Cuts off a chunk that was written in part, so that a later reader of the file does not see it.
        drop(self.file.as_ref().map(|file| file.set_len(self.len)));
        self.tail = Some(self.spool.memory.begin(self.id, self.channel.clone(), self.len));
        self.loss = Some(message);
    }

    fn record_loss(&mut self, why: &str) {
        self.is_truncated = true;
        if let Some(message) = &mut self.loss {
            *message = format!("output was lost: {message}, and {why}");
            warn!(command.id = %self.id, "{message}");
        }
    }

    /// The length of the output so far.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Whether output was dropped.
    pub(crate) fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    /// Why output was dropped, unless it exceeded the size limit.
    pub(crate) fn loss(&self) -> Option<&str> {
        self.loss.as_deref().filter(|_| self.is_truncated && self.len < MAX_OUTPUT)
    }
}

fn create(path: &Path) -> io::Result<File> {
    let create = || files::private_file().write(true).truncate(true).open(path);
    match (create(), path.parent()) {
        (Err(error), Some(dir)) if error.kind() == io::ErrorKind::NotFound => {
            files::create_private_dir(dir)?;
            create()
        }
        (created, _) => created,
    }
}

/// Reads one output at any offset.
#[derive(Debug)]
pub(crate) struct SpoolReader {
    memory: Arc<MemorySpool>,
    id: CommandId,
    channel: Channel,
    path: PathBuf,
    file: Option<File>,
    tail: Option<Arc<MemoryTail>>,
}

impl SpoolReader {
    /// Reads exactly these bytes, which the writer must have reported.
    pub(crate) fn read(&mut self, offset: u64, len: usize) -> io::Result<Bytes> {
        if len == 0 {
            return Ok(Bytes::new());
        }
        // An output may begin on disk and continue in memory.
        let memory_begins = self.tail().map_or(u64::MAX, MemoryTail::begin);
        let from_disk = memory_begins.saturating_sub(offset).min(len as u64) as usize;
        let mut piece = BytesMut::zeroed(from_disk);
        if from_disk > 0 {
            let file = match &mut self.file {
                Some(file) => file,
                empty => empty.insert(File::open(&self.path)?),
            };
            file.read_exact_at(&mut piece, offset)?;
        }
        if let (true, Some(tail)) = (from_disk < len, &self.tail) {
            piece.extend_from_slice(&tail.read(offset + from_disk as u64, len - from_disk)?);
        }
        Ok(piece.freeze())
    }

    /// Notes that the server has everything before this offset.
    pub(crate) fn acknowledge(&mut self, offset: u64) {
        if let Some(tail) = self.tail() {
            tail.acknowledge(offset);
        }
    }

    fn tail(&mut self) -> Option<&MemoryTail> {
        if self.tail.is_none() {
            self.tail = self.memory.get(self.id, self.channel.clone());
        }
        self.tail.as_deref()
    }
}

#[cfg(test)]
impl Spool {
    /// A spool on a disk that works.
    pub(crate) fn of_dir(dir: PathBuf) -> Self {
        let disk = Arc::new(DiskHealth::new(&dir));
        Self::open(dir, disk).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::id::Seed;

    fn id(n: u8) -> CommandId {
        CommandId::new(Seed { unix_millis: 1, random: [n; 10] })
    }

    fn spool() -> (tempfile::TempDir, Spool) {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::of_dir(dir.path().join("spool"));
        (dir, spool)
    }

    #[test]
    fn output_is_read_while_it_is_written() {
        let (_dir, spool) = spool();
        let mut writer = spool.writer(id(1), Channel::Stdout);
        assert_eq!(writer.append(b""), 0);
        assert_eq!(spool.dir.read_dir().unwrap().count(), 0, "no file before the first byte");
        assert_eq!(writer.append(b"hello "), 6);
        let mut reader = spool.reader(id(1), Channel::Stdout);
        assert_eq!(reader.read(1, 3).unwrap(), "ell");
        assert_eq!(writer.append(b"world"), 11);
        assert_eq!(reader.read(6, 5).unwrap(), "world");
        assert_eq!(spool.stored_len(id(1)), Received { stdout: 11, stderr: 0 });
    }

    #[test]
    fn output_beyond_the_cap_is_dropped() {
        let (_dir, spool) = spool();
        let mut writer = spool.writer(id(1), Channel::Stderr);
        let piece = vec![b'x'; 1024 * 1024 + 1];
        for _ in 0..11 {
            writer.append(&piece);
        }
        assert!(writer.is_truncated());
        assert_eq!(writer.len(), MAX_OUTPUT);
        assert_eq!(spool.stored_len(id(1)).stderr, MAX_OUTPUT);
    }

    #[test]
    fn a_sweep_leaves_what_is_needed() {
        let (_dir, spool) = spool();
        spool.writer(id(1), Channel::Stdout).append(b"1");
        spool.writer(id(2), Channel::Stdout).append(b"2");
        spool.sweep(|other| other == id(2)).unwrap();
        assert_eq!((spool.stored_len(id(1)).stdout, spool.stored_len(id(2)).stdout), (0, 1));
    }

    #[test]
    fn what_the_disk_does_not_take_goes_on_in_memory() {
        let (_dir, spool) = spool();
        let mut writer = spool.writer(id(1), Channel::Stdout);
        writer.append(b"on disk, ");
        // A file that is open for reading only stands for a full disk.
        writer.file = Some(File::open(&writer.path).unwrap());
        assert_eq!(writer.append(b"in memory"), 18);
        assert!(!writer.is_truncated() && writer.loss().is_none());
        let mut reader = spool.reader(id(1), Channel::Stdout);
        assert_eq!(reader.read(0, 18).unwrap(), "on disk, in memory");
        assert_eq!(reader.read(12, 6).unwrap(), "memory");
        assert!(spool.disk.problem().is_none(), "the disk works again");
        spool.remove(id(1));
        assert!(spool.memory.get(id(1), Channel::Stdout).is_none());
    }

    #[test]
    fn an_output_begins_in_memory_where_there_is_no_file() {
        let (dir, spool) = spool();
        fs::remove_dir(&spool.dir).unwrap();
        fs::write(&spool.dir, "in the way").unwrap();
        let mut writer = spool.writer(id(1), Channel::Stderr);
        assert_eq!(writer.append(b"hello"), 5);
        assert_eq!(spool.reader(id(1), Channel::Stderr).read(1, 4).unwrap(), "ello");
        drop(dir);
    }
}
