//! Feeds of a hive whose satellites the tests play.

use std::time::Duration;

use hive_test_peers::satellite::pong;
use hive_wire::agent::{Metrics, ToServer};
use hive_wire::api::{EndReason, SatelliteEvent, SatelliteUpdate};
use hive_wire::id::Seed;
use hive_wire::ui::{InitialSatellites, SatelliteSelector, UiEvent, UiMessage};
use hive_wire::{SatelliteId, SessionId, Timestamp};
use tokio::time::timeout;

use super::LiveFeed;
use crate::hive::tests::{connect, hive, register};
use crate::hive::{ActingHive, Hive};

async fn feed(acting: &ActingHive, initial: InitialSatellites) -> LiveFeed {
    acting.live_feed(initial).await.unwrap()
}

async fn next(feed: &mut LiveFeed) -> UiMessage {
    let message = timeout(Duration::from_secs(10), feed.next()).await.expect("a message comes").unwrap();
    serde_json::from_str(&message.json()).unwrap()
}

/// Everything that comes within a moment.
async fn rest(feed: &mut LiveFeed) -> Vec<UiMessage> {
    let mut all = Vec::new();
    while let Ok(message) = timeout(Duration::from_millis(600), feed.next()).await {
        all.push(serde_json::from_str(&message.unwrap().json()).unwrap());
    }
    all
}

async fn skip_initial(feed: &mut LiveFeed) {
    let first = next(feed).await;
    assert!(matches!(first, UiMessage::Event(UiEvent::InitialState(_))), "{first:?}");
}

fn note_metrics(hive: &Hive, id: SatelliteId, cpu_percent: f32) {
    let metrics = Metrics { cpu_percent, ..Metrics::default() };
    hive.services().satellites.note_heartbeat(id, None, Some(metrics));
}

#[tokio::test]
async fn a_feed_begins_with_the_satellites_and_goes_on_with_what_happens() {
    let hive = hive().await;
    let registered = register(&hive, "web-server-01").await;
    let mut feed = feed(&hive.as_system(), InitialSatellites::All).await;
    let satellite = connect(&hive, &registered, "journal-1").await;
    let UiMessage::Event(UiEvent::InitialState(state)) = next(&mut feed).await else { panic!("no initial state") };
    assert_eq!((state.satellites.len(), state.more), (1, false));
    // It came after the feed was opened and before its first page: it is told, although the page may have it.
    let mut message = next(&mut feed).await;
    while !matches!(message, UiMessage::Satellite(SatelliteEvent::Online { .. })) {
        message = next(&mut feed).await;
    }
    let UiMessage::Satellite(SatelliteEvent::Online { system, .. }) = message else { unreachable!() };
    assert_eq!(system.expect("the machine").os, "linux");
    drop(satellite);
    assert!(matches!(next(&mut feed).await, UiMessage::Satellite(SatelliteEvent::Offline { .. })));
}

#[tokio::test]
async fn metrics_come_for_subscribed_satellites_only_and_together() {
    let hive = hive().await;
    let (one, other) = (register(&hive, "web-server-01").await, register(&hive, "web-server-02").await);
    let links = (connect(&hive, &one, "journal-1").await, connect(&hive, &other, "journal-2").await);
    let (one, other) = (one.id, other.id);
    let mut feed = feed(&hive.as_system(), InitialSatellites::All).await;
    skip_initial(&mut feed).await;
    note_metrics(&hive, one, 1.0);
    assert_eq!(rest(&mut feed).await, [], "nothing is subscribed to");
    feed.subscribe(&[SatelliteSelector::One(one)]).unwrap();
    let UiMessage::Event(UiEvent::Metrics(latest)) = next(&mut feed).await else { panic!("no metrics") };
    assert_eq!((latest.id, latest.metrics.cpu_percent), (one, 1.0), "the latest ones, from before");
    note_metrics(&hive, one, 2.0);
    note_metrics(&hive, other, 3.0);
    note_metrics(&hive, one, 4.0);
    let all = rest(&mut feed).await;
    let [UiMessage::Event(UiEvent::Metrics(only))] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((only.id, only.metrics.cpu_percent), (one, 4.0));
    feed.subscribe(&[SatelliteSelector::All]).unwrap();
    let all = rest(&mut feed).await;
    let [UiMessage::Event(UiEvent::MetricsOfSeveral { satellites })] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(satellites.len(), 2);
    feed.unsubscribe(&[SatelliteSelector::All, SatelliteSelector::One(one)]);
    note_metrics(&hive, one, 5.0);
    assert_eq!(rest(&mut feed).await, []);
    drop(links);
}

#[tokio::test]
async fn a_feed_without_initial_satellites_hears_of_those_it_subscribed_to() {
    let hive = hive().await;
    let (one, other) = (register(&hive, "web-server-01").await, register(&hive, "web-server-02").await);
    let system = hive.as_system();
    let mut feed = feed(&system, InitialSatellites::None).await;
    let UiMessage::Event(UiEvent::InitialState(state)) = next(&mut feed).await else { panic!("no initial state") };
    assert!(state.satellites.is_empty() && !state.more);
    feed.subscribe(&[SatelliteSelector::One(one.id)]).unwrap();
    let links = (connect(&hive, &one, "journal-1").await, connect(&hive, &other, "journal-2").await);
    let all = rest(&mut feed).await;
    let online: Vec<_> = all
        .iter()
        .filter_map(|message| match message {
            UiMessage::Satellite(SatelliteEvent::Online { id, .. }) => Some(*id),
            _ => None,
        })
        .collect();
    assert_eq!(online, [one.id], "{all:?}");
    let mut counts = all.iter().filter_map(|message| match message {
        UiMessage::Event(UiEvent::SatellitesChanged { counts }) => Some(*counts),
        _ => None,
    });
    assert_eq!(counts.next_back().map(|counts| counts.total), Some(2), "{all:?}");
    drop(links);
}

#[tokio::test]
async fn counts_come_at_most_once_a_second_and_the_last_ones_are_right() {
    let hive = hive().await;
    let registered = register(&hive, "web-server-01").await;
    let system = hive.as_system();
    let mut feed = feed(&system, InitialSatellites::None).await;
    skip_initial(&mut feed).await;
    let mut times = Vec::new();
    let mut last = None;
    let begin = tokio::time::Instant::now();
    let mut number = 0;
    while begin.elapsed() < Duration::from_millis(2500) {
        number += 1;
        let update = SatelliteUpdate { tags: Some(vec![format!("tag-{number}")]), ..SatelliteUpdate::default() };
        system.satellites().update(registered.id, update).await.unwrap();
        if number == 20 {
            register(&hive, "web-server-02").await;
        }
        if let Ok(message) = timeout(Duration::from_millis(20), feed.next()).await {
            times.push(begin.elapsed());
            last = Some(message.unwrap().json().into_owned());
        }
    }
    while let Ok(message) = timeout(Duration::from_millis(2200), feed.next()).await {
        times.push(begin.elapsed());
        last = Some(message.unwrap().json().into_owned());
    }
    assert!((2..=5).contains(&times.len()), "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] >= pair[0] + Duration::from_millis(990)), "{times:?}");
    assert_eq!(last.unwrap(), r#"{"event":"satellites:changed","data":{"counts":{"total":2,"online":0}}}"#);
}

#[tokio::test]
async fn a_feed_that_is_not_read_gets_a_resync_and_goes_on() {
    let hive = hive().await;
    let registered = register(&hive, "web-server-01").await;
    let mut feed = feed(&hive.as_system(), InitialSatellites::All).await;
    skip_initial(&mut feed).await;
    let (events, id) = (&hive.services().live.events, registered.id);
    for _ in 0..10_100 {
        events.publish(id, |seq| SatelliteEvent::Offline { seq, id, last_seen: None });
    }
    // Those that were read into the feed before come first.
    let mut resyncs = 0;
    for message in rest(&mut feed).await {
        resyncs += usize::from(message == UiMessage::Event(UiEvent::Resync));
    }
    assert_eq!(resyncs, 1);
    events.publish(id, |seq| SatelliteEvent::Removed { seq, id });
    assert!(matches!(next(&mut feed).await, UiMessage::Satellite(SatelliteEvent::Removed { .. })));
}

#[tokio::test]
async fn a_session_that_has_ended_does_not_start_again() {
    let hive = hive().await;
    let registered = register(&hive, "web-server-01").await;
    let mut feed = feed(&hive.as_system(), InitialSatellites::All).await;
    skip_initial(&mut feed).await;
    let session_id = SessionId::new(Seed { unix_millis: 1, random: [1; 10] });
    let events = &hive.services().live.events;
    let ended = UiEvent::SessionEnded { session_id, reason: EndReason::Exited, exit_code: Some(3), error: None };
    events.note_session(session_id, registered.id, None, ended.clone());
    let created_at = Timestamp::from_micros(1);
    let started = UiEvent::SessionStarted { session_id, satellite_id: registered.id, created_at };
    events.note_session(session_id, registered.id, None, started);
    assert_eq!(rest(&mut feed).await, [UiMessage::Event(ended)]);
}

#[tokio::test]
async fn the_heartbeat_of_a_link_is_metrics_of_its_satellite() {
    let hive = hive().await;
    let registered = register(&hive, "web-server-01").await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let mut feed = feed(&hive.as_system(), InitialSatellites::None).await;
    skip_initial(&mut feed).await;
    feed.subscribe(&[SatelliteSelector::All]).unwrap();
    let pong: ToServer = pong(Timestamp::from_micros(1));
    satellite.send(pong).await;
    let UiMessage::Event(UiEvent::Metrics(metrics)) = next(&mut feed).await else { panic!("no metrics") };
    assert_eq!((metrics.id, metrics.metrics.cpu_percent), (registered.id, 1.5));
}
