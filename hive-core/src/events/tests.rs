//! Subscribers of events that are published directly.

use hive_wire::api::PlatformRole;
use hive_wire::id::Seed;
use hive_wire::{HiveId, TeamId};

use super::*;
use crate::Subscription;
use crate::access::{Principal, Resource as _, ResourceScope, Role};
use crate::allow_lists::AllowLists;
use crate::context::ServiceContext;
use crate::settings::Settings;
use crate::store::sqlite;

const SEED: Seed = Seed { unix_millis: 1, random: [1; 10] };

fn subject(team: Option<TeamId>, tags: &[&str]) -> EventSubject {
    EventSubject { satellite: SatelliteId::new(SEED), team, tags: tags.iter().map(|tag| (*tag).into()).collect() }
}

async fn events() -> Arc<Events> {
    let (store, source) = (Arc::new(sqlite::in_memory().await.unwrap()), ClockAndRng::default());
    let context = ServiceContext::new(HiveId::new(SEED), source.clone(), Settings::default(), None);
    let allow_lists = Arc::new(AllowLists::open(store.clone()).await.unwrap());
    Arc::new(Events::new(Arc::new(AccessGrants::new(store, allow_lists, context)), &source))
}

fn publish(events: &Events, count: u64) {
    let id = SatelliteId::new(SEED);
    for _ in 0..count {
        events.publish(id, |seq| SatelliteEvent::Offline { seq, id, last_seen: None });
    }
}

async fn next(subscription: &mut Subscription<EventItem>) -> EventItem {
    let next = tokio::time::timeout(std::time::Duration::from_secs(10), subscription.next()).await;
    next.expect("an item comes").expect("the stream goes on")
}

/// Reads until the last event that is published by now. Returns the numbers of the events, and the resyncs.
async fn read_all(events: &Events, subscription: &mut Subscription<EventItem>) -> (Vec<u64>, Vec<EventCursor>) {
    let (mut seqs, mut resyncs) = (Vec::new(), Vec::new());
    loop {
        let item = next(subscription).await;
        match &item {
            EventItem::Event(published) => seqs.push(published.cursor().seq),
            EventItem::Resync(cursor) => resyncs.push(*cursor),
            EventItem::Bookmark(_) => {}
        }
        if item.cursor() == events.cursor() {
            return (seqs, resyncs);
        }
    }
}

#[tokio::test]
async fn a_slow_subscriber_gets_one_resync_and_then_what_comes_later() {
    let events = events().await;
    let mut slow = events.subscribe(&Principal::system(), None).await.unwrap();
    assert_eq!(next(&mut slow).await, EventItem::Bookmark(events.cursor()), "it begins here");
    publish(&events, 10_000 + 1_000);
    let dropped = events.cursor();
    let (seqs, resyncs) = read_all(&events, &mut slow).await;
    assert_eq!(resyncs, [dropped]);
    assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "what it had taken before comes first: {seqs:?}");
    publish(&events, 100);
    let (seqs, resyncs) = read_all(&events, &mut slow).await;
    assert_eq!((seqs, resyncs), ((dropped.seq + 1..=dropped.seq + 100).collect(), Vec::new()));
}

#[tokio::test]
async fn who_comes_back_within_ten_thousand_events_gets_the_rest() {
    let events = events().await;
    publish(&events, 5);
    let left = events.cursor();
    publish(&events, 10_000);
    let come_back = async |after| {
        let mut subscription = events.subscribe(&Principal::system(), Some(after)).await.unwrap();
        read_all(&events, &mut subscription).await
    };
    assert_eq!(come_back(left).await, ((6..=10_005).collect(), Vec::new()));
    let one_too_many = EventCursor { seq: left.seq - 1, ..left };
    let other_epoch = EventCursor { epoch: left.epoch ^ 1, ..events.cursor() };
    for too_old in [one_too_many, other_epoch, EventCursor::UNKNOWN] {
        assert_eq!(come_back(too_old).await, (Vec::new(), vec![events.cursor()]), "{too_old}");
    }
}

#[tokio::test]
async fn who_may_see_little_comes_back_to_the_rest_too() {
    let events = events().await;
    let team = TeamId::new(SEED);
    let (role, teams) = (PlatformRole::GlobalUser, [(team, Role::Viewer)].into());
    let viewer = Principal { role, teams, ..Principal::system() };
    let mut quiet = events.subscribe(&viewer, None).await.unwrap();
    assert_eq!(next(&mut quiet).await, EventItem::Bookmark(events.cursor()));
    for _ in 0..12 {
        // Of a satellite that the viewer cannot see.
        publish(&events, 1_000);
        assert_eq!(next(&mut quiet).await, EventItem::Bookmark(events.cursor()));
    }
    let known = events.cursor();
    drop(quiet);
    events.publish_removal(subject(Some(team), &[]));
    let mut again = events.subscribe(&viewer, Some(known)).await.unwrap();
    assert!(matches!(next(&mut again).await, EventItem::Event(removed) if removed.cursor().seq == known.seq + 1));
}

#[tokio::test]
async fn an_event_carries_team_and_tags_of_its_moment() {
    let events = events().await;
    let (blue, now) = (subject(Some(TeamId::new(SEED)), &["staging"]), subject(None, &["production"]));
    let mut position = events.cursor();
    assert_eq!(events.note_subject(blue.clone()), None);
    publish(&events, 1);
    assert_eq!(events.note_subject(now.clone()).as_ref(), Some(&blue));
    events.publish_change(blue.clone(), now.clone(), BTreeMap::new());
    publish(&events, 1);
    events.forget_subject(now.satellite);
    publish(&events, 1);
    let EventBatch::Events(published) = events.read(&mut position) else { panic!("a resync") };
    let scope = |subject: &'static str, team: Option<TeamId>| (team, subject);
    let seen: Vec<_> = published
        .iter()
        .map(|event| match event.scope() {
            ResourceScope::Satellite { team, tags } => (team, tags.join(",")),
            other => panic!("not of a satellite: {other:?}"),
        })
        .collect();
    let expected = [
        scope("staging", blue.team),
        scope("production", None),
        scope("staging", blue.team),
        scope("production", None),
        scope("", None),
    ];
    assert_eq!(seen, expected.map(|(team, tags)| (team, tags.to_owned())));
    let moved: Vec<_> = published.iter().filter_map(|event| event.moved_to.clone()).collect();
    assert_eq!(moved, [now]);
}
