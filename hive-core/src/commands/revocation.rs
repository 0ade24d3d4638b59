//! Commands that end because their satellite is removed or given to another team, or because their author has lost the right.
//!
//! The store ends them in the transaction of the change, and stores no more for the satellite as it was. What this process has of
//! them follows: callers are told, and the satellite is asked to end what it runs, over the link that it still has. A satellite
//! that is away is asked with its next link.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;
use hive_wire::SatelliteId;
use hive_wire::stream::Lane;
use tracing::warn;

use super::in_flight::RevokedCommand;
use super::links::CommandLink;
use super::payload::MAX_LIFE;
use super::{CommandEvent, Commands};
use crate::Result;
use crate::identity::losses::IdentityObserver;
use crate::satellites::{Revocation, SatelliteObserver};
use crate::settings::MAX_LOST_GRACE;
use crate::store::CancelledCommand;

/// The most commands that a satellite is asked to end with a new link.
const MAX_CANCELS: u32 = 1000;

#[async_trait]
impl SatelliteObserver for Commands {
    async fn on_revoked(self: Arc<Self>, satellite: SatelliteId, cause: Revocation) {
        let revoked = self.in_flight.revoke(satellite, |meta| cause.concerns(meta.team));
        if let Some(link) = self.links.get(satellite) {
            for command in &revoked {
                link.send_cancel(command.id);
            }
        }
        for command in &revoked {
            self.free_slot(satellite, command.id);
        }
        // The store ended queued commands too, which are not known here.
        self.open.mark_stale();
        join_all(revoked.into_iter().map(|command| self.finish_revoked(command))).await;
    }

    fn on_usable(self: Arc<Self>, satellite: SatelliteId) {
        // What was queued before the satellite could be used runs now.
        if let Some(link) = self.links.get(satellite) {
            self.start_delivery(link);
        }
    }
}

#[async_trait]
impl IdentityObserver for Commands {
    async fn on_cancelled(self: Arc<Self>, commands: &[CancelledCommand]) {
        self.open.mark_stale();
        let mut jobs = BTreeSet::new();
        for CancelledCommand { id, satellite_id, job_id } in commands {
            // Those who wait for it are woken; nothing of it is in flight, because it was queued.
            self.in_flight.end(*id, None);
            self.free_slot(*satellite_id, *id);
            jobs.extend(job_id);
        }
        for job in jobs {
            self.emit(&CommandEvent::JobChanged { job });
        }
    }
}

impl Commands {
    /// Stores the output that arrived before the end, then reports the end to the followers.
    async fn finish_revoked(&self, command: RevokedCommand) {
        for (channel, offset, bytes) in command.buffered.clone() {
            if let Err(error) = self.store.command_output_append(command.id, channel, offset, bytes).await {
                warn!(command.id = %command.id, error = %error, "last output of a command not stored");
            }
        }
        command.finish();
    }

    /// Asks a satellite that was away to end what it may still run of commands that were ended meanwhile.
    pub(super) async fn cancel_revoked(&self, link: &CommandLink) -> Result<()> {
        // By then a satellite has ended every command by itself, or dropped it.
        let since = self.context.now().minus(MAX_LOST_GRACE + MAX_LIFE);
        let journal_id = &link.handle.journal_id;
        for id in self.store.command_list_revoked(link.satellite(), journal_id, since, MAX_CANCELS).await? {
            if link.handle.wait_for_capacity(Lane::Commands).await.is_err() {
                return Ok(());
            }
            link.send_cancel(id);
        }
        Ok(())
    }
}
