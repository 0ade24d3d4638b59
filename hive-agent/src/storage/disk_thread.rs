//! The thread that reads and writes the data directory for the async tasks. All of the agent's tasks share one thread of
//! their own, so a disk that does not answer would otherwise delay every keystroke.

use std::io;

use tokio::sync::{mpsc, oneshot};

/// Tasks that wait for the disk. When the queue is full, the next caller waits.
const QUEUE: usize = 64;

type DiskTask = Box<dyn FnOnce() + Send>;

/// Runs tasks in the order of the calls. The thread ends when the last clone is dropped and everything is done.
#[derive(Debug, Clone)]
pub(crate) struct DiskThread {
    queue: mpsc::Sender<DiskTask>,
}

impl DiskThread {
    pub(crate) fn start() -> io::Result<Self> {
        let (queue, mut tasks) = mpsc::channel::<DiskTask>(QUEUE);
        std::thread::Builder::new()
            .name("disk".into())
            // The default of 2 MiB would be most of the agent's memory.
            .stack_size(128 * 1024)
            .spawn(move || {
                while let Some(task) = tasks.blocking_recv() {
                    task();
                }
            })?;
        Ok(Self { queue })
    }

    /// Runs work on the thread. A task that is queued runs even if the caller does not wait for it any more.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (done, answer) = oneshot::channel();
        let work = Box::new(move || {
            // A caller that no longer waits has no use for the result.
            drop(done.send(work()));
        });
        self.queue.send(work).await.map_err(|_| thread_gone())?;
        answer.await.map_err(|_| thread_gone())?
    }
}

fn thread_gone() -> io::Error {
    io::Error::other("the thread of the disk is gone")
}
