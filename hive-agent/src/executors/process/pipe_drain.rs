//! Reads and drops the output of background children of ended commands, so that they do not get SIGPIPE.

use std::io;
use std::sync::Arc;

use tokio::net::unix::pipe::Receiver;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::warn;

/// Pipes that are read at the same time. Further pipes are closed, and their writers get SIGPIPE.
const MAX_PIPES: usize = 256;
/// Bytes read at once.
const PIECE: usize = 4096;

/// Reads pipes until their other end is closed, or until this is dropped.
#[derive(Debug)]
pub(crate) struct PipeDrain {
    tasks: TaskTracker,
    slots: Arc<Semaphore>,
    stop: CancellationToken,
    _stops_with_it: DropGuard,
}

impl PipeDrain {
    pub(crate) fn new() -> Self {
        let stop = CancellationToken::new();
        Self {
            tasks: TaskTracker::new(),
            slots: Arc::new(Semaphore::new(MAX_PIPES)),
            _stops_with_it: stop.clone().drop_guard(),
            stop,
        }
    }

    /// Reads this pipe from now on.
    pub(super) fn take(&self, pipe: Receiver) {
        // Not waiting for a slot: the command's result must not be delayed by earlier commands.
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            warn!("background children of commands hold {MAX_PIPES} pipes open; another one is closed");
            return;
        };
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                _ = read_to_end(&pipe) => {}
            }
            // Held until the pipe is closed, whichever branch ended the task.
            drop(slot);
        });
    }

    /// The number of pipes that are read.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        MAX_PIPES - self.slots.available_permits()
    }
}

async fn read_to_end(pipe: &Receiver) -> io::Result<()> {
    loop {
        pipe.readable().await?;
        // Allocated only while there is something to read: an idle pipe costs no memory.
        let mut piece = [0; PIECE];
        match pipe.try_read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
