//! Stores one output of a command: on disk, and in memory after the disk has failed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use hive_wire::CommandId;
use hive_wire::agent::{Channel, MAX_OUTPUT};
use tracing::warn;

use super::Spool;
use super::memory::MemoryTail;
use crate::storage::files;

/// Stores one output, up to [`MAX_OUTPUT`].
#[derive(Debug)]
pub(crate) struct SpoolWriter {
    spool: Spool,
    id: CommandId,
    channel: Channel,
    pub(super) path: PathBuf,
    pub(super) file: Option<Arc<File>>,
    /// Where the output continues after the disk has failed.
    tail: Option<Arc<MemoryTail>>,
    len: u64,
    is_truncated: bool,
    loss: Option<String>,
}

impl SpoolWriter {
    pub(super) fn new(spool: Spool, id: CommandId, channel: Channel, path: PathBuf) -> Self {
        Self { spool, id, channel, path, file: None, tail: None, len: 0, is_truncated: false, loss: None }
    }

    /// Stores as many of these bytes as fit, and returns the length of the output so far. Not cancel-safe: bytes that
    /// are written while the future is dropped are written again by the next call.
    pub(crate) async fn append(&mut self, bytes: Bytes) -> u64 {
        let room = if self.is_truncated { 0 } else { MAX_OUTPUT - self.len };
        let kept = bytes.slice(..bytes.len().min(room as usize));
        self.is_truncated |= kept.len() < bytes.len();
        if kept.is_empty() {
            return self.len;
        }
        if self.tail.is_none() {
            match self.write(kept.clone()).await {
                Ok(()) => self.len += kept.len() as u64,
                Err(error) => self.continue_in_memory(&error),
            }
        }
        if let Some(tail) = &self.tail {
            if tail.append(&kept) {
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

    async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        let (file, path, len) = (self.file.clone(), self.path.clone(), self.len);
        let written = self.spool.thread.run(move || {
            let file = match file {
                Some(file) => file,
                None => Arc::new(create(&path)?),
            };
            let written = file.write_all_at(&bytes, len);
            if written.is_err() {
                // Cuts off a chunk that was written in part, so that a later reader of the file does not see it.
                drop(file.set_len(len));
            }
            written.map(|()| file)
        });
        self.file = Some(written.await?);
        Ok(())
    }

    /// Continues in memory.
    fn continue_in_memory(&mut self, error: &io::Error) {
        let message = self.spool.disk.record_failure("the output of commands", error);
        warn!(command.id = %self.id, "{message}");
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
        // The directory is missing if the disk was full when the agent started.
        (Err(error), Some(dir)) if error.kind() == io::ErrorKind::NotFound => {
            files::create_private_dir(dir)?;
            create()
        }
        (created, _) => created,
    }
}
