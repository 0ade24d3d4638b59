//! The output of commands in SQLite: pieces that join without gaps.

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use hive_wire::CommandId;
use hive_wire::agent::{Channel, Received};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Executor, query};

use super::bind::Bind;
use super::fields::{Fields, only_number};
use super::writer::Transaction;
use crate::store::{StoreError, StoreResult, sql};

/// Stores what of a piece is not stored yet.
pub(super) async fn append(
    transaction: &mut Transaction,
    id: CommandId,
    channel: Channel,
    offset: u64,
    mut bytes: Bytes,
) -> StoreResult<()> {
    let last = transaction.fetch_optional(query(sql::OUTPUT_LENGTH).text(id).word(channel)).await?;
    let stored = last.as_ref().map_or(Ok(0), only_number)?;
    let Some(repeated) = stored.checked_sub(offset) else {
        return Err(StoreError::Damaged(format!("output at {offset} leaves a gap behind {stored}")));
    };
    if repeated >= bytes.len() as u64 {
        return Ok(());
    }
    let new = bytes.split_off(repeated as usize);
    let statement =
        query(sql::OUTPUT_INSERT).text(id).word(channel).number(stored).number(new.len()).bind(Vec::from(new));
    transaction.execute(statement).await?;
    Ok(())
}

/// How much of each stream is stored.
pub(super) async fn lengths(connection: &mut SqliteConnection, id: CommandId) -> StoreResult<Received> {
    let mut received = Received::default();
    for row in connection.fetch_all(query(sql::OUTPUT_LENGTHS).text(id)).await? {
        match row.word("channel")? {
            Channel::Stdout => received.stdout = row.number("total")?,
            Channel::Stderr => received.stderr = row.number("total")?,
        }
    }
    Ok(received)
}

/// Reads whole pieces of one stream from a byte on, up to about `limit` bytes and at least one piece.
pub(super) async fn read(
    connection: &mut SqliteConnection,
    id: CommandId,
    channel: Channel,
    from: u64,
    limit: usize,
) -> StoreResult<Bytes> {
    let mut output = BytesMut::new();
    let mut pieces = connection.fetch(query(sql::OUTPUT_PIECES).text(id).word(channel).number(from));
    while let Some(row) = pieces.try_next().await? {
        let bytes = row.bytes("bytes")?;
        let is_full = !output.is_empty() && output.len() + bytes.len() > limit;
        if is_full {
            break;
        }
        let before = from.saturating_sub(row.number("first_byte")?) as usize;
        output.extend_from_slice(&bytes[before.min(bytes.len())..]);
    }
    Ok(output.freeze())
}
