//! Events of satellites: who gets which, in what order, and at what cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use hive_wire::api::{
    ApiKeyCreate, EventCursor, PlatformRole, RegistrationTokenCreate, SatelliteEvent, SatelliteUpdate, TeamCreate,
    TokenScope, UserCreate,
};
use hive_wire::{ApiKeyId, SatelliteId, SatelliteName, TeamId};

use super::teams::{event, two_teams};
use super::{NAME, connect, global, hive, register, request, token};
use crate::access::Role;
use crate::audit::AuditDraft;
use crate::hive::{ActingHive, Hive, Settings, VerifyMode};
use crate::store::{
    ApiKeyOwner, Database, RowRange, SatelliteOrder, SatellitePatch, SatelliteQuery, SatelliteRow, Store, StoreLayer,
    StoreResult,
};
use crate::{EventItem, Subscription};

const SUBSCRIBERS: usize = 1_000;

/// Counts what a check of permissions could read.
struct ReadCounter {
    below: Arc<dyn Store>,
    reads: AtomicU64,
}

impl ReadCounter {
    fn count(&self) {
        self.reads.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl StoreLayer for ReadCounter {
    fn below(&self) -> &dyn Store {
        self.below.as_ref()
    }

    async fn satellite_get(&self, id: SatelliteId) -> StoreResult<Option<SatelliteRow>> {
        self.count();
        self.below.satellite_get(id).await
    }

    async fn satellite_find(&self, name: &SatelliteName) -> StoreResult<Option<SatelliteRow>> {
        self.count();
        self.below.satellite_find(name).await
    }

    async fn satellite_list(
        &self,
        query: &SatelliteQuery,
        range: RowRange<SatelliteOrder>,
    ) -> StoreResult<(Vec<SatelliteRow>, u64)> {
        self.count();
        self.below.satellite_list(query, range).await
    }

    async fn api_key_owner(&self, id: ApiKeyId) -> StoreResult<Option<ApiKeyOwner>> {
        self.count();
        self.below.api_key_owner(id).await
    }
}

/// A team and a viewer of it.
async fn team_with_viewer(hive: &Hive) -> (TeamId, ActingHive) {
    let identity = hive.as_system().identity();
    let team = identity.team_create(TeamCreate { slug: "blue".into() }).await.unwrap().id;
    identity.user_create(UserCreate { username: "anna".into(), role: PlatformRole::GlobalUser }).await.unwrap();
    hive.as_system().team_member_add("blue", "anna", Role::Viewer).await.unwrap();
    let key = hive.as_system().api_key_create_for("anna", ApiKeyCreate::default()).await.unwrap().api_key;
    (team, hive.acting_as(hive.authenticate_api_key(&key, None, VerifyMode::Full).await.unwrap()))
}

fn tagged(tag: &str) -> SatelliteUpdate {
    SatelliteUpdate { tags: Some(vec![tag.into()]), ..SatelliteUpdate::default() }
}

fn moved_to(team: Option<TeamId>) -> SatelliteUpdate {
    SatelliteUpdate { team_id: Some(team), ..SatelliteUpdate::default() }
}

/// The position where a subscription begins.
async fn now(hive: &Hive) -> EventCursor {
    hive.as_system().satellites().subscribe(None).await.unwrap().next().await.unwrap().cursor()
}

/// The kinds of the events behind a position, for one caller.
async fn kinds_after(acting: &ActingHive, after: EventCursor) -> Vec<&'static str> {
    let mut events = acting.satellites().subscribe(Some(after)).await.unwrap();
    let mut kinds = Vec::new();
    while let Ok(Some(item)) = tokio::time::timeout(Duration::from_millis(50), events.next()).await {
        kinds.extend(item.event().map(|event| match event {
            SatelliteEvent::Updated { changes, .. } if changes.contains_key("tags") => "tags",
            SatelliteEvent::Updated { .. } => "updated",
            SatelliteEvent::Offline { .. } => "offline",
            SatelliteEvent::Removed { .. } => "removed",
            other => panic!("{other:?}"),
        }));
    }
    kinds
}

#[tokio::test]
async fn an_event_is_for_the_team_that_the_satellite_had_then() {
    let teams = two_teams().await;
    let (id, system) = (teams.satellite.id, teams.hive.as_system());
    let before = now(&teams.hive).await;
    system.satellites().update(id, tagged("web")).await.unwrap();
    system.satellites().update(id, moved_to(Some(teams.red))).await.unwrap();
    drop(teams.satellite);
    system.satellites().remove(id).await.unwrap();
    assert_eq!(kinds_after(&teams.anna, before).await, ["tags", "removed"]);
    assert_eq!(kinds_after(&teams.bert, before).await, ["updated", "offline", "removed"]);
    assert_eq!(kinds_after(&system, before).await, ["tags", "updated", "offline", "removed"]);
}

#[tokio::test]
async fn subscribers_cost_no_read_of_the_store() {
    let below = Database::in_memory().open().await.unwrap();
    let store = Arc::new(ReadCounter { below, reads: AtomicU64::new(0) });
    // The housekeeping reads for itself.
    let settings = Settings { sweep_interval: Duration::from_hours(1), ..Settings::default() };
    let hive = Hive::builder().store(store.clone()).settings(settings).build().await.unwrap();
    let ((team, viewer), system) = (team_with_viewer(&hive).await, hive.as_system());
    let create = RegistrationTokenCreate { scope: TokenScope::Team, team_id: Some(team), ..global() };
    let token = token(&system, create).await;
    let registered = hive.register_satellite(&token, request(NAME), None, None).await.unwrap();
    let reads = async || {
        let before = store.reads.load(Ordering::SeqCst);
        for round in ["one", "two", "three"] {
            drop(connect(&hive, &registered, "journal-1").await);
            system.satellites().update(registered.id, tagged(round)).await.unwrap();
        }
        // What the hive and the subscribers do with it in the background.
        tokio::time::sleep(Duration::from_millis(200)).await;
        store.reads.load(Ordering::SeqCst) - before
    };
    // The first link activates the satellite, which reads more.
    reads().await;
    let without = reads().await;
    let mut subscribers = Vec::new();
    for _ in 0..SUBSCRIBERS {
        subscribers.push(viewer.satellites().subscribe(None).await.unwrap());
    }
    assert_eq!(reads().await, without);
    for subscriber in &mut subscribers {
        assert!(matches!(event(subscriber).await, SatelliteEvent::Online { .. }));
    }
}

/// What somebody who follows the events knows: whether there is the satellite, and with which tags.
#[derive(Debug, Default, PartialEq)]
struct Known {
    is_there: bool,
    tags: Option<serde_json::Value>,
}

async fn known(events: &mut Subscription<EventItem>, last: EventCursor) -> Known {
    let mut known = Known::default();
    while let Ok(Some(item)) = tokio::time::timeout(Duration::from_millis(100), events.next()).await {
        match item.event() {
            Some(SatelliteEvent::Updated { changes, .. }) => {
                known = Known { is_there: true, tags: changes.get("tags").cloned().or(known.tags) };
            }
            Some(SatelliteEvent::Removed { .. }) => known.is_there = false,
            _ => {}
        }
        if item.cursor() == last {
            break;
        }
    }
    known
}

#[tokio::test]
async fn who_follows_the_events_of_changes_that_race_ends_where_the_store_is() {
    let teams = two_teams().await;
    let (id, system) = (teams.satellite.id, teams.hive.as_system());
    let blue = system.satellites().get(id).await.unwrap().unwrap().team_id;
    let mut followers = Vec::new();
    for acting in [&teams.anna, &teams.bert] {
        followers.push((acting, acting.satellites().subscribe(None).await.unwrap()));
    }
    let changes = (0..30).map(|n: usize| {
        let (system, team) = (&system, [blue, Some(teams.red), None][n % 3]);
        let change = SatelliteUpdate { team_id: Some(team), ..tagged(&format!("tag-{n}")) };
        async move { system.satellites().update(id, change).await.unwrap() }
    });
    join_all(changes).await;
    drop(teams.satellite);
    let (last, row) = (now(&teams.hive).await, system.satellites().get(id).await.unwrap().unwrap());
    for (acting, mut events) in followers {
        let is_there = acting.satellites().get(id).await.unwrap().is_some();
        let known = known(&mut events, last).await;
        assert_eq!(known.is_there, is_there, "of {row:?}");
        assert!(!is_there || known.tags == Some(serde_json::json!(row.tags)), "{known:?} of {row:?}");
    }
}

/// Answers the first change of a satellite late, when the next one is committed if that is possible at all.
struct LateAnswer {
    below: Arc<dyn Store>,
    changes: AtomicU64,
}

#[async_trait]
impl StoreLayer for LateAnswer {
    fn below(&self) -> &dyn Store {
        self.below.as_ref()
    }

    async fn satellite_update(
        &self,
        id: SatelliteId,
        patch: SatellitePatch,
        audit: AuditDraft,
    ) -> StoreResult<Option<SatelliteRow>> {
        let row = self.below.satellite_update(id, patch, audit).await;
        if self.changes.fetch_add(1, Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        row
    }
}

#[tokio::test]
async fn events_of_changes_come_in_the_order_of_the_commits() {
    let below = Database::in_memory().open().await.unwrap();
    let store = Arc::new(LateAnswer { below, changes: AtomicU64::new(0) });
    let hive = Hive::builder().store(store).build().await.unwrap();
    let (id, system) = (register(&hive, NAME).await.id, hive.as_system());
    let before = now(&hive).await;
    let change = |tag| {
        let system = &system;
        async move { system.satellites().update(id, tagged(tag)).await.unwrap() }
    };
    join_all([change("one"), change("two")]).await;
    let mut events = system.satellites().subscribe(Some(before)).await.unwrap();
    let mut tags = Vec::new();
    for _ in 0..2 {
        let SatelliteEvent::Updated { changes, .. } = event(&mut events).await else { panic!("no change") };
        tags.push(changes["tags"][0].clone());
    }
    let stored = system.satellites().get(id).await.unwrap().unwrap().tags;
    assert_eq!(tags.last().unwrap(), &serde_json::json!(stored[0]), "of {tags:?}");
}

#[tokio::test]
async fn who_comes_back_after_a_pause_gets_what_happened_meanwhile() {
    let hive = hive().await;
    let (registered, system) = (register(&hive, NAME).await, hive.as_system());
    let mut events = system.satellites().subscribe(None).await.unwrap();
    let satellite = connect(&hive, &registered, "journal-1").await;
    let mut left = events.next().await.unwrap();
    while left.event().is_none() {
        left = events.next().await.unwrap();
    }
    drop(events);
    drop(satellite);
    let mut events = system.satellites().subscribe(Some(left.cursor())).await.unwrap();
    assert!(matches!(event(&mut events).await, SatelliteEvent::Offline { .. }));
}
