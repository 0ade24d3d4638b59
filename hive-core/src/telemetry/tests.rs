use hive_wire::HiveId;
use hive_wire::id::Seed;

use super::*;
use crate::clock::ClockAndRng;
use crate::settings::Settings;
use crate::store::{Database, StoreError, StoreResult};
use async_trait::async_trait;
use std::sync::atomic::{AtomicBool, Ordering};

/// A store that can be stopped: then its calls fail, or never return.
struct Brittle {
    below: Arc<dyn TelemetryStore>,
    fails: AtomicBool,
    hangs: AtomicBool,
}

impl Brittle {
    async fn gate(&self) -> StoreResult<()> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.fails.load(Ordering::SeqCst) { Err(StoreError::Unavailable("it is gone".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl TelemetryStore for Brittle {
    async fn heartbeat_append(&self, heartbeats: Vec<HeartbeatRow>) -> StoreResult<()> {
        self.gate().await?;
        self.below.heartbeat_append(heartbeats).await
    }

    async fn heartbeat_latest(&self, satellite: SatelliteId) -> StoreResult<Option<HeartbeatRow>> {
        self.gate().await?;
        self.below.heartbeat_latest(satellite).await
    }

    async fn heartbeat_times(&self, satellites: &[SatelliteId]) -> StoreResult<Vec<(SatelliteId, Timestamp)>> {
        self.gate().await?;
        self.below.heartbeat_times(satellites).await
    }

    async fn heartbeat_list(
        &self,
        satellite: SatelliteId,
        visible: &VisibleTeams,
        before: Option<Timestamp>,
        limit: u32,
    ) -> StoreResult<Vec<HeartbeatRow>> {
        self.gate().await?;
        self.below.heartbeat_list(satellite, visible, before, limit).await
    }

    async fn telemetry_delete(&self, satellites: Vec<SatelliteId>) -> StoreResult<()> {
        self.gate().await?;
        self.below.telemetry_delete(satellites).await
    }
}

async fn brittle() -> Arc<Brittle> {
    let below = Database::in_memory().open_telemetry().await.unwrap();
    Arc::new(Brittle { below, fails: AtomicBool::default(), hangs: AtomicBool::default() })
}

/// The telemetry of a server on this store.
fn telemetry(store: &Arc<Brittle>) -> Telemetry {
    let source = ClockAndRng::default();
    let context = ServiceContext::new(HiveId::new(source.seed()), source, Settings::default(), None);
    Telemetry::new(store.clone(), context)
}

fn satellite(number: u8) -> SatelliteId {
    SatelliteId::new(Seed { unix_millis: 1, random: [number; 10] })
}

/// A heartbeat that was received this many seconds ago.
fn heartbeat(of: u8, telemetry: &Telemetry, ago: u64, metrics: Option<Metrics>) -> HeartbeatRow {
    let at = telemetry.context.now().minus(Duration::from_secs(ago));
    HeartbeatRow { satellite_id: satellite(of), team_id: None, at, metrics }
}

#[tokio::test]
async fn a_heartbeat_is_known_before_and_after_it_is_stored() {
    let store = brittle().await;
    let server = telemetry(&store);
    let sent = heartbeat(1, &server, 0, Some(Metrics { disk_percent: 3.0, ..Metrics::default() }));
    server.note(sent.clone());
    assert_eq!(server.latest(satellite(1)).await.unwrap(), Some(sent.clone()));
    assert_eq!(server.counts(), TelemetryCounts { written: 0, dropped: 0, waiting: 1 });
    server.flush().await.unwrap();
    assert_eq!(server.counts(), TelemetryCounts { written: 1, dropped: 0, waiting: 0 });
    // A server that starts now, and has heard nothing.
    let next = telemetry(&store);
    assert_eq!(next.latest(satellite(1)).await.unwrap(), Some(sent.clone()));
    assert_eq!(next.last_seen(&[satellite(1), satellite(2)]).await, HashMap::from([(satellite(1), sent.at)]));
    // A sign of life without metrics does not hide those that are known.
    let silent = heartbeat(1, &next, 0, None);
    next.note(silent.clone());
    let expected = HeartbeatRow { metrics: sent.metrics, ..silent };
    assert_eq!(next.latest(satellite(1)).await.unwrap(), Some(expected));
}

#[tokio::test]
async fn what_another_server_heard_counts() {
    let store = brittle().await;
    let (one, other) = (telemetry(&store), telemetry(&store));
    one.note(heartbeat(1, &one, 200, None));
    let moved = heartbeat(1, &other, 0, None);
    other.note(moved.clone());
    other.flush().await.unwrap();
    assert_eq!(one.last_seen(&[satellite(1)]).await[&satellite(1)], moved.at);
    assert_eq!(one.last_heartbeat(satellite(1)).await.unwrap(), Some(moved.at));
}

#[tokio::test]
async fn what_cannot_be_stored_is_stored_later() {
    let store = brittle().await;
    let server = telemetry(&store);
    store.fails.store(true, Ordering::SeqCst);
    let sent: Vec<_> = (1..=3).rev().map(|ago| heartbeat(1, &server, ago, Some(Metrics::default()))).collect();
    for heartbeat in sent.clone() {
        server.note(heartbeat);
        server.flush().await.unwrap_err();
    }
    store.fails.store(false, Ordering::SeqCst);
    server.flush().await.unwrap();
    let stored = server.history(satellite(1), &VisibleTeams::All, None, 10).await.unwrap();
    assert_eq!(stored, sent.into_iter().rev().collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_holds_nobody_up() {
    let store = brittle().await;
    let server = telemetry(&store);
    let sent = heartbeat(1, &server, 200, None);
    server.note(sent.clone());
    store.hangs.store(true, Ordering::SeqCst);
    assert_eq!(server.last_seen(&[satellite(1), satellite(2)]).await, HashMap::from([(satellite(1), sent.at)]));
    assert_eq!(server.last_heartbeat(satellite(1)).await.unwrap(), Some(sent.at));
    // It is not known whether another server has heard of it.
    server.last_heartbeat(satellite(2)).await.unwrap_err();
}

#[tokio::test]
async fn a_removed_satellite_leaves_no_telemetry() {
    let store = brittle().await;
    let server = telemetry(&store);
    for of in [1, 2] {
        server.note(heartbeat(of, &server, 2, Some(Metrics::default())));
    }
    server.flush().await.unwrap();
    server.note(heartbeat(1, &server, 1, Some(Metrics::default())));
    server.forget(satellite(1));
    // Its last message was on the way.
    server.note(heartbeat(1, &server, 0, Some(Metrics::default())));
    store.fails.store(true, Ordering::SeqCst);
    server.flush().await.unwrap_err();
    store.fails.store(false, Ordering::SeqCst);
    server.flush().await.unwrap();
    assert_eq!(server.latest(satellite(1)).await.unwrap(), None);
    assert!(server.history(satellite(1), &VisibleTeams::All, None, 10).await.unwrap().is_empty());
    assert_eq!(server.history(satellite(2), &VisibleTeams::All, None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn numbers_that_json_cannot_store_are_replaced() {
    let store = brittle().await;
    let server = telemetry(&store);
    let load_average = [f64::NAN, 1.5, f64::INFINITY];
    let metrics = Metrics { cpu_percent: f32::INFINITY, memory_percent: 2.0, load_average, ..Metrics::default() };
    server.note(heartbeat(1, &server, 0, Some(metrics)));
    server.flush().await.unwrap();
    let stored = telemetry(&store).latest(satellite(1)).await.unwrap().unwrap().metrics;
    let expected = Metrics { memory_percent: 2.0, load_average: [0.0, 1.5, 0.0], ..Metrics::default() };
    assert_eq!(stored, Some(expected));
}
