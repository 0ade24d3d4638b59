//! The output of commands on disk, until the server has acknowledged it: `spool/<command>.stdout` and `.stderr`.
//!
//! A file appears with its first byte, so that a silent command costs none. Reads and writes are plain system calls on
//! the page cache, a few microseconds for the pieces in question, and are made right where they are needed.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use hive_wire::CommandId;
use hive_wire::agent::{Channel, MAX_OUTPUT, Received};
use tracing::warn;

use crate::files;

/// The directory of all outputs.
#[derive(Debug, Clone)]
pub(crate) struct Spool {
    pub(crate) dir: PathBuf,
}

impl Spool {
    /// Makes the directory.
    pub(crate) fn open(dir: PathBuf) -> io::Result<Self> {
        files::create_private_dir(&dir)?;
        Ok(Self { dir })
    }

    fn path(&self, id: CommandId, channel: Channel) -> PathBuf {
        debug_assert!(channel.is_known(), "an agent writes the outputs that it knows");
        self.dir.join(format!("{id}.{channel}"))
    }

    /// Where one output is written.
    pub(crate) fn writer(&self, id: CommandId, channel: Channel) -> Writer {
        Writer { path: self.path(id, channel), file: None, len: 0, is_truncated: false }
    }

    /// Where one output is read.
    pub(crate) fn reader(&self, id: CommandId, channel: Channel) -> Reader {
        Reader { path: self.path(id, channel), file: None }
    }

    /// How much there is of a command's output.
    pub(crate) fn kept(&self, id: CommandId) -> Received {
        let len = |channel| fs::metadata(self.path(id, channel)).map_or(0, |file| file.len());
        Received { stdout: len(Channel::Stdout), stderr: len(Channel::Stderr) }
    }

    /// Drops a command's output.
    pub(crate) fn remove(&self, id: CommandId) {
        for channel in [Channel::Stdout, Channel::Stderr] {
            match fs::remove_file(self.path(id, channel)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    warn!(command.id = %id, %error, "cannot remove a command's output");
                }
                _ => {}
            }
        }
    }

    /// Drops the output of commands nobody will ask for.
    pub(crate) fn sweep(&self, is_wanted: impl Fn(CommandId) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|name| name.split('.').next()?.parse().ok());
            match id {
                Some(id) if !is_wanted(id) => self.remove(id),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Keeps one output, up to [`MAX_OUTPUT`].
#[derive(Debug)]
pub(crate) struct Writer {
    path: PathBuf,
    file: Option<File>,
    len: u64,
    is_truncated: bool,
}

impl Writer {
    /// Keeps what fits of these bytes, and gives the length of the output so far.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> u64 {
        let room = if self.is_truncated { 0 } else { MAX_OUTPUT - self.len };
        let kept = &bytes[..bytes.len().min(room as usize)];
        self.is_truncated |= kept.len() < bytes.len();
        if let Err(error) = self.write(kept) {
            warn!(%error, path = %self.path.display(), "cannot keep a command's output; the rest of it is dropped");
            self.is_truncated = true;
            // What was written of the piece counts for nothing, also for who looks at the file later.
            drop(self.file.as_ref().map(|file| file.set_len(self.len)));
        }
        self.len
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            empty => empty.insert(files::private_file().write(true).truncate(true).open(&self.path)?),
        };
        file.write_all(bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// The length of the output so far.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Whether output was dropped.
    pub(crate) fn is_truncated(&self) -> bool {
        self.is_truncated
    }
}

/// Reads one output, at any place.
#[derive(Debug)]
pub(crate) struct Reader {
    path: PathBuf,
    file: Option<File>,
}

impl Reader {
    /// Reads exactly this piece, which the writer must have reported.
    pub(crate) fn read(&mut self, offset: u64, len: usize) -> io::Result<Bytes> {
        if len == 0 {
            return Ok(Bytes::new());
        }
        let file = match &mut self.file {
            Some(file) => file,
            empty => empty.insert(File::open(&self.path)?),
        };
        let mut piece = BytesMut::zeroed(len);
        file.read_exact_at(&mut piece, offset)?;
        Ok(piece.freeze())
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
        let spool = Spool::open(dir.path().join("spool")).unwrap();
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
        assert_eq!(spool.kept(id(1)), Received { stdout: 11, stderr: 0 });
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
        assert_eq!(spool.kept(id(1)).stderr, MAX_OUTPUT);
    }

    #[test]
    fn a_sweep_leaves_what_is_wanted() {
        let (_dir, spool) = spool();
        spool.writer(id(1), Channel::Stdout).append(b"1");
        spool.writer(id(2), Channel::Stdout).append(b"2");
        spool.sweep(|other| other == id(2)).unwrap();
        assert_eq!((spool.kept(id(1)).stdout, spool.kept(id(2)).stdout), (0, 1));
    }
}
