//! The output of commands on disk, until the server has acknowledged it: `spool/<command>.stdout` and `.stderr`.
//!
//! A file is created with its first byte, so that a command without output costs none. Reads and writes are made on the
//! [`DiskThread`], in the order in which they were requested: a disk that hangs delays the commands that write output,
//! and neither the link nor a session.
//!
//! Output that a full disk does not take is kept in [`memory`] until the server has it, so that a caller who listens
//! misses nothing.

mod memory;
mod reader;
mod writer;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hive_wire::CommandId;
use hive_wire::agent::{Channel, Received};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::dirty_set::DirtySet;
use crate::storage::disk::{self, DiskHealth};
use crate::storage::disk_thread::DiskThread;
use crate::storage::files;
use crate::system_error;

use memory::MemorySpool;

pub(crate) use reader::SpoolReader;
pub(crate) use writer::SpoolWriter;

/// The directory of all outputs.
#[derive(Debug, Clone)]
pub(crate) struct Spool {
    pub(crate) dir: PathBuf,
    disk: Arc<DiskHealth>,
    memory: Arc<MemorySpool>,
    thread: DiskThread,
    /// Reads that wait for the thread.
    tasks: TaskTracker,
}

impl Spool {
    /// Creates the directory. If the disk is full, it is created with the first output.
    pub(crate) fn open(dir: PathBuf, disk: Arc<DiskHealth>, thread: DiskThread) -> io::Result<Self> {
        match files::create_private_dir(&dir) {
            // A full disk is no reason not to start: what has no place in a file is kept in memory.
            Err(error) if disk::is_disk_error(&error) => {
                warn!("{}", disk.record_failure("the output of commands", &error));
            }
            made => made?,
        }
        Ok(Self { dir, disk, memory: Arc::default(), thread, tasks: TaskTracker::new() })
    }

    fn path(&self, id: CommandId, channel: Channel) -> PathBuf {
        debug_assert!(channel.is_known(), "an agent writes the outputs that it knows");
        self.dir.join(format!("{id}.{channel}"))
    }

    /// Opens a writer of one output.
    pub(crate) fn writer(&self, id: CommandId, channel: Channel) -> SpoolWriter {
        let (path, spool) = (self.path(id, channel.clone()), self.clone());
        SpoolWriter::new(spool, id, channel, path)
    }

    /// Opens a reader of one output. It holds one of `slots` for each chunk that was read and not taken, and marks the
    /// command in `ready` when a chunk can be taken.
    pub(crate) fn reader(
        &self,
        id: CommandId,
        channel: Channel,
        slots: Arc<Semaphore>,
        ready: Arc<DirtySet<CommandId>>,
    ) -> SpoolReader {
        SpoolReader::new(self.clone(), id, channel, slots, ready)
    }

    /// The length of a command's output on disk.
    pub(crate) async fn stored_len(&self, id: CommandId) -> Received {
        let [stdout, stderr] = [Channel::Stdout, Channel::Stderr].map(|channel| self.path(id, channel));
        let len = |path: PathBuf| fs::metadata(path).map_or(0, |file| file.len());
        let measured = self.thread.run(move || Ok(Received { stdout: len(stdout), stderr: len(stderr) }));
        // The only error is a thread that has ended: then the agent ends too, and nothing of this is reported.
        measured.await.unwrap_or_default()
    }

    /// Removes a command's output.
    pub(crate) async fn remove(&self, id: CommandId) {
        let spool = self.clone();
        let removed = self.thread.run(move || {
            spool.remove_files(id);
            Ok(())
        });
        // The only error is a thread that has ended.
        drop(removed.await);
    }

    fn remove_files(&self, id: CommandId) {
        // Both places: a disk that was full for a while left the beginning in the file.
        self.memory.remove(id);
        for channel in [Channel::Stdout, Channel::Stderr] {
            match fs::remove_file(self.path(id, channel)) {
                // A command without output has no file.
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let cause = system_error::text(&error);
                    warn!(command.id = %id, "the output of a command cannot be removed: {cause}");
                }
                _ => {}
            }
        }
    }

    /// Removes the output of commands that are not needed any more. Called before there is anything to delay.
    pub(crate) fn sweep(&self, is_needed: impl Fn(CommandId) -> bool) -> io::Result<()> {
        // The disk was full when it was to be created.
        if !self.dir.is_dir() {
            return Ok(());
        }
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            // What is not named after a command is not ours, and stays.
            let id = name.to_str().and_then(|name| name.split('.').next()?.parse().ok());
            match id {
                Some(id) if !is_needed(id) => self.remove_files(id),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl Spool {
    /// A spool on a disk that works.
    pub(crate) fn of_dir(dir: PathBuf) -> Self {
        let disk = Arc::new(DiskHealth::new(&dir));
        Self::open(dir, disk, DiskThread::start().unwrap()).unwrap()
    }
}

#[cfg(test)]
mod tests;
