//! Reads one output of a command, from disk and behind it from memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hive_wire::CommandId;
use hive_wire::agent::Channel;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::Spool;
use super::memory::MemoryTail;
use crate::dirty_set::DirtySet;

/// Reads one output at any offset.
#[derive(Debug)]
pub(crate) struct SpoolReader {
    spool: Spool,
    id: CommandId,
    channel: Channel,
    slots: Arc<Semaphore>,
    ready: Arc<DirtySet<CommandId>>,
    file: Option<Arc<File>>,
    tail: Option<Arc<MemoryTail>>,
    reading: Option<oneshot::Receiver<DiskRead>>,
}

/// What the disk answered.
#[derive(Debug)]
struct DiskRead {
    read: io::Result<(Arc<File>, Bytes)>,
    /// Released when the bytes are taken.
    _slot: Option<OwnedSemaphorePermit>,
}

impl SpoolReader {
    pub(super) fn new(
        spool: Spool,
        id: CommandId,
        channel: Channel,
        slots: Arc<Semaphore>,
        ready: Arc<DirtySet<CommandId>>,
    ) -> Self {
        Self { spool, id, channel, slots, ready, file: None, tail: None, reading: None }
    }

    /// Reads exactly these bytes, which the writer must have reported. `None` while they are read from the disk: the
    /// caller repeats the call when the command is marked.
    pub(crate) fn read(&mut self, offset: u64, len: usize) -> Option<io::Result<Bytes>> {
        if len == 0 {
            return Some(Ok(Bytes::new()));
        }
        // An output may begin on disk and continue in memory.
        let memory_begins = self.tail().map_or(u64::MAX, MemoryTail::begin);
        let from_disk = memory_begins.saturating_sub(offset).min(len as u64) as usize;
        let piece = if from_disk == 0 { Ok(Bytes::new()) } else { self.read_disk(offset, from_disk)? };
        Some(piece.and_then(|piece| self.with_tail(piece, offset, len)))
    }

    fn read_disk(&mut self, offset: u64, len: usize) -> Option<io::Result<Bytes>> {
        let Some(reading) = &mut self.reading else {
            self.reading = Some(self.start(offset, len));
            return None;
        };
        let DiskRead { read, _slot } = match reading.try_recv() {
            Ok(done) => done,
            Err(oneshot::error::TryRecvError::Empty) => return None,
            Err(oneshot::error::TryRecvError::Closed) => {
                DiskRead { read: Err(io::Error::other("the read was dropped")), _slot: None }
            }
        };
        self.reading = None;
        Some(read.map(|(file, bytes)| {
            self.file = Some(file);
            bytes
        }))
    }

    fn start(&self, offset: u64, len: usize) -> oneshot::Receiver<DiskRead> {
        let (done, reading) = oneshot::channel();
        let (thread, slots) = (self.spool.thread.clone(), self.slots.clone());
        let (file, path) = (self.file.clone(), self.spool.path(self.id, self.channel.clone()));
        let (ready, id) = (self.ready.clone(), self.id);
        self.spool.tasks.spawn(async move {
            // Nobody closes the semaphore.
            let slot = slots.acquire_owned().await.ok();
            let read = thread.run(move || {
                let file = match file {
                    Some(file) => file,
                    // Opened late: most readers of a resumed link have nothing left to read.
                    None => Arc::new(File::open(path)?),
                };
                let mut piece = BytesMut::zeroed(len);
                file.read_exact_at(&mut piece, offset)?;
                Ok((file, piece.freeze()))
            });
            // A link that is gone does not take it.
            drop(done.send(DiskRead { read: read.await, _slot: slot }));
            ready.mark(id);
        });
        reading
    }

    /// Adds what is in memory of the `len` bytes.
    fn with_tail(&self, piece: Bytes, offset: u64, len: usize) -> io::Result<Bytes> {
        let from_disk = piece.len();
        let Some(tail) = self.tail.as_ref().filter(|_| from_disk < len) else { return Ok(piece) };
        let rest = tail.read(offset + from_disk as u64, len - from_disk)?;
        Ok(if from_disk == 0 { rest } else { [piece, rest].concat().into() })
    }

    /// Notes that the server has everything before this offset.
    pub(crate) fn acknowledge(&mut self, offset: u64) {
        if let Some(tail) = self.tail() {
            tail.acknowledge(offset);
        }
    }

    fn tail(&mut self) -> Option<&MemoryTail> {
        if self.tail.is_none() {
            self.tail = self.spool.memory.get(self.id, self.channel.clone());
        }
        self.tail.as_deref()
    }
}

#[cfg(test)]
impl SpoolReader {
    /// Reads, and waits for the disk.
    pub(crate) async fn read_all(&mut self, offset: u64, len: usize) -> io::Result<Bytes> {
        loop {
            if let Some(read) = self.read(offset, len) {
                return read;
            }
            self.ready.take().await;
        }
    }
}
