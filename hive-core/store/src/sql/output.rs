//! The output of commands in an SQL database: pieces that join without gaps.

use bytes::{Bytes, BytesMut};
use hive_wire::CommandId;
use hive_wire::agent::{Channel, Received};

use super::writer::Transaction;
use super::{SqlStore, Statement, text};
use crate::{StoreError, StoreResult};

/// Pieces that are read at once, at most.
const PIECES: usize = 16;
/// The bytes of most pieces.
const PIECE: usize = 64 * 1024;

/// Stores what of a piece is not stored yet.
pub(super) async fn append(
    transaction: &mut Transaction,
    id: CommandId,
    channel: Channel,
    offset: u64,
    mut bytes: Bytes,
) -> StoreResult<()> {
    let last = transaction.fetch_optional(Statement::new(text::OUTPUT_LENGTH).text(id).word(&channel)).await?;
    let stored = last.as_ref().map_or(Ok(0), |row| row.number("total"))?;
    let Some(repeated) = u64::checked_sub(stored, offset) else {
        return Err(StoreError::Damaged(format!("output at {offset} leaves a gap behind {stored}")));
    };
    if repeated >= bytes.len() as u64 {
        return Ok(());
    }
    let new = bytes.split_off(repeated as usize);
    let statement =
        Statement::new(text::OUTPUT_INSERT).text(id).word(channel).number(stored).number(new.len()).bind(new);
    transaction.execute(statement).await?;
    Ok(())
}

/// How much of each stream is stored.
pub(super) async fn lengths(store: &SqlStore, id: CommandId) -> StoreResult<Received> {
    let mut received = Received::default();
    for row in store.fetch_all(Statement::new(text::OUTPUT_LENGTHS).text(id)).await? {
        match row.word("channel")? {
            Channel::Stdout => received.stdout = row.number("total")?,
            Channel::Stderr => received.stderr = row.number("total")?,
            Channel::Unknown(_) => {}
        }
    }
    Ok(received)
}

/// Reads whole pieces of one stream from a byte on, up to about `limit` bytes and at least one piece.
pub(super) async fn read(
    store: &SqlStore,
    id: CommandId,
    channel: Channel,
    mut from: u64,
    limit: usize,
) -> StoreResult<Bytes> {
    let mut output = BytesMut::new();
    let at_once = (limit / PIECE).clamp(1, PIECES);
    loop {
        let statement = Statement::new(text::OUTPUT_PIECES).text(id).word(&channel).number(from).number(at_once);
        let pieces = store.fetch_all(statement).await?;
        for row in &pieces {
            let (first, bytes): (u64, _) = (row.number("first_byte")?, row.bytes("bytes")?);
            let is_full = !output.is_empty() && output.len() + bytes.len() > limit;
            if is_full {
                return Ok(output.freeze());
            }
            let before = from.saturating_sub(first) as usize;
            output.extend_from_slice(&bytes[before.min(bytes.len())..]);
            from = first + bytes.len() as u64;
        }
        if pieces.len() < at_once {
            return Ok(output.freeze());
        }
    }
}
