use std::sync::Arc;

use hive_wire::SessionId;
use hive_wire::api::{ChainFault, Size};
use serde_json::json;
use sqlx::raw_sql;

use super::*;
use crate::audit::AuditDraft;
use crate::audit::chain::{self, GENESIS_HASH};
use crate::clock::Source;
use crate::store::sql::checks::{TAMPERINGS, draft};
use crate::store::{AuditStore, CommandStore, NewSession, SatelliteStore, SessionStore, Store, conformance};

async fn open(dir: &tempfile::TempDir) -> SqlStore {
    super::open(&dir.path().join("hive.db")).await.unwrap()
}

/// A connection of somebody who does not go through the store.
async fn stranger(dir: &tempfile::TempDir) -> SqliteConnection {
    SqliteConnectOptions::new().filename(dir.path().join("hive.db")).create_if_missing(true).connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_keeps_every_promise() {
    let dir = tempfile::tempdir().unwrap();
    conformance::check_all(Arc::new(open(&dir).await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_keeps_every_promise() {
    conformance::check_all(Arc::new(in_memory().await.unwrap())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_stores_on_one_file_keep_every_promise() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other): (Arc<dyn Store>, Arc<dyn Store>) = (Arc::new(open(&dir).await), Arc::new(open(&dir).await));
    conformance::check_shared(Arc::clone(&one), Arc::clone(&other)).await;
    // Both in full use at once.
    tokio::join!(conformance::check_all(one), conformance::check_all(other));
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_that_set_up_one_new_file_at_once_wait_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let stores = futures_util::future::join_all((0..8).map(|_| open(&dir))).await;
    for store in &stores {
        store.audit_append(draft()).await.unwrap();
    }
    assert_eq!(stores[0].audit_verify().await.unwrap().records, 8);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_the_store_was_dropped() {
    let dir = tempfile::tempdir().unwrap();
    for round in 1..=5 {
        let store = open(&dir).await;
        store.audit_append(draft()).await.unwrap();
        // Some more, which nobody waits for.
        let unfinished = futures_util::future::join_all((0..10).map(|_| store.audit_append(draft())));
        tokio::time::timeout(Duration::from_micros(500), unfinished).await.ok();
        drop(store);
        let verification = open(&dir).await.audit_verify().await.unwrap();
        assert!(verification.valid && verification.records >= round, "{verification:?}");
    }
}

#[tokio::test]
async fn a_closed_store_has_done_its_work_and_takes_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let (appended, closed) = tokio::join!(store.audit_append(draft()), store.close());
    closed.unwrap();
    assert!(matches!(store.audit_append(draft()).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.audit_lines(1, 1).await, Err(StoreError::Unavailable(_))));
    let there = open(&dir).await.audit_verify().await.unwrap().records;
    assert_eq!(there, u64::from(appended.is_ok()));
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    open(&dir).await.close().await.unwrap();
    stranger(&dir).await.script("INSERT INTO schema_migrations (version) VALUES (999)").await.unwrap();
    let error = super::open(&dir.path().join("hive.db")).await.unwrap_err();
    assert!(matches!(&error, StoreError::Damaged(text) if text.contains("newer")), "{error}");
}

/// What a program of the first version left behind: a satellite with a command that waits.
const FIRST_VERSION: &str = concat!(
    "CREATE TABLE schema_migrations (version INTEGER NOT NULL PRIMARY KEY); INSERT INTO schema_migrations VALUES (1);",
    include_str!("../../../migrations/sqlite/0001_foundation.sql"),
    "INSERT INTO satellites (id, name, satellite_type, status, capabilities, tags, key_generation, hostname, system_info,
         created_by, created_at, updated_at)
     VALUES ('sat_00000000000000000000000001', 'web-server-01', 'global', 'active', '[]', '[]', 1, 'host-1', '{}', 'anna', 7, 7);
     INSERT INTO satellite_commands (id, satellite_id, command_type, payload, summary, idempotent, timeout_seconds, actor,
         created_by, status, truncated, created_at, expires_at, updated_at)
     VALUES ('cmd_00000000000000000000000002', 'sat_00000000000000000000000001', 'exec', '{}', 'true', FALSE, 60,
         '{\"type\":\"user\",\"id\":\"anna\",\"name\":\"anna\"}', 'anna', 'queued', FALSE, 7, 8, 7);",
);

#[tokio::test]
async fn a_database_of_the_first_version_grows_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = stranger(&dir).await;
    raw_sql(FIRST_VERSION).execute(&mut first).await.unwrap();
    let (entry, record) = chain::seal(draft(), 1, GENESIS_HASH);
    Connection::execute(&mut first, sql::audit_insert(&entry, record)).await.unwrap();
    sqlx::Connection::close(first).await.unwrap();

    for sessions in 1..=2 {
        let store = open(&dir).await;
        let satellite = store.satellite_find(&"web-server-01".to_owned().try_into().unwrap()).await.unwrap().unwrap();
        assert_eq!(store.command_list_open(satellite.id).await.unwrap().len(), 1);
        let session = NewSession {
            id: SessionId::new(Source::default().seed()),
            satellite_id: satellite.id,
            team_id: None,
            size: Size::default(),
            shell: None,
            actor: draft().actor,
            created_at: satellite.created_at,
        };
        assert!(store.session_insert(session, 2, draft()).await.unwrap());
        assert_eq!(store.session_list_open(None).await.unwrap().len(), sessions);
        let verification = store.audit_verify().await.unwrap();
        assert!(verification.valid && verification.records == 1 + sessions as u64, "{verification:?}");
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_damaged_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let text = "no database ".repeat(1_000);
    std::fs::write(dir.path().join("hive.db"), &text).unwrap();
    let error = super::open(&dir.path().join("hive.db")).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error:?}");
    assert_eq!(std::fs::read_to_string(dir.path().join("hive.db")).unwrap(), text);
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    store.audit_append(draft()).await.unwrap();
    let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().metadata().unwrap()).collect();
    assert!(files.len() > 1 && files.iter().all(|file| file.permissions().mode() & 0o777 == 0o600));
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_unavailable() {
    let dir = tempfile::tempdir().unwrap();
    let error = super::open(&dir.path().join("missing/hive.db")).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
}

/// A full disk: nothing is acknowledged, nothing is half done, and with space again it goes on.
#[tokio::test]
async fn a_full_disk_fails_every_job_and_breaks_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    store.audit_append(draft()).await.unwrap();
    store.run("PRAGMA max_page_count = 1").await;
    let big = || AuditDraft { details: json!({ "text": "x".repeat(1 << 20) }), ..draft() };
    for result in futures_util::future::join_all((0..20).map(|_| store.audit_append(big()))).await {
        assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    }
    store.run("PRAGMA max_page_count = 1000000").await;
    assert_eq!(store.audit_append(big()).await.unwrap().seq, 2);
    assert!(store.audit_verify().await.unwrap().valid);
}

/// Runs a statement behind the store's back on a chain of five, and returns the faults that are found.
async fn faults_after(tampering: &'static str) -> Vec<ChainFault> {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    for _ in 0..5 {
        store.audit_append(draft()).await.unwrap();
    }
    stranger(&dir).await.script(tampering).await.unwrap();
    store.audit_verify().await.unwrap().faults
}

#[tokio::test]
async fn tampering_with_the_table_is_found_and_named() {
    let no_text = ("UPDATE audit_log SET record = x'ff' WHERE seq = 3", ChainFault::Unreadable { line: 3 });
    for (tampering, fault) in TAMPERINGS.into_iter().chain([no_text]) {
        assert_eq!(faults_after(tampering).await, [fault], "{tampering}");
    }
}
