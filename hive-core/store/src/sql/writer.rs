//! One task writes: it takes all jobs that wait, runs them in one transaction and answers them when it is committed.
//!
//! A commit to disk costs the same for one job as for a hundred. A job that fails undoes nothing of the others: it runs in
//! a savepoint of its own, unless it is alone or of the kind that leaves nothing behind where it fails.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::Pool;
use crate::{StoreError, StoreResult};

pub(super) use transaction::Transaction;

mod transaction;

/// Jobs that may wait; then callers wait to hand theirs in.
const QUEUE: usize = 1024;
/// Jobs of one transaction, so that the first of them is not kept waiting for ever.
const BATCH: usize = 128;

/// The writing task's end for callers. It ends with its last job after this is dropped or closed.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Box<dyn Job>>,
    task: TaskTracker,
    closing: CancellationToken,
    _close_on_drop: DropGuard,
}

impl Writer {
    pub(super) fn start(connection: Arc<Pool>) -> Self {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let (task, closing) = (TaskTracker::new(), CancellationToken::new());
        task.spawn(write(connection, waiting, closing.clone()));
        task.close();
        Self { jobs, task, _close_on_drop: closing.clone().drop_guard(), closing }
    }

    /// Runs `work` in a transaction and returns what it returned once that is committed.
    ///
    /// A caller that stops waiting before its work has begun takes it back; later it may be done or not.
    pub(super) async fn run<T, W>(&self, work: W, undo: Undo) -> StoreResult<T>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Transaction) -> BoxFuture<'t, StoreResult<T>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Work { todo: Some(work), undo, result: None, reply });
        self.jobs.send(job).await.map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Waits until all jobs are done and the connection is closed.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        self.task.wait().await;
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}

async fn write(connection: Arc<Pool>, mut waiting: mpsc::Receiver<Box<dyn Job>>, closing: CancellationToken) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            // What was handed in before is finished even when closing.
            biased;
            count = waiting.recv_many(&mut batch, BATCH) => if count == 0 { break },
            () = closing.cancelled(), if !waiting.is_closed() => {
                waiting.close();
                continue;
            }
        }
        let committed = match Transaction::begin(&connection).await {
            Ok(transaction) => commit(transaction, &mut batch).await,
            Err(error) => {
                // Who came meanwhile would only find the same, one batch after the other.
                batch.extend(std::iter::from_fn(|| waiting.try_recv().ok()));
                Err(error)
            }
        };
        let committed = committed.map_err(|error| Lost(Arc::new(error)));
        for job in batch.drain(..) {
            job.answer(committed.as_ref().err());
        }
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(error = &error as &dyn std::error::Error, "the database was not closed cleanly");
    }
}

/// Runs the jobs in one transaction. On an error nothing of any of them was done.
async fn commit(mut transaction: Transaction, batch: &mut [Box<dyn Job>]) -> StoreResult<()> {
    match run_all(&mut transaction, batch).await {
        Ok(()) => Ok(()),
        Err(error) => {
            transaction.roll_back().await;
            Err(error)
        }
    }
}

async fn run_all(transaction: &mut Transaction, batch: &mut [Box<dyn Job>]) -> StoreResult<()> {
    let is_alone = batch.len() == 1;
    for job in batch {
        let is_undone_alone = job.undo() == Undo::ToMark || transaction.dialect().is_spoiled_by_failure;
        let is_marked = !is_alone && is_undone_alone;
        if is_marked {
            transaction.mark().await?;
        }
        transaction.next();
        if job.run(transaction).await {
            continue;
        }
        if is_alone {
            transaction.roll_back().await;
            return Ok(());
        }
        if is_marked {
            transaction.back_to_mark().await?;
        } else if transaction.is_touched() {
            return Err(StoreError::Unavailable("other work of the same transaction failed".into()));
        }
    }
    transaction.commit().await
}

/// How much is undone with a job that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undo {
    /// The job alone.
    ToMark,
    /// Nothing where its first statement fails, everything where a later one does.
    WithAll,
}

/// The transaction was not committed, which is the same bad news for all of its jobs.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the transaction was not committed")]
struct Lost(#[source] Arc<StoreError>);

trait Job: Send {
    fn undo(&self) -> Undo;

    /// Does the work; false where it failed and must be undone.
    fn run<'t>(&'t mut self, transaction: &'t mut Transaction) -> BoxFuture<'t, bool>;

    /// Tells the caller, who may be gone.
    fn answer(self: Box<Self>, lost: Option<&Lost>);
}

struct Work<T, W> {
    todo: Option<W>,
    undo: Undo,
    result: Option<StoreResult<T>>,
    reply: oneshot::Sender<StoreResult<T>>,
}

impl<T, W> Job for Work<T, W>
where
    T: Send + 'static,
    W: for<'t> FnOnce(&'t mut Transaction) -> BoxFuture<'t, StoreResult<T>> + Send + 'static,
{
    fn undo(&self) -> Undo {
        self.undo
    }

    fn run<'t>(&'t mut self, transaction: &'t mut Transaction) -> BoxFuture<'t, bool> {
        Box::pin(async move {
            let Some(work) = self.todo.take_if(|_| !self.reply.is_closed()) else {
                return true;
            };
            self.result.insert(work(transaction).await).is_ok()
        })
    }

    fn answer(self: Box<Self>, lost: Option<&Lost>) {
        let result = match (self.result, lost) {
            (Some(Ok(_)) | None, Some(lost)) => Err(StoreError::Unavailable(Box::new(lost.clone()))),
            (Some(result), _) => result,
            (None, None) => Err(closed()),
        };
        // The caller may have stopped waiting.
        self.reply.send(result).ok();
    }
}
