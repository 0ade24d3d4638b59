//! What is open on a satellite, and its end where the satellite is removed or given to another team.
//!
//! The store ends all of it in the transaction of the change, and takes nothing more for the satellite as it was. Here follows
//! what this process has of it: callers and viewers are told, jobs compare themselves with the store, and the satellite is
//! asked to end what it runs, over the link that it still has. One that is away is asked with its next link.

use futures_util::future::join_all;
use hive_wire::agent::ToAgent;
use hive_wire::{SatelliteId, TeamId};
use tracing::warn;

use super::in_flight::{Context, Revoked};
use crate::Result;
use crate::hive::Hive;
use crate::link::Outgoing;
use crate::links::Live;

/// The most commands that a satellite is asked to end with a new link.
const MAX_ASKED: u32 = 1000;

impl Hive {
    /// Follows the store in ending what was open on a satellite that was removed.
    pub(crate) async fn end_work_of_removed(&self, satellite: SatelliteId) {
        self.end_work(satellite, |_| true).await;
    }

    /// Follows the store in ending what was open on a satellite that was given to this team.
    pub(crate) async fn end_work_of_other_teams(&self, satellite: SatelliteId, team: Option<TeamId>) {
        self.end_work(satellite, |context| context.team != team).await;
    }

    async fn end_work(&self, satellite: SatelliteId, is_meant: impl Fn(&Context) -> bool) {
        let revoked = self.inner.running.revoke(satellite, is_meant);
        if let Some(live) = self.inner.links.get(satellite) {
            for command in &revoked {
                live.pass(Outgoing::Control(ToAgent::CommandCancel { id: command.id }));
            }
        }
        for command in &revoked {
            self.free_place(satellite, command.id);
        }
        self.inner.open.mark_stale();
        join_all(revoked.into_iter().map(|command| self.tell_revoked(command))).await;
        self.inner.jobs.look_again(None);
        self.end_live_sessions_of(satellite).await;
    }

    /// Stores the output that was said before the end, then tells those who follow the command.
    async fn tell_revoked(&self, command: Revoked) {
        for (channel, offset, bytes) in command.held.clone() {
            if let Err(error) = self.store().command_output_append(command.id, channel, offset, bytes).await {
                warn!(command.id = %command.id, error = %error, "last output of a command not stored");
            }
        }
        command.finish();
    }

    /// Asks a satellite that was away to end what it may run still of commands that were ended meanwhile.
    pub(crate) async fn cancel_revoked(&self, satellite: SatelliteId, live: &Live) -> Result<()> {
        let longest = crate::hive::MAX_LOST_GRACE + crate::commands::payload::MAX_LIFE;
        let since = self.source().now().minus(longest);
        for id in self.store().command_list_revoked(satellite, &live.journal_id, since, MAX_ASKED).await? {
            if live.ready().await.is_err() {
                return Ok(());
            }
            live.pass(Outgoing::Control(ToAgent::CommandCancel { id }));
        }
        Ok(())
    }
}
