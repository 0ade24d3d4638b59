//! The writer: one task that runs all write transactions of a store.
//!
//! The task takes every request that waits, runs them in one transaction, commits, and replies to the callers. A commit
//! costs one sync of the disk, for one request as for a hundred. A request that fails must not undo the others of its
//! batch: it runs in a savepoint, unless it is the only one, or fails only in ways that leave no changes behind.

mod transaction;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::Pool;
use crate::{StoreError, StoreResult};

pub(super) use transaction::Transaction;

/// Requests that may wait. When the queue is full, callers wait to enqueue theirs.
const QUEUE: usize = 1024;
/// Requests in one transaction. It bounds how long the first of them waits for its reply.
const BATCH: usize = 128;

/// The handle of the writer task. When it is dropped or closed, the task runs what is queued and ends.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn WriteRequest>>,
    task: TaskTracker,
    closing: CancellationToken,
    _close_on_drop: DropGuard,
}

impl Writer {
    pub(super) fn start(connection: Arc<Pool>) -> Self {
        let (queue, requests) = mpsc::channel(QUEUE);
        let (task, closing) = (TaskTracker::new(), CancellationToken::new());
        task.spawn(run(connection, requests, closing.clone()));
        task.close();
        Self { queue, task, _close_on_drop: closing.clone().drop_guard(), closing }
    }

    /// Runs `work` in a transaction and returns its result after the commit.
    ///
    /// Not cancel-safe: if the future is dropped, the work runs unless it was still queued.
    pub(super) async fn run<T, W>(&self, work: W, on_error: OnError) -> StoreResult<T>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Transaction) -> BoxFuture<'t, StoreResult<T>> + Send + 'static,
    {
        let (reply, response) = oneshot::channel();
        let request = Box::new(Request { work: Some(work), on_error, result: None, reply });
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

async fn run(connection: Arc<Pool>, mut requests: mpsc::Receiver<Box<dyn WriteRequest>>, closing: CancellationToken) {
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
            Ok(transaction) => commit(transaction, &mut batch).await,
            Err(error) => {
                // Fail what is queued with the same error. Otherwise each batch would wait for its own timeout.
                batch.extend(std::iter::from_fn(|| requests.try_recv().ok()));
                Err(error)
            }
        };
        let committed = committed.map_err(|error| CommitError(Arc::new(error)));
        for request in batch.drain(..) {
            request.reply(committed.as_ref().err());
        }
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(error = &error as &dyn std::error::Error, "the database was not closed cleanly");
    }
}

/// Runs a batch in one transaction. On an error, no request of it has changed anything.
async fn commit(mut transaction: Transaction, batch: &mut [Box<dyn WriteRequest>]) -> StoreResult<()> {
    match run_batch(&mut transaction, batch).await {
        Ok(()) => Ok(()),
        Err(error) => {
            transaction.rollback().await;
            Err(error)
        }
    }
}

async fn run_batch(transaction: &mut Transaction, batch: &mut [Box<dyn WriteRequest>]) -> StoreResult<()> {
    let is_alone = batch.len() == 1;
    for request in batch {
        // PostgreSQL aborts the transaction at any error, so that every request needs a savepoint there.
        let needs_savepoint =
            request.on_error() == OnError::RollbackToSavepoint || transaction.dialect().aborts_on_error;
        let has_savepoint = !is_alone && needs_savepoint;
        if has_savepoint {
            transaction.savepoint().await?;
        }
        transaction.begin_request();
        if request.run(transaction).await {
            continue;
        }
        if is_alone {
            transaction.rollback().await;
            return Ok(());
        }
        if has_savepoint {
            transaction.rollback_to_savepoint().await?;
        } else if transaction.has_changes() {
            return Err(StoreError::Unavailable("other work of the same transaction failed".into()));
        }
    }
    transaction.commit().await
}

/// What is undone when a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnError {
    /// The changes of this request.
    RollbackToSavepoint,
    /// Nothing if its first statement failed, because nothing was changed yet. The whole batch if a later one did. It saves
    /// the round trip of the savepoint.
    AbortBatch,
}

/// The error of the transaction, shared by all requests of the batch.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the transaction was not committed")]
struct CommitError(#[source] Arc<StoreError>);

/// A [`Request`] of any result type.
trait WriteRequest: Send {
    fn on_error(&self) -> OnError;

    /// Runs the work. False if it failed and its changes must be undone.
    fn run<'t>(&'t mut self, transaction: &'t mut Transaction) -> BoxFuture<'t, bool>;

    /// Sends the result to the caller, if there still is one.
    fn reply(self: Box<Self>, failed: Option<&CommitError>);
}

struct Request<T, W> {
    work: Option<W>,
    on_error: OnError,
    result: Option<StoreResult<T>>,
    reply: oneshot::Sender<StoreResult<T>>,
}

impl<T, W> WriteRequest for Request<T, W>
where
    T: Send + 'static,
    W: for<'t> FnOnce(&'t mut Transaction) -> BoxFuture<'t, StoreResult<T>> + Send + 'static,
{
    fn on_error(&self) -> OnError {
        self.on_error
    }

    fn run<'t>(&'t mut self, transaction: &'t mut Transaction) -> BoxFuture<'t, bool> {
        Box::pin(async move {
            // A caller that is gone before its work began sees no difference: skip the work.
            let Some(work) = self.work.take_if(|_| !self.reply.is_closed()) else {
                return true;
            };
            self.result.insert(work(transaction).await).is_ok()
        })
    }

    fn reply(self: Box<Self>, failed: Option<&CommitError>) {
        let result = match (self.result, failed) {
            (Some(Ok(_)) | None, Some(failed)) => Err(StoreError::Unavailable(Box::new(failed.clone()))),
            (Some(result), _) => result,
            (None, None) => Err(closed()),
        };
        // The caller may be gone.
        self.reply.send(result).ok();
    }
}
