use std::path::PathBuf;
use std::sync::Arc;

use hive_store::{Store, StoreError, TelemetryStore, sqlite};
use hive_store_conformance::{check_all, check_shared, check_shared_telemetry, check_telemetry};
use rusqlite::Connection;

use crate::authority;

fn file(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("hive.db")
}

async fn open(dir: &tempfile::TempDir) -> Arc<dyn Store> {
    Arc::new(sqlite::open(&file(dir)).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_keeps_every_promise() {
    let dir = tempfile::tempdir().unwrap();
    check_all(open(&dir).await).await;
    let connection = Connection::open(file(&dir)).unwrap();
    authority::check(async |statement| Ok(connection.execute(&statement, [])? as u64)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_in_flight_is_listed_although_its_row_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    check_all(store.clone()).await;
    let connection = Connection::open(file(&dir)).unwrap();
    let in_flight = "SELECT satellite_id FROM satellite_commands WHERE finished_at IS NULL AND status = 'delivered'";
    let satellite: String = connection.query_row(in_flight, [], |row| row.get(0)).unwrap();
    let satellite = satellite.parse().unwrap();
    let before = store.command_list_in_flight(satellite).await.unwrap();
    connection.execute("UPDATE satellite_commands SET actor = 'damaged', created_at = 'damaged'", []).unwrap();
    assert!(matches!(store.command_get(before[0].0).await, Err(StoreError::Corrupt(_))));
    let (mut before, mut after) = (before, store.command_list_in_flight(satellite).await.unwrap());
    before.sort_by_key(|(id, _)| *id);
    after.sort_by_key(|(id, _)| *id);
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_keeps_every_promise() {
    check_all(Arc::new(sqlite::in_memory().await.unwrap())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_stores_on_one_file_keep_every_promise() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (open(&dir).await, open(&dir).await);
    check_shared(Arc::clone(&one), Arc::clone(&other)).await;
    // Both in full use at once.
    tokio::join!(check_all(one), check_all(other));
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_keeps_every_promise() {
    let dir = tempfile::tempdir().unwrap();
    let open = async || Arc::new(sqlite::telemetry::open(&file(&dir)).await.unwrap());
    let (one, other): (Arc<dyn TelemetryStore>, Arc<dyn TelemetryStore>) = (open().await, open().await);
    check_telemetry(one.clone()).await;
    check_shared_telemetry(one, other).await;
    check_telemetry(Arc::new(sqlite::telemetry::in_memory().await.unwrap())).await;
}
