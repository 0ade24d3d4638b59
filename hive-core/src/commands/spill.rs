//! Storing output early, where all that is buffered together is more than may be in memory.
//!
//! The fullest buffers are stored first, until half of the limit is free. Meanwhile each satellite that sends more waits until its
//! own output is stored (`InFlightCommands::add_output`), so that memory does not grow while the storage is slow.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use hive_wire::CommandId;
use hive_wire::agent::Channel;
use tracing::warn;

use super::Commands;
use super::in_flight::Spill;
use crate::Result;

/// Buffers that are stored at the same time: so many share one commit of the store.
const STORED_AT_ONCE: usize = 32;

impl Commands {
    /// Starts to store output early, if there is too much in memory.
    pub(super) fn spill_if_over_limit(self: &Arc<Self>) {
        if !self.in_flight.needs_spill() {
            return;
        }
        let commands = self.clone();
        self.context.spawn_until_shutdown(async move {
            let Some(spill) = commands.in_flight.begin_spill() else { return };
            if let Err(error) = commands.store_fullest(&spill).await {
                warn!(error = %error, "buffered output cannot be stored now");
            }
        });
    }

    async fn store_fullest(&self, spill: &Spill<'_>) -> Result<()> {
        let buffers = spill.fullest();
        let stores = buffers.into_iter().map(|(id, channel)| self.store_buffer(spill, id, channel));
        let mut stored = stream::iter(stores).buffer_unordered(STORED_AT_ONCE);
        while let Some(outcome) = stored.next().await {
            // The rest would fail too. Whoever sends output tries again.
            outcome?;
        }
        Ok(())
    }

    async fn store_buffer(&self, spill: &Spill<'_>, id: CommandId, channel: Channel) -> Result<()> {
        let Some(chunk) = spill.chunk(id, &channel) else { return Ok(()) };
        let (offset, bytes) = (chunk.offset, chunk.into_bytes());
        let end = offset + bytes.len() as u64;
        // The command may end at the same time, and its end stores the same bytes: the store skips those that it has.
        self.store.command_output_append(id, channel.clone(), offset, bytes).await?;
        self.in_flight.note_stored(id, &channel, end);
        Ok(())
    }
}
