//! The registry of satellites, and what it tells of them.

use hive_core::wire::api::{
    EventCursor, PageRequest, Satellite, SatelliteEvent, SatelliteFilter, SatelliteStatus, SatelliteType,
    SatelliteUpdate,
};
use hive_core::{EventItem, Subscription};
use hive_testkit::{SatelliteOptions, until};

use super::world::{NAME, request};
use super::{BehaviourWorld, claims};

claims!(
    a_satellite_registers_by_its_token_alone,
    satellites_are_found_by_what_they_are,
    an_update_changes_what_it_names,
    labels_may_be_odd,
    what_happens_to_satellites_is_told,
    who_comes_back_to_the_events_misses_nothing,
    a_removed_satellite_is_gone,
    a_satellites_status_of_a_later_version_is_kept,
);

fn names(satellites: &[Satellite]) -> Vec<&str> {
    satellites.iter().map(|satellite| satellite.name.as_str()).collect()
}

async fn a_satellite_registers_by_its_token_alone(world: BehaviourWorld) {
    let team = world.team("ops").await;
    let token = world.token(Some(team)).await;
    let made = world.api().satellites().register(token.into(), request("web-server-01")).await.unwrap();
    let found = world.api().satellites().get(made.id).await.unwrap().unwrap();
    assert_eq!((found.id, found.name.as_str(), found.team_id), (made.id, "web-server-01", Some(team)));
    assert_eq!(
        (found.satellite_type, found.status, found.online),
        (SatelliteType::Team, SatelliteStatus::Inactive, false)
    );
    assert!(!made.api_key.is_empty());
    let again = world.token(Some(team)).await;
    let again = world.api().satellites().register(again.into(), request("web-server-01")).await.unwrap();
    assert!(again.id == made.id && again.api_key != made.api_key);
    world.end().await;
}

async fn satellites_are_found_by_what_they_are(world: BehaviourWorld) {
    let team = world.team("ops").await;
    for (name, team) in [("database-01", None), ("web-front-01", Some(team)), ("web-front-02", None)] {
        world.absent(name, team).await;
    }
    let _machine = world.satellite_with("web-back-01", SatelliteOptions::default()).await;
    let check = async |filter: SatelliteFilter, expected: &[&str]| {
        let found = world.api().satellites().list(filter.clone(), PageRequest::default()).await.unwrap();
        assert_eq!((names(&found.items).as_slice(), found.total), (expected, expected.len() as u64), "{filter:?}");
    };
    let any = SatelliteFilter::default;
    check(any(), &["database-01", "web-back-01", "web-front-01", "web-front-02"]).await;
    check(SatelliteFilter { online: Some(true), ..any() }, &["web-back-01"]).await;
    check(
        SatelliteFilter { online: Some(false), search: Some("FRONT".into()), ..any() },
        &["web-front-01", "web-front-02"],
    )
    .await;
    check(SatelliteFilter { status: Some(SatelliteStatus::Active), ..any() }, &["web-back-01"]).await;
    check(SatelliteFilter { team_id: Some(team), ..any() }, &["web-front-01"]).await;
    check(SatelliteFilter { tags: vec!["rack-7".into()], search: Some("data".into()), ..any() }, &["database-01"])
        .await;
    check(SatelliteFilter { tags: vec!["rack-7".into(), "none".into()], ..any() }, &[]).await;
    // Characters with a meaning in a URL, which the remote hive has to escape.
    check(SatelliteFilter { search: Some("%&tag=x#\0\u{202e}".into()), ..any() }, &[]).await;
    let page = world.api().satellites().list(any(), PageRequest::numbered(2, 3)).await.unwrap();
    assert_eq!(
        (names(&page.items).as_slice(), page.total, page.page, page.per_page),
        (&["web-front-02"][..], 4, Some(2), 3)
    );
    world.end().await;
}

async fn an_update_changes_what_it_names(world: BehaviourWorld) {
    let (id, team) = (world.absent("web-front-01", None).await, world.team("ops").await);
    let update = async |update: SatelliteUpdate| world.api().satellites().update(id, update).await.unwrap();
    let same = SatelliteUpdate::default;
    let renamed = update(SatelliteUpdate { name: Some("web-front-09".try_into().unwrap()), ..same() }).await;
    assert_eq!((renamed.name.as_str(), renamed.tags.as_slice()), ("web-front-09", &["rack-7".to_owned()][..]));
    let tagged = update(SatelliteUpdate { tags: Some(vec!["b".into(), "a".into(), "b".into()]), ..same() }).await;
    assert_eq!(tagged.tags, ["a", "b"]);
    let status = SatelliteUpdate { status: Some(SatelliteStatus::Maintenance), region: Some("eu-1".into()), ..same() };
    let kept = update(status).await;
    assert_eq!(
        (kept.status, kept.region.as_deref(), kept.tags),
        (SatelliteStatus::Maintenance, Some("eu-1"), tagged.tags)
    );
    assert_eq!(update(SatelliteUpdate { team_id: Some(Some(team)), ..same() }).await.team_id, Some(team));
    assert_eq!(update(same()).await.team_id, Some(team));
    let given_back = update(SatelliteUpdate { team_id: Some(None), ..same() }).await;
    assert_eq!((given_back.team_id, given_back.name), (None, renamed.name));
    world.end().await;
}

async fn labels_may_be_odd(world: BehaviourWorld) {
    let id = world.absent("web-front-01", None).await;
    let odd = [".", "..", "a/b", "a:b@c=d", "größe", "x_y-z.1"];
    let tags = Some(odd.map(String::from).to_vec());
    world.api().satellites().update(id, SatelliteUpdate { tags, ..SatelliteUpdate::default() }).await.unwrap();
    for tag in odd {
        assert_eq!(names(&world.api().satellites().get_by_tag(tag).await.unwrap()), ["web-front-01"], "{tag}");
        let filter = SatelliteFilter { tags: vec![tag.into()], ..SatelliteFilter::default() };
        assert_eq!(world.api().satellites().list(filter, PageRequest::default()).await.unwrap().total, 1, "{tag}");
    }
    // A label is neither folded in case, nor decoded, nor split: only the exact one is found.
    for tag in ["", "A/b", "none", "a b", "%2e", "a,b"] {
        assert_eq!(names(&world.api().satellites().get_by_tag(tag).await.unwrap()), [""; 0], "{tag}");
    }
    world.end().await;
}

/// Waits for the event that is meant.
async fn heard(events: &mut Subscription<EventItem>, is_meant: impl Fn(&SatelliteEvent) -> bool) {
    let listening = async {
        while let Some(item) = events.next().await {
            if item.event().is_some_and(&is_meant) {
                return;
            }
        }
        panic!("the stream has ended");
    };
    tokio::time::timeout(hive_testkit::PATIENCE, listening).await.expect("the event comes");
}

async fn what_happens_to_satellites_is_told(world: BehaviourWorld) {
    let mut events = world.api().satellites().subscribe(None).await.unwrap();
    let left = world.api().satellites().subscribe(None).await.unwrap();
    let machine = world.satellite().await;
    let meant = machine.id;
    heard(&mut events, |event| matches!(event, SatelliteEvent::Online { .. }) && event.satellite() == Some(meant))
        .await;
    drop(left);
    let tags = Some(vec!["new".to_owned()]);
    world.api().satellites().update(meant, SatelliteUpdate { tags, ..SatelliteUpdate::default() }).await.unwrap();
    heard(&mut events, |event| match event {
        SatelliteEvent::Updated { id, changes, .. } => *id == meant && changes["tags"] == serde_json::json!(["new"]),
        _ => false,
    })
    .await;
    // This only ends the link. The satellite reconnects by itself.
    world.api().satellites().mark_offline(meant).await.unwrap();
    heard(&mut events, |event| matches!(event, SatelliteEvent::Offline { .. })).await;
    heard(&mut events, |event| matches!(event, SatelliteEvent::Online { .. })).await;
    until("it is back", async || world.api().satellites().get(meant).await.unwrap().unwrap().online).await;
    world.api().satellites().remove(meant).await.unwrap();
    heard(&mut events, |event| matches!(event, SatelliteEvent::Removed { .. }) && event.satellite() == Some(meant))
        .await;
    world.end().await;
}

/// Waits for the next item that this version knows.
async fn next_item(events: &mut Subscription<EventItem>) -> EventItem {
    loop {
        let item = tokio::time::timeout(hive_testkit::PATIENCE, events.next()).await.expect("an item comes");
        let item = item.expect("the stream goes on");
        if !matches!(item.event(), Some(SatelliteEvent::Unknown(_))) {
            return item;
        }
    }
}

async fn who_comes_back_to_the_events_misses_nothing(world: BehaviourWorld) {
    let id = world.absent(NAME, None).await;
    let mut events = world.api().satellites().subscribe(None).await.unwrap();
    let begin = next_item(&mut events).await;
    assert!(matches!(begin, EventItem::Bookmark(_)), "{begin:?}");
    drop(events);
    for tag in ["one", "two"] {
        let tags = Some(vec![tag.to_owned()]);
        world.api().satellites().update(id, SatelliteUpdate { tags, ..SatelliteUpdate::default() }).await.unwrap();
    }
    let mut after = begin.cursor();
    for tag in ["one", "two"] {
        let mut events = world.api().satellites().subscribe(Some(after)).await.unwrap();
        let item = next_item(&mut events).await;
        let Some(SatelliteEvent::Updated { seq, changes, .. }) = item.event() else { panic!("{item:?}") };
        assert_eq!((changes["tags"][0].as_str(), *seq), (Some(tag), item.cursor().seq));
        after = item.cursor();
    }
    let too_old = EventCursor { epoch: after.epoch ^ 1, ..after };
    let mut events = world.api().satellites().subscribe(Some(too_old)).await.unwrap();
    let item = next_item(&mut events).await;
    assert!(matches!(item, EventItem::Resync(now) if now.epoch == after.epoch && now.seq >= after.seq), "{item:?}");
    world.end().await;
}

async fn a_removed_satellite_is_gone(world: BehaviourWorld) {
    let (kept, removed) = (world.absent("web-front-01", None).await, world.absent(NAME, None).await);
    world.api().satellites().remove(removed).await.unwrap();
    assert_eq!(world.api().satellites().get(removed).await.unwrap(), None);
    let left = world.api().satellites().list(SatelliteFilter::default(), PageRequest::default()).await.unwrap();
    assert_eq!(left.items.iter().map(|satellite| satellite.id).collect::<Vec<_>>(), [kept]);
    assert_eq!(names(&world.api().satellites().get_by_tag("rack-7").await.unwrap()), ["web-front-01"]);
    world.end().await;
}

async fn a_satellites_status_of_a_later_version_is_kept(world: BehaviourWorld) {
    let satellite = world.satellite().await;
    let expected = SatelliteStatus::from(world.rename_status("active", "resting"));
    let found = world.api().satellites().get(satellite.id).await.unwrap().unwrap();
    assert_eq!((found.status, found.online), (expected.clone(), true));
    let listed = world.api().satellites().list(SatelliteFilter::default(), PageRequest::default()).await.unwrap();
    assert_eq!(listed.items.iter().map(|satellite| &satellite.status).collect::<Vec<_>>(), [&expected]);
    let active = SatelliteFilter { status: Some(SatelliteStatus::Active), ..SatelliteFilter::default() };
    assert_eq!(world.api().satellites().list(active, PageRequest::default()).await.unwrap().total, 1);
    world.end().await;
}
