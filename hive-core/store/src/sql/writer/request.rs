//! Requests to the writer, and which of them run together.

use std::collections::HashMap;

use futures_util::future::BoxFuture;
use hive_wire::CommandId;
use tokio::sync::oneshot;

use super::command_change::{ChangeKind, CommandChange};
use super::{SharedError, Transaction, closed};
use crate::StoreResult;

/// What a caller waits for.
pub(super) enum WriteRequest {
    /// A change of a command. Several of them share statements.
    Change(Box<ChangeRequest>),
    /// Anything else. It runs alone.
    Work(Box<dyn AnyWorkRequest>),
}

impl WriteRequest {
    /// Sends the result to the caller, if there still is one. `failed` is the error of the transaction.
    pub(super) fn reply(self, failed: Option<&SharedError>) {
        match self {
            Self::Change(change) => reply(change.reply, change.result, failed),
            Self::Work(work) => work.reply(failed),
        }
    }
}

/// Splits off the next requests that run as one unit: changes whose order among each other makes no difference, or other work
/// alone.
///
/// The changes of a unit run by kind. Those of one command must therefore come in the order of the kinds, and each kind once.
/// Any other change of it begins the next unit, so that the changes of one command keep the order of the queue.
pub(super) fn next_unit(requests: &mut [WriteRequest]) -> &mut [WriteRequest] {
    let mut last = HashMap::<CommandId, ChangeKind>::new();
    let fits = |request: &WriteRequest| match request {
        WriteRequest::Change(request) => {
            let CommandChange { id, kind, .. } = request.change;
            last.insert(id, kind).is_none_or(|before| before < kind)
        }
        WriteRequest::Work(_) => false,
    };
    let changes = requests.iter().map(fits).take_while(|fits| *fits).count();
    &mut requests[..changes.max(1)]
}

/// A change of a command, with its caller.
pub(super) struct ChangeRequest {
    pub(super) change: CommandChange,
    /// Whether the change applied to the command.
    pub(super) result: Option<StoreResult<bool>>,
    reply: oneshot::Sender<StoreResult<bool>>,
}

impl ChangeRequest {
    pub(super) fn new(change: CommandChange, reply: oneshot::Sender<StoreResult<bool>>) -> Self {
        Self { change, result: None, reply }
    }

    /// Whether the caller is gone. It sees no difference if the change is skipped.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}

/// A [`WorkRequest`] of any result type.
pub(super) trait AnyWorkRequest: Send {
    /// Runs the work. False if it failed and its changes must be undone.
    fn run<'t>(&'t mut self, transaction: &'t mut Transaction) -> BoxFuture<'t, bool>;

    /// Sends the result to the caller.
    fn reply(self: Box<Self>, failed: Option<&SharedError>);
}

pub(super) struct WorkRequest<T, W> {
    work: Option<W>,
    result: Option<StoreResult<T>>,
    reply: oneshot::Sender<StoreResult<T>>,
}

impl<T, W> WorkRequest<T, W> {
    pub(super) fn new(work: W, reply: oneshot::Sender<StoreResult<T>>) -> Self {
        Self { work: Some(work), result: None, reply }
    }
}

impl<T, W> AnyWorkRequest for WorkRequest<T, W>
where
    T: Send + 'static,
    W: for<'t> FnOnce(&'t mut Transaction) -> BoxFuture<'t, StoreResult<T>> + Send + 'static,
{
    fn run<'t>(&'t mut self, transaction: &'t mut Transaction) -> BoxFuture<'t, bool> {
        Box::pin(async move {
            // A caller that is gone before its work began sees no difference: skip the work.
            let Some(work) = self.work.take_if(|_| !self.reply.is_closed()) else {
                return true;
            };
            self.result.insert(work(transaction).await).is_ok()
        })
    }

    fn reply(self: Box<Self>, failed: Option<&SharedError>) {
        reply(self.reply, self.result, failed);
    }
}

fn reply<T>(caller: oneshot::Sender<StoreResult<T>>, result: Option<StoreResult<T>>, failed: Option<&SharedError>) {
    let result = match (result, failed) {
        // A request that failed by itself keeps its own error.
        (Some(Err(error)), _) => Err(error),
        (_, Some(failed)) => failed.to_unavailable(),
        (Some(result), None) => result,
        (None, None) => Err(closed()),
    };
    // The caller may be gone.
    caller.send(result).ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::id::Seed;

    fn change(number: u8, kind: ChangeKind) -> WriteRequest {
        let id = CommandId::new(Seed { unix_millis: 1, random: [number; 10] });
        let change = CommandChange { id, kind, values: Vec::new(), output: Vec::new(), audit: Vec::new() };
        WriteRequest::Change(Box::new(ChangeRequest::new(change, oneshot::channel().0)))
    }

    fn nothing(_: &mut Transaction) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async { Ok(()) })
    }

    fn work() -> WriteRequest {
        WriteRequest::Work(Box::new(WorkRequest::new(nothing, oneshot::channel().0)))
    }

    /// Checks the lengths of the units of these requests.
    fn check(mut requests: Vec<WriteRequest>, expected: &[usize]) {
        let (mut rest, mut units) = (&mut requests[..], Vec::new());
        while !rest.is_empty() {
            let len = next_unit(rest).len();
            units.push(len);
            rest = &mut rest[len..];
        }
        assert_eq!(units, expected);
    }

    #[test]
    fn changes_run_together_unless_the_order_of_one_command_would_differ() {
        use ChangeKind::{Deliver, Finish, Insert, Start};
        check(vec![change(1, Insert), change(2, Finish), change(3, Start), change(2, Deliver)], &[3, 1]);
        check(vec![change(1, Insert), change(1, Deliver), change(1, Start), change(1, Finish)], &[4]);
        check(vec![change(1, Finish), change(2, Finish), change(1, Finish), change(2, Finish)], &[2, 2]);
        check(vec![change(1, Start), change(1, Deliver), change(2, Start)], &[1, 2]);
    }

    #[test]
    fn other_work_runs_alone_and_in_its_place() {
        use ChangeKind::{Finish, Insert};
        check(vec![work(), work(), change(1, Insert), change(2, Finish), work(), change(3, Insert)], &[1, 1, 2, 1, 1]);
    }
}
