//! The promises of telemetry. Its satellites need not exist: nothing refers to them.

use std::sync::Arc;
use std::time::Duration;

use hive_store::access::VisibleTeams;
use hive_store::{HeartbeatRow, MAX_GLOBAL_HEARTBEATS, MAX_TEAM_HEARTBEATS, TelemetryStore};
use hive_wire::agent::Metrics;
use hive_wire::id::Seed;
use hive_wire::{SatelliteId, TeamId, Timestamp};

use crate::fixture::random;

/// A satellite, and the heartbeats that it sends.
#[derive(Clone, Copy)]
struct BeatingSatellite {
    id: SatelliteId,
    team: Option<TeamId>,
}

impl BeatingSatellite {
    fn new(team: Option<TeamId>) -> Self {
        Self { id: SatelliteId::new(seed()), team }
    }

    /// A heartbeat with metrics, which are different in each second.
    fn heartbeat(self, second: u32) -> HeartbeatRow {
        let problems = vec![format!("problem {second} with \u{e9} and \u{0}")];
        let metrics = Metrics { cpu_percent: 12.5, network_rx_bytes: second.into(), problems, ..Metrics::default() };
        HeartbeatRow { satellite_id: self.id, team_id: self.team, at: at(second), metrics: Some(metrics) }
    }

    /// A heartbeat without metrics.
    fn silent(self, second: u32) -> HeartbeatRow {
        HeartbeatRow { metrics: None, ..self.heartbeat(second) }
    }
}

fn seed() -> Seed {
    Seed { unix_millis: 1, random: random() }
}

fn at(second: u32) -> Timestamp {
    Timestamp::from_micros(0).plus(Duration::from_secs(second.into()))
}

async fn history(store: &dyn TelemetryStore, machine: BeatingSatellite) -> Vec<Timestamp> {
    let rows = store.heartbeat_list(machine.id, &VisibleTeams::All, None, u32::MAX).await.unwrap();
    rows.into_iter().map(|row| row.at).collect()
}

pub(crate) async fn heartbeats_only_go_forward(store: &dyn TelemetryStore) {
    let machine = BeatingSatellite::new(None);
    assert_eq!(store.heartbeat_latest(machine.id).await.unwrap(), None);
    store.heartbeat_append(vec![machine.heartbeat(5)]).await.unwrap();
    store.heartbeat_append(vec![machine.heartbeat(3)]).await.unwrap();
    assert_eq!(store.heartbeat_latest(machine.id).await.unwrap(), Some(machine.heartbeat(5)));
    assert_eq!(history(store, machine).await, [at(5)]);
    store.heartbeat_append(vec![machine.heartbeat(6)]).await.unwrap();
    assert_eq!(history(store, machine).await, [at(6), at(5)]);
}

pub(crate) async fn the_last_metrics_stay(store: &dyn TelemetryStore) {
    let machine = BeatingSatellite::new(Some(TeamId::new(seed())));
    store.heartbeat_append(vec![machine.silent(1)]).await.unwrap();
    assert_eq!(store.heartbeat_latest(machine.id).await.unwrap(), Some(machine.silent(1)));
    store.heartbeat_append(vec![machine.heartbeat(2), machine.silent(3)]).await.unwrap();
    let latest = HeartbeatRow { at: at(3), ..machine.heartbeat(2) };
    assert_eq!(store.heartbeat_latest(machine.id).await.unwrap(), Some(latest));
    assert_eq!(history(store, machine).await, [at(2)]);
}

pub(crate) async fn a_heartbeat_is_stored_once(store: &dyn TelemetryStore) {
    let (one, other) = (BeatingSatellite::new(None), BeatingSatellite::new(None));
    let batch = vec![one.heartbeat(1), other.heartbeat(1), one.silent(2), one.heartbeat(3), one.silent(4)];
    for _ in 0..3 {
        store.heartbeat_append(batch.clone()).await.unwrap();
    }
    assert_eq!(history(store, one).await, [at(3), at(1)]);
    assert_eq!(history(store, other).await, [at(1)]);
}

pub(crate) async fn the_newest_heartbeats_are_kept(store: &dyn TelemetryStore) {
    for (team, kept) in [(None, MAX_GLOBAL_HEARTBEATS), (Some(TeamId::new(seed())), MAX_TEAM_HEARTBEATS)] {
        let machine = BeatingSatellite::new(team);
        let count = kept + 60;
        store.heartbeat_append((1..=count).map(|second| machine.heartbeat(second)).collect()).await.unwrap();
        let expected: Vec<_> = (1..=count).rev().take(kept as usize).map(at).collect();
        assert_eq!(history(store, machine).await, expected);
    }
}

pub(crate) async fn heartbeats_are_listed_newest_first_and_by_team(store: &dyn TelemetryStore) {
    let [ours, theirs] = [(); 2].map(|()| TeamId::new(seed()));
    let before = BeatingSatellite::new(Some(ours));
    let after = BeatingSatellite { team: Some(theirs), ..before };
    let sent = [before.heartbeat(1), before.heartbeat(2), after.heartbeat(3), after.heartbeat(4)];
    store.heartbeat_append(sent.to_vec()).await.unwrap();
    let check = async |visible: VisibleTeams, before: Option<u32>, limit, expected: &[&HeartbeatRow]| {
        let listed = store.heartbeat_list(after.id, &visible, before.map(at), limit).await.unwrap();
        assert_eq!(listed.iter().collect::<Vec<_>>(), expected);
    };
    let [first, second, third, fourth] = &sent;
    check(VisibleTeams::All, None, 10, &[fourth, third, second, first]).await;
    check(VisibleTeams::All, None, 2, &[fourth, third]).await;
    check(VisibleTeams::All, Some(3), 10, &[second, first]).await;
    check(VisibleTeams::Teams(vec![ours]), None, 10, &[second, first]).await;
    check(VisibleTeams::Teams(vec![theirs]), Some(4), 10, &[third]).await;
    check(VisibleTeams::Teams(Vec::new()), None, 10, &[]).await;
}

pub(crate) async fn times_are_read_for_many_satellites(store: &dyn TelemetryStore) {
    let machines: Vec<_> = (0..600).map(|_| BeatingSatellite::new(None)).collect();
    let heartbeats = machines.iter().zip(1..).map(|(machine, second)| machine.silent(second));
    store.heartbeat_append(heartbeats.collect()).await.unwrap();
    let unknown = BeatingSatellite::new(None).id;
    let ids: Vec<_> = machines.iter().map(|machine| machine.id).chain([unknown]).collect();
    let mut times = store.heartbeat_times(&ids).await.unwrap();
    times.sort_unstable_by_key(|(_, time)| *time);
    let expected: Vec<_> = machines.iter().zip(1..).map(|(machine, second)| (machine.id, at(second))).collect();
    assert_eq!(times, expected);
    assert_eq!(store.heartbeat_times(&[]).await.unwrap(), []);
}

pub(crate) async fn a_deleted_satellite_has_no_telemetry(store: &dyn TelemetryStore) {
    let (gone, kept) = (BeatingSatellite::new(None), BeatingSatellite::new(None));
    store.heartbeat_append(vec![gone.heartbeat(1), kept.heartbeat(1)]).await.unwrap();
    store.telemetry_delete(vec![gone.id]).await.unwrap();
    assert_eq!(store.heartbeat_latest(gone.id).await.unwrap(), None);
    assert_eq!(history(store, gone).await, []);
    assert_eq!(history(store, kept).await, [at(1)]);
    store.telemetry_delete(Vec::new()).await.unwrap();
}

pub(crate) async fn two_processes_write_the_same_satellites(
    one: Arc<dyn TelemetryStore>,
    other: Arc<dyn TelemetryStore>,
) {
    let mut machines: Vec<_> = (0..300).map(|_| BeatingSatellite::new(None)).collect();
    let write = async |store: &dyn TelemetryStore, machines: &[BeatingSatellite], seconds: [u32; 20]| {
        for second in seconds {
            let batch = machines.iter().map(|machine| machine.heartbeat(second)).collect();
            store.heartbeat_append(batch).await.unwrap();
        }
    };
    let mirrored: Vec<_> = machines.iter().rev().copied().collect();
    let (odd, even) = (std::array::from_fn(|n| 2 * n as u32 + 1), std::array::from_fn(|n| 2 * n as u32 + 2));
    tokio::join!(write(one.as_ref(), &machines, odd), write(other.as_ref(), &mirrored, even));
    machines.truncate(3);
    for machine in machines {
        assert_eq!(one.heartbeat_latest(machine.id).await.unwrap().unwrap().at, at(40));
        let times = history(other.as_ref(), machine).await;
        assert!(times.is_sorted_by(|newer, older| newer > older), "{times:?}");
    }
}
