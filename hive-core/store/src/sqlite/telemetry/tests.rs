use hive_wire::SatelliteId;
use hive_wire::agent::Metrics;
use hive_wire::id::Seed;

use super::*;
use crate::fixture::now;
use crate::sql::checks::check_telemetry_plans;
use crate::{HeartbeatRow, TelemetryStore};

fn database(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("hive.db")
}

fn file(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("telemetry.db")
}

fn heartbeat() -> HeartbeatRow {
    let satellite_id = SatelliteId::new(Seed { unix_millis: 1, random: [7; 10] });
    HeartbeatRow { satellite_id, team_id: None, at: now(), metrics: Some(Metrics::default()) }
}

async fn latest(store: &SqlTelemetryStore) -> Option<HeartbeatRow> {
    store.heartbeat_latest(heartbeat().satellite_id).await.unwrap()
}

/// Reads a setting of the file.
async fn pragma(dir: &tempfile::TempDir, pragma: &'static str) -> i64 {
    let mut connection = connect(options().file(file(dir)), &DIALECT).await.unwrap();
    let row = connection.script(pragma).await.unwrap().pop().unwrap();
    row.number_opt(pragma.trim_start_matches("PRAGMA ")).unwrap().unwrap()
}

/// What SQLite answers to `PRAGMA auto_vacuum`.
const INCREMENTAL: i64 = 2;
/// What SQLite answers to `PRAGMA synchronous`.
const NORMAL: i64 = 1;

/// A file with a heartbeat, as a server that was killed leaves it.
async fn written() -> tempfile::TempDir {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(&database(&dir)).await.unwrap();
    store.heartbeat_append(vec![heartbeat()]).await.unwrap();
    for name in ["telemetry.db", "telemetry.db-wal"] {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    copy
}

#[tokio::test]
async fn the_file_frees_its_pages_and_does_not_wait_for_the_disk() {
    let dir = written().await;
    let store = open(&database(&dir)).await.unwrap();
    assert_eq!(latest(&store).await, Some(heartbeat()));
    assert_eq!(pragma(&dir, "PRAGMA auto_vacuum").await, INCREMENTAL);
    assert_eq!(pragma(&dir, "PRAGMA synchronous").await, NORMAL);
    let many: Vec<_> = (0..400).map(|n| SatelliteId::new(Seed { unix_millis: n, random: [1; 10] })).collect();
    let rows = many.iter().map(|id| HeartbeatRow { satellite_id: *id, ..heartbeat() }).collect();
    store.heartbeat_append(rows).await.unwrap();
    let full = pragma(&dir, "PRAGMA page_count").await;
    store.telemetry_delete(many).await.unwrap();
    assert_eq!(pragma(&dir, "PRAGMA freelist_count").await, 0);
    assert!(pragma(&dir, "PRAGMA page_count").await < full / 2);
}

#[tokio::test]
async fn no_statement_reads_a_whole_table() {
    let dir = tempfile::tempdir().unwrap();
    check_telemetry_plans(&open(&database(&dir)).await.unwrap()).await;
}

#[tokio::test]
async fn a_missing_file_is_created_anew() {
    let dir = written().await;
    std::fs::remove_file(file(&dir)).unwrap();
    std::fs::remove_file(dir.path().join("telemetry.db-wal")).unwrap();
    let store = open(&database(&dir)).await.unwrap();
    assert_eq!(latest(&store).await, None);
    store.heartbeat_append(vec![heartbeat()]).await.unwrap();
    assert_eq!(latest(&store).await, Some(heartbeat()));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_set_aside() {
    for (name, damage) in [("telemetry.db", 0), ("telemetry.db", 30), ("telemetry.db-wal", 60)] {
        let dir = written().await;
        // The log alone has a second transaction, so that damage before it counts.
        let mut bytes = std::fs::read(dir.path().join(name)).unwrap();
        let len = bytes.len().min(4096 * 2);
        bytes[damage..len].fill(0x5a);
        std::fs::write(dir.path().join(name), &bytes).unwrap();
        // Twice: an earlier damaged file is replaced.
        for _ in 0..2 {
            let store = open(&database(&dir)).await.unwrap();
            store.heartbeat_append(vec![heartbeat()]).await.unwrap();
            assert_eq!(latest(&store).await, Some(heartbeat()), "{name}");
            store.close().await.unwrap();
            std::fs::write(file(&dir), "no database at all").unwrap();
        }
        let aside = dir.path().join("telemetry.db.damaged");
        assert!(aside.exists(), "{name}");
    }
}

#[tokio::test]
async fn the_file_of_a_newer_program_is_set_aside() {
    let dir = written().await;
    let store = open(&database(&dir)).await.unwrap();
    store.close().await.unwrap();
    let mut connection = connect(options().file(file(&dir)), &DIALECT).await.unwrap();
    connection.script("INSERT INTO telemetry_migrations (version) VALUES (999)").await.unwrap();
    Connection::close(Box::new(connection)).await.unwrap();
    assert_eq!(latest(&open(&database(&dir)).await.unwrap()).await, None);
}

#[tokio::test]
async fn telemetry_that_cannot_be_opened_is_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(file(&dir)).unwrap();
    let store = open(&database(&dir)).await.unwrap();
    store.heartbeat_append(vec![heartbeat()]).await.unwrap();
    assert_eq!(latest(&store).await, Some(heartbeat()));
}

#[tokio::test]
async fn a_start_does_not_wait_for_a_writer() {
    let dir = written().await;
    let mut other = connect(options().file(file(&dir)), &DIALECT).await.unwrap();
    other.script("BEGIN IMMEDIATE").await.unwrap();
    let store = open(&database(&dir)).await.unwrap();
    assert_eq!(latest(&store).await, Some(heartbeat()), "the file, and not memory");
    assert!(matches!(store.heartbeat_append(vec![heartbeat()]).await, Err(StoreError::Unavailable(_))));
    other.script("ROLLBACK").await.unwrap();
    store.heartbeat_append(vec![heartbeat()]).await.unwrap();
}
