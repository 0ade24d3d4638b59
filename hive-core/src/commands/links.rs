//! The links that commands are sent over, each with the queue of its commands.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use hive_wire::agent::ToAgent;
use hive_wire::{CommandId, SatelliteId};

use super::queue::LinkQueue;
use crate::links::LinkHandle;
use crate::sync::{read, write};

/// A satellite's link with the queue of its commands.
#[derive(Clone)]
pub(crate) struct CommandLink {
    pub(crate) handle: LinkHandle,
    pub(super) queue: Arc<LinkQueue>,
}

impl CommandLink {
    pub(crate) fn satellite(&self) -> SatelliteId {
        self.handle.satellite
    }

    /// Asks the satellite to end a command. Where the link is closed, the next one asks again.
    pub(super) fn send_cancel(&self, id: CommandId) {
        self.handle.send_best_effort(ToAgent::CommandCancel { id });
    }
}

/// The newest link of each satellite.
///
/// Presence is what [`Links`](crate::links::Links) knows: a satellite counts as online from the moment its link is live, and its
/// queue opens right after. A command that is stored in between has no link here yet, and is found in the store when the queue
/// opens.
#[derive(Default)]
pub(super) struct CommandLinks(RwLock<HashMap<SatelliteId, CommandLink>>);

impl CommandLinks {
    /// Adds a link, unless a newer one of its satellite is there.
    pub(super) fn open(&self, handle: LinkHandle, capacity: Option<u32>) -> CommandLink {
        let link = CommandLink { handle, queue: Arc::new(LinkQueue::new(capacity)) };
        let mut links = write(&self.0);
        // Two links of one satellite may open at the same time. The epoch tells which is newer, not the order of these
        // calls.
        let is_newest = links.get(&link.satellite()).is_none_or(|known| known.handle.epoch < link.handle.epoch);
        if is_newest {
            links.insert(link.satellite(), link.clone());
        }
        link
    }

    /// Removes a link, unless a newer one of its satellite is there.
    pub(super) fn close(&self, link: &CommandLink) {
        let mut links = write(&self.0);
        // A newer link may have replaced this one, and its commands stay.
        if links.get(&link.satellite()).is_some_and(|known| known.handle.epoch == link.handle.epoch) {
            links.remove(&link.satellite());
        }
    }

    pub(super) fn get(&self, satellite: SatelliteId) -> Option<CommandLink> {
        read(&self.0).get(&satellite).cloned()
    }
}
