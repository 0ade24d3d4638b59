//! The writer: one task, or one thread, that runs all write transactions of a store.
//!
//! The task takes every request that waits, runs them in one transaction, and commits as soon as none waits any more. Then it
//! replies to the callers. A commit costs one sync of the disk, for one request as for a hundred. Changes of commands, which
//! are most of what a hive writes, share statements too (`command_change`).
//!
//! A request that fails does not undo the others of its batch (`transaction`).

mod command_change;
mod request;
mod transaction;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::Pool;
use crate::{StoreError, StoreResult};
use request::{ChangeRequest, WorkRequest, WriteRequest};

pub(super) use command_change::{ChangeKind, CommandChange};
pub(super) use transaction::Transaction;

/// Requests that may wait. When the queue is full, callers wait to enqueue theirs.
const QUEUE: usize = 1024;
/// Requests in one transaction. It bounds how long the first of them waits for its reply.
const BATCH: usize = 256;

/// The handle of the writer task. When it is dropped or closed, the task runs what is queued and ends.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<WriteRequest>,
    task: TaskTracker,
    closing: CancellationToken,
    _close_on_drop: DropGuard,
}

impl Writer {
    pub(super) fn start(connection: Arc<Pool>) -> Self {
        let (queue, requests) = mpsc::channel(QUEUE);
        let (task, closing) = (TaskTracker::new(), CancellationToken::new());
        task.spawn(run(connection, requests, closing.clone()));
        Self::of(queue, task, closing)
    }

    /// Starts the writer on a thread of its own, for a connection whose statements block.
    #[cfg(feature = "sqlite")]
    pub(super) fn start_on_thread(connection: Arc<Pool>) -> StoreResult<Self> {
        let (queue, requests) = mpsc::channel(QUEUE);
        let (task, closing) = (TaskTracker::new(), CancellationToken::new());
        // It counts as a task until the thread ends.
        let (running, runtime) = (task.token(), tokio::runtime::Handle::current());
        let work = run(connection, requests, closing.clone());
        let thread = std::thread::Builder::new().name("hive-writer".into()).spawn(move || {
            runtime.block_on(work);
            drop(running);
        });
        thread.map_err(|error| StoreError::Unavailable(error.into()))?;
        Ok(Self::of(queue, task, closing))
    }

    fn of(queue: mpsc::Sender<WriteRequest>, task: TaskTracker, closing: CancellationToken) -> Self {
        task.close();
        Self { queue, task, _close_on_drop: closing.clone().drop_guard(), closing }
    }

    /// Runs `work` in a transaction and returns its result after the commit. If it fails, its changes are undone.
    ///
    /// Not cancel-safe: if the future is dropped, the work runs unless it was still queued.
    pub(super) async fn run<T, W>(&self, work: W) -> StoreResult<T>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Transaction) -> BoxFuture<'t, StoreResult<T>> + Send + 'static,
    {
        let (reply, response) = oneshot::channel();
        self.enqueue(WriteRequest::Work(Box::new(WorkRequest::new(work, reply))), response).await
    }

    /// Changes a command, and returns after the commit whether the change applied to it.
    ///
    /// Not cancel-safe: if the future is dropped, the command is changed unless the change was still queued.
    pub(super) async fn change(&self, change: CommandChange) -> StoreResult<bool> {
        let (reply, response) = oneshot::channel();
        self.enqueue(WriteRequest::Change(Box::new(ChangeRequest::new(change, reply))), response).await
    }

    async fn enqueue<T>(&self, request: WriteRequest, response: oneshot::Receiver<StoreResult<T>>) -> StoreResult<T> {
        self.queue.send(request).await.map_err(|_| closed())?;
        response.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Runs all queued requests and closes the connection.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        self.task.wait().await;
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}

async fn run(connection: Arc<Pool>, mut requests: mpsc::Receiver<WriteRequest>, closing: CancellationToken) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            // Queued requests first: those that were enqueued before the close are still run.
            biased;
            count = requests.recv_many(&mut batch, BATCH) => if count == 0 { break },
            () = closing.cancelled(), if !requests.is_closed() => {
                requests.close();
                continue;
            }
        }
        let committed = match Transaction::begin(&connection).await {
            Ok(transaction) => commit(transaction, &mut batch, &mut requests).await,
            Err(error) => {
                // Fail what is queued with the same error. Otherwise each batch would wait for its own timeout.
                batch.extend(std::iter::from_fn(|| requests.try_recv().ok()));
                Err(error)
            }
        };
        let committed = committed.map_err(SharedError::from);
        for request in batch.drain(..) {
            request.reply(committed.as_ref().err());
        }
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(error = &error as &dyn std::error::Error, "the database was not closed cleanly");
    }
}

/// Runs a batch in one transaction. On an error, no request of it has changed anything.
async fn commit(
    mut transaction: Transaction,
    batch: &mut Vec<WriteRequest>,
    arrivals: &mut mpsc::Receiver<WriteRequest>,
) -> StoreResult<()> {
    match run_batch(&mut transaction, batch, arrivals).await {
        Ok(()) => Ok(()),
        Err(error) => {
            transaction.rollback().await;
            Err(error)
        }
    }
}

async fn run_batch(
    transaction: &mut Transaction,
    batch: &mut Vec<WriteRequest>,
    arrivals: &mut mpsc::Receiver<WriteRequest>,
) -> StoreResult<()> {
    let mut done = 0;
    while done < batch.len() {
        let unit = request::next_unit(&mut batch[done..]);
        done += unit.len();
        transaction.begin_unit();
        match unit {
            [WriteRequest::Work(work)] => {
                if !work.run(transaction).await {
                    transaction.undo_unit().await?;
                }
            }
            changes => command_change::run(transaction, changes).await?,
        }
        // What arrives meanwhile shares the commit, up to the bound.
        if done == batch.len() {
            batch.extend(std::iter::from_fn(|| arrivals.try_recv().ok()).take(BATCH.saturating_sub(done)));
        }
    }
    transaction.commit().await
}

/// An error that several requests get.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the transaction was not committed")]
struct SharedError(#[source] Arc<StoreError>);

impl From<StoreError> for SharedError {
    fn from(error: StoreError) -> Self {
        Self(Arc::new(error))
    }
}

impl SharedError {
    fn to_unavailable<T>(&self) -> StoreResult<T> {
        Err(StoreError::Unavailable(Box::new(self.clone())))
    }
}
