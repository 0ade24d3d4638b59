//! A connection on a thread of its own: for readers, which must not block the thread that calls them.

use std::sync::mpsc;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::oneshot;

use super::connection::SqliteConnection;
use crate::sql::{Connection, Dialect, Row, Statement};
use crate::{StoreError, StoreResult};

/// Rows of a stream that are read before the caller takes them.
const ROWS_AHEAD: usize = 64;

/// A connection on a thread of its own. The thread ends with it.
#[derive(Debug)]
pub(super) struct ThreadConnection {
    requests: mpsc::Sender<ThreadRequest>,
    dialect: &'static Dialect,
}

enum ThreadRequest {
    Run(Box<dyn FnOnce(&mut SqliteConnection) + Send>),
    Close(oneshot::Sender<StoreResult<()>>),
}

impl ThreadConnection {
    /// Starts the thread of a connection.
    pub(super) fn start(connection: SqliteConnection) -> StoreResult<Self> {
        let dialect = connection.dialect();
        let (requests, received) = mpsc::channel();
        let thread = std::thread::Builder::new().name("hive-sqlite".into());
        thread.spawn(move || run(connection, &received)).map_err(|error| StoreError::Unavailable(error.into()))?;
        Ok(Self { requests, dialect })
    }

    fn send(&self, request: ThreadRequest) -> StoreResult<()> {
        self.requests.send(request).map_err(|_| ended())
    }

    /// Runs work on the thread. It runs to its end also where the caller does not wait any more.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let (reply, response) = oneshot::channel();
        // The caller may be gone.
        let request = move |connection: &mut SqliteConnection| drop(reply.send(work(connection)));
        self.send(ThreadRequest::Run(Box::new(request)))?;
        response.await.unwrap_or_else(|_| Err(ended()))
    }
}

fn ended() -> StoreError {
    StoreError::Unavailable("the thread of the connection has ended".into())
}

fn run(mut connection: SqliteConnection, requests: &mpsc::Receiver<ThreadRequest>) {
    for request in requests {
        match request {
            ThreadRequest::Run(work) => work(&mut connection),
            // The thread ends here, and with it the connection.
            ThreadRequest::Close(reply) => return drop(reply.send(connection.close_now())),
        }
    }
}

#[async_trait]
impl Connection for ThreadConnection {
    fn dialect(&self) -> &'static Dialect {
        self.dialect
    }

    async fn execute(&mut self, statement: Statement) -> StoreResult<u64> {
        self.run(move |connection| connection.execute_now(&statement)).await
    }

    async fn fetch_all(&mut self, statement: Statement) -> StoreResult<Vec<Row>> {
        self.run(move |connection| connection.fetch_now(&statement)).await
    }

    fn fetch(&mut self, statement: Statement) -> BoxStream<'_, StoreResult<Row>> {
        let (rows, mut received) = tokio::sync::mpsc::channel(ROWS_AHEAD);
        let work = move |connection: &mut SqliteConnection| {
            // It stops where nobody takes the rows any more.
            let read = connection.each_row(&statement, |row| rows.blocking_send(Ok(row)).is_ok());
            if let Err(error) = read {
                rows.blocking_send(Err(error)).ok();
            }
        };
        match self.send(ThreadRequest::Run(Box::new(work))) {
            Ok(()) => futures_util::stream::poll_fn(move |context| received.poll_recv(context)).boxed(),
            Err(error) => futures_util::stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn script(&mut self, text: &'static str) -> StoreResult<Vec<Row>> {
        self.run(move |connection| connection.script_now(text)).await
    }

    async fn close(self: Box<Self>) -> StoreResult<()> {
        let (reply, response) = oneshot::channel();
        self.send(ThreadRequest::Close(reply))?;
        response.await.unwrap_or_else(|_| Err(ended()))
    }
}
