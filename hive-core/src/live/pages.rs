//! The satellites that a client gets first, in pages.

use std::collections::VecDeque;

use hive_wire::SatelliteId;
use hive_wire::api::Satellite;
use hive_wire::ui::{MAX_SATELLITES, UiUser};
use serde_json::json;

use super::Live;
use super::message::LiveMessage;
use crate::Result;
use crate::access::Principal;

/// Rows that are read at a time.
const ROWS: usize = 250;
/// Bytes after which a page ends. Satellites decide how long their texts are.
const MAX_PAGE_BYTES: usize = 1024 * 1024;

/// The pages that a client has not got yet. They are of the satellites that there were when the feed was opened; what changed since
/// follows as events.
#[derive(Debug)]
pub(super) struct InitialPages {
    user: UiUser,
    unread: VecDeque<SatelliteId>,
    /// Satellites as JSON that were read and are in no page yet.
    read: VecDeque<String>,
    is_over: bool,
}

impl InitialPages {
    pub(super) fn new(principal: &Principal, ids: Vec<SatelliteId>) -> Self {
        let actor = principal.actor();
        let user = UiUser {
            id: principal.user().map_or(actor.id, |user| user.to_string()),
            name: actor.name,
            email: String::new(),
            roles: vec![principal.role.clone()],
        };
        Self { user, unread: ids.into(), read: VecDeque::new(), is_over: false }
    }

    /// Whether all pages were returned.
    pub(super) fn are_over(&self) -> bool {
        self.is_over
    }

    /// Returns the next page. Cancel-safe: what was read is kept.
    pub(super) async fn next(&mut self, live: &Live, principal: &Principal) -> Result<LiveMessage> {
        // In parts: a client that goes away after the first page has not cost the others.
        while self.read.len() < MAX_SATELLITES && !self.unread.is_empty() && self.read_bytes() < MAX_PAGE_BYTES {
            let ids: Vec<_> = self.unread.iter().take(ROWS).copied().collect();
            let count = ids.len();
            let satellites = live.satellites.visible_of(principal, ids).await?;
            // After the read, so that a page that failed is read again.
            self.unread.drain(..count);
            self.read.extend(satellites.iter().map(to_json));
        }
        Ok(LiveMessage::of_json(self.take_page()))
    }

    fn read_bytes(&self) -> usize {
        self.read.iter().map(String::len).sum()
    }

    /// Joins what was read to a page.
    fn take_page(&mut self) -> String {
        let mut page = String::from(r#"{"event":"initial_state","data":{"satellites":["#);
        for number in 0..MAX_SATELLITES {
            // A page has at least one satellite, however long it is.
            let is_full = number > 0 && page.len() >= MAX_PAGE_BYTES;
            let Some(satellite) = self.read.pop_front_if(|_| !is_full) else { break };
            if number > 0 {
                page.push(',');
            }
            page.push_str(&satellite);
        }
        self.is_over = self.read.is_empty() && self.unread.is_empty();
        // With each page, so that every message can be understood by itself.
        let user = json!(self.user);
        let (more, version) = (!self.is_over, json!(env!("CARGO_PKG_VERSION")));
        page + &format!(r#"],"user":{user},"more":{more},"version":{version}}}}}"#)
    }
}

fn to_json(satellite: &Satellite) -> String {
    serde_json::to_string(satellite).expect("the keys of a satellite are texts")
}

#[cfg(test)]
mod tests {
    use hive_wire::id::Seed;
    use hive_wire::ui::{UiEvent, UiMessage};

    use super::*;

    fn pages(satellites: impl IntoIterator<Item = String>) -> InitialPages {
        // As if they had been read from the store.
        let read = satellites.into_iter().collect();
        InitialPages { read, ..InitialPages::new(&Principal::system(), Vec::new()) }
    }

    fn satellite(hostname: &str) -> String {
        let id = SatelliteId::new(Seed { unix_millis: 1, random: [1; 10] });
        let at = "2026-02-05T05:42:00Z";
        json!({
            "id": id, "name": "web-server-01", "satellite_type": "global", "team_id": null, "status": "active",
            "online": true, "tags": [], "region": null, "capabilities": [], "system": { "hostname": hostname },
            "agent_version": null, "satellite_url": null, "last_seen": null, "created_at": at, "updated_at": at,
        })
        .to_string()
    }

    fn read(page: &str) -> (usize, bool) {
        match serde_json::from_str(page).unwrap() {
            UiMessage::Event(UiEvent::InitialState(state)) => (state.satellites.len(), state.more),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_page_has_at_most_five_hundred_satellites() {
        let mut pages = pages(std::iter::repeat_n(satellite("web"), 1201));
        let sizes: Vec<_> = std::iter::repeat_with(|| read(&pages.take_page())).take(3).collect();
        assert_eq!(sizes, [(500, true), (500, true), (201, false)]);
        assert!(pages.are_over());
    }

    #[test]
    fn a_page_is_bounded_in_bytes_too() {
        let mut pages = pages(std::iter::repeat_n(satellite(&"x".repeat(MAX_PAGE_BYTES / 2)), 3));
        assert_eq!(read(&pages.take_page()), (2, true));
        assert_eq!(read(&pages.take_page()), (1, false));
    }

    #[test]
    fn there_is_a_page_without_satellites() {
        let mut pages = pages([]);
        assert_eq!(read(&pages.take_page()), (0, false));
        assert!(pages.are_over());
    }

    #[test]
    fn a_page_says_who_is_there() {
        let page: serde_json::Value = serde_json::from_str(&pages([]).take_page()).unwrap();
        let expected = json!({ "id": "system", "name": "system", "email": "", "roles": ["global_admin"] });
        assert_eq!(page["data"]["user"], expected);
        assert_eq!(page["data"]["version"], env!("CARGO_PKG_VERSION"));
    }
}
