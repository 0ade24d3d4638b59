//! The output of commands in an SQL database: chunks without gaps between them.

use bytes::{Bytes, BytesMut};
use hive_wire::CommandId;
use hive_wire::agent::{Channel, Received};

use super::writer::Transaction;
use super::{SqlStore, Statement, statements};
use crate::{StoreError, StoreResult};

/// The most chunks of one read.
const MAX_CHUNKS: usize = 16;
/// The size of most chunks.
const CHUNK: usize = 64 * 1024;

/// Stores the bytes of a chunk that are not stored yet.
pub(super) async fn append(
    transaction: &mut Transaction,
    id: CommandId,
    channel: &Channel,
    offset: u64,
    mut bytes: Bytes,
) -> StoreResult<()> {
    let last =
        transaction.fetch_optional(Statement::new(statements::OUTPUT_LENGTH).text(id).string_enum(channel)).await?;
    let stored = last.as_ref().map_or(Ok(0), |row| row.number("total"))?;
    // A satellite repeats what was not acknowledged before its link broke.
    let Some(repeated) = u64::checked_sub(stored, offset) else {
        return Err(StoreError::Corrupt(format!("output at {offset} leaves a gap behind {stored}")));
    };
    if repeated >= bytes.len() as u64 {
        return Ok(());
    }
    let new = bytes.split_off(repeated as usize);
    let statement = Statement::new(statements::OUTPUT_INSERT)
        .text(id)
        .string_enum(channel)
        .number(stored)
        .number(new.len())
        .bind(new);
    transaction.execute(statement).await?;
    Ok(())
}

/// Returns the stored length of each stream.
pub(super) async fn lengths(store: &SqlStore, id: CommandId) -> StoreResult<Received> {
    let mut received = Received::default();
    for row in store.fetch_all(Statement::new(statements::OUTPUT_LENGTHS).text(id)).await? {
        match row.string_enum("channel")? {
            Channel::Stdout => received.stdout = row.number("total")?,
            Channel::Stderr => received.stderr = row.number("total")?,
            // A newer version may have stored another stream.
            Channel::Unknown(_) => {}
        }
    }
    Ok(received)
}

/// Reads whole chunks of one stream from a byte on, up to about `limit` bytes and at least one chunk.
pub(super) async fn read(
    store: &SqlStore,
    id: CommandId,
    channel: Channel,
    mut from: u64,
    limit: usize,
) -> StoreResult<Bytes> {
    let mut output = BytesMut::new();
    let at_once = (limit / CHUNK).clamp(1, MAX_CHUNKS);
    loop {
        let statement =
            Statement::new(statements::OUTPUT_CHUNKS).text(id).string_enum(&channel).number(from).number(at_once);
        let chunks = store.fetch_all(statement).await?;
        for row in &chunks {
            let (first, bytes): (u64, _) = (row.number("first_byte")?, row.bytes("bytes")?);
            // The first chunk is returned even if it is larger than the limit: otherwise a reader would not get on.
            let is_full = !output.is_empty() && output.len() + bytes.len() > limit;
            if is_full {
                return Ok(output.freeze());
            }
            // The first chunk may begin before `from`.
            let before = from.saturating_sub(first) as usize;
            output.extend_from_slice(&bytes[before.min(bytes.len())..]);
            from = first + bytes.len() as u64;
        }
        // Fewer than asked for: there are no more.
        if chunks.len() < at_once {
            return Ok(output.freeze());
        }
    }
}
