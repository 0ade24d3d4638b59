//! The thread that owns the file. Everything that waits is written with one sync.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::{JournalFile, NAME};
use crate::storage::disk::DiskHealth;
use crate::system_error;

/// Work for the thread.
pub(super) enum JournalWrite {
    Append(Vec<u8>),
    /// Appends, and answers after the sync.
    Sync(Vec<u8>, SyncWaiter),
    Rewrite(Vec<u8>),
}

/// Who waits for a sync.
pub(super) struct SyncWaiter {
    pub(super) done: oneshot::Sender<io::Result<()>>,
    /// Lets a process start, if the sync succeeds.
    pub(super) permit: Option<oneshot::Sender<()>>,
}

/// Writes until the queue is closed.
pub(super) fn write_all(
    mut file: JournalFile,
    mut work: mpsc::Receiver<JournalWrite>,
    size: &AtomicU64,
    position: &AtomicU64,
    disk: &DiskHealth,
) {
    while let Some(first) = work.blocking_recv() {
        let mut lines = Vec::new();
        let mut waiters = Vec::new();
        let mut next = Some(first);
        // Everything that waits is collected first: one sync then covers many commands.
        while let Some(item) = next {
            match item {
                JournalWrite::Append(line) => lines.extend(line),
                JournalWrite::Sync(line, waiter) => {
                    lines.extend(line);
                    waiters.push(waiter);
                }
                // The batch before the rewrite belongs to the old file and is written first.
                JournalWrite::Rewrite(content) => {
                    write_batch(&mut file, &mut lines, &mut waiters, position, disk);
                    log_failure(file.rewrite(&content), disk);
                }
            }
            next = work.try_recv().ok();
        }
        let has_records = !lines.is_empty();
        write_batch(&mut file, &mut lines, &mut waiters, position, disk);
        size.store(file.size(), Ordering::Relaxed);
        // After the answers, and only while nobody waits.
        if has_records && work.is_empty() {
            file.allocate_ahead();
        }
    }
    // The agent stops: the file ends with its last record, as tools and people expect.
    file.cut_to_size();
}

fn write_batch(
    file: &mut JournalFile,
    lines: &mut Vec<u8>,
    waiters: &mut Vec<SyncWaiter>,
    position: &AtomicU64,
    disk: &DiskHealth,
) {
    // A batch without a waiting caller needs no sync.
    let is_durable = !waiters.is_empty();
    let written = file.append(lines, is_durable);
    lines.clear();
    if is_durable && written.is_ok() {
        // Before the answers are sent: the acknowledgement of a command contains a position that includes its start.
        position.store(file.position(), Ordering::Release);
    }
    for SyncWaiter { done, permit } in waiters.drain(..) {
        if let Some(permit) = permit.filter(|_| written.is_ok()) {
            // First, because the process is what the command waits for. A command that cannot start waits for no permit.
            permit.send(()).ok();
        }
        // An `io::Error` cannot be cloned, and several callers may wait for one sync.
        let answer =
            written.as_ref().map(|&()| ()).map_err(|error| io::Error::new(error.kind(), system_error::text(error)));
        // A caller that no longer waits has dropped the command.
        drop(done.send(answer));
    }
    log_failure(written, disk);
}

fn log_failure(written: io::Result<()>, disk: &DiskHealth) {
    if let Err(error) = written {
        error!("{}", disk.record_failure(NAME, &error));
    }
}
