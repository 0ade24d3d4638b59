//! Changes of commands. Those of one kind that run together are one statement.

use std::collections::HashSet;

use bytes::Bytes;
use hive_wire::CommandId;
use hive_wire::agent::Channel;

use super::request::{ChangeRequest, WriteRequest};
use super::{SharedError, Transaction};
use crate::audit::AuditDraft;
use crate::sql::binding::enum_string;
use crate::sql::many_rows::{MAX_ROWS, ManyRowsStatement};
use crate::sql::{Statement, Value, output, statements};
use crate::{StoreError, StoreResult};

/// A change of one command, with what is stored only if it applies.
#[derive(Debug)]
pub(in crate::sql) struct CommandChange {
    pub(in crate::sql) id: CommandId,
    pub(in crate::sql) kind: ChangeKind,
    /// The row of the statement of this kind.
    pub(in crate::sql) values: Vec<Value>,
    /// Chunks of output with their offsets.
    pub(in crate::sql) output: Vec<(Channel, u64, Bytes)>,
    pub(in crate::sql) audit: Vec<AuditDraft>,
}

/// The kinds in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sql) enum ChangeKind {
    Insert,
    FinishQueued,
    Deliver,
    Start,
    Finish,
}

impl ChangeKind {
    const ALL: [Self; 5] = [Self::Insert, Self::FinishQueued, Self::Deliver, Self::Start, Self::Finish];

    /// Returns the statement. It returns the ids of the commands to which the change applied.
    fn statement(self) -> &'static ManyRowsStatement {
        match self {
            Self::Insert => &statements::COMMAND_INSERT,
            Self::FinishQueued => &statements::COMMAND_FINISH_QUEUED,
            Self::Deliver => &statements::COMMAND_DELIVER,
            Self::Start => &statements::COMMAND_START,
            Self::Finish => &statements::COMMAND_FINISH,
        }
    }
}

/// Runs changes as one unit. If that fails, they run again, each alone: then only those fail that cause it.
pub(super) async fn run(transaction: &mut Transaction, requests: &mut [WriteRequest]) -> StoreResult<()> {
    let mut changes: Vec<_> = requests.iter_mut().filter_map(change_of).collect();
    let Err(error) = apply(transaction, &mut changes).await else { return Ok(()) };
    transaction.undo_unit().await?;
    if let [change] = &mut changes[..] {
        change.result = Some(Err(error));
        return Ok(());
    }
    if let StoreError::Unavailable(_) = error {
        // No change is at fault. Run alone, each might wait for a timeout of its own.
        let error = SharedError::from(error);
        for change in &mut changes {
            change.result = Some(error.to_unavailable());
        }
        return Ok(());
    }
    for change in changes {
        transaction.begin_unit();
        if let Err(error) = apply(transaction, &mut [&mut *change]).await {
            transaction.undo_unit().await?;
            change.result = Some(Err(error));
        }
    }
    Ok(())
}

fn change_of(request: &mut WriteRequest) -> Option<&mut ChangeRequest> {
    match request {
        WriteRequest::Change(change) if !change.is_abandoned() => Some(&mut **change),
        _ => None,
    }
}

/// Applies changes of different commands, or of one command in the order of the kinds.
async fn apply(transaction: &mut Transaction, changes: &mut [&mut ChangeRequest]) -> StoreResult<()> {
    for kind in ChangeKind::ALL {
        let mut of_kind: Vec<_> = changes.iter_mut().filter(|request| request.change.kind == kind).collect();
        for requests in of_kind.chunks_mut(MAX_ROWS) {
            // Copies: the change may have to run again.
            let rows = requests.iter().map(|request| request.change.values.clone()).collect();
            let changed = transaction.run_rows(kind.statement(), rows).await?;
            let changed = changed.iter().map(|row| row.text("id")).collect::<StoreResult<HashSet<_>>>()?;
            for request in requests {
                request.result = Some(Ok(changed.contains(&request.change.id.to_string())));
            }
        }
    }
    let mut applied: Vec<_> = changes
        .iter_mut()
        .filter(|request| matches!(request.result, Some(Ok(true))))
        .map(|request| &mut request.change)
        .collect();
    append_output(transaction, &applied).await?;
    // In the order of the queue, and last: nothing fails any more.
    for change in &mut applied {
        for draft in change.audit.drain(..) {
            transaction.audit(draft);
        }
    }
    Ok(())
}

/// Appends the output of commands.
async fn append_output(transaction: &mut Transaction, changes: &[&mut CommandChange]) -> StoreResult<()> {
    let chunks: Vec<_> = changes
        .iter()
        .flat_map(|change| change.output.iter().map(|(channel, offset, bytes)| (change.id, channel, *offset, bytes)))
        .collect();
    for chunks in chunks.chunks(MAX_ROWS) {
        let key = |id: CommandId, channel: &Channel| (id.to_string(), enum_string(channel));
        let mut streams = HashSet::new();
        // Most chunks begin where the stored output of their stream ends. A later chunk of the same stream does so only after
        // the first.
        let is_first = |(id, channel, _, bytes): &&(CommandId, &Channel, u64, &Bytes)| {
            !bytes.is_empty() && streams.insert(key(*id, channel))
        };
        let first = chunks.iter().filter(is_first);
        let rows: Vec<_> = first.map(|(id, channel, offset, bytes)| chunk_row(*id, channel, *offset, bytes)).collect();
        let mut inserted = HashSet::new();
        if !rows.is_empty() {
            for row in transaction.run_rows(&statements::OUTPUT_INSERT_AT_END, rows).await? {
                inserted.insert((row.text("command_id")?, row.text("channel")?));
            }
        }
        for (id, channel, offset, bytes) in chunks {
            if !inserted.remove(&key(*id, channel)) {
                output::append(transaction, *id, channel, *offset, (*bytes).clone()).await?;
            }
        }
    }
    Ok(())
}

fn chunk_row(id: CommandId, channel: &Channel, offset: u64, bytes: &Bytes) -> Vec<Value> {
    Statement::values_only().text(id).string_enum(channel).number(offset).number(bytes.len()).bind(bytes.clone()).values
}
