//! Reads one output of a command, from disk and behind it from memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hive_wire::CommandId;
use hive_wire::agent::Channel;

use super::memory::{MemorySpool, MemoryTail};

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
    pub(super) fn new(memory: Arc<MemorySpool>, id: CommandId, channel: Channel, path: PathBuf) -> Self {
        Self { memory, id, channel, path, file: None, tail: None }
    }

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
                // Opened late: most readers of a resumed link have nothing left to read.
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
