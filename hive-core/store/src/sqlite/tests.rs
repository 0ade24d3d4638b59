use hive_wire::api::ChainFault;
use serde_json::json;

use super::*;
use crate::AuditStore;
use crate::audit::AuditDraft;
use crate::fixture::draft;
use crate::sql::Statement;
use crate::sql::checks::{TAMPERINGS, a_request_that_fails_fails_alone, check_plans};

async fn open(dir: &tempfile::TempDir) -> SqlStore {
    super::open(&dir.path().join("hive.db")).await.unwrap()
}

/// Opens a connection that is not the store's.
async fn connect_directly(dir: &tempfile::TempDir) -> ThreadConnection {
    let path = dir.path().join("hive.db");
    create_private(&path).unwrap();
    connect(options().file(path), &DIALECT).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_that_set_up_one_new_file_at_once_wait_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let stores = futures_util::future::join_all((0..8).map(|_| open(&dir))).await;
    for store in &stores {
        store.audit_append(draft()).await.unwrap();
    }
    assert_eq!(stores[0].audit_verify(None).await.unwrap().records, 8);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_the_store_was_dropped() {
    let dir = tempfile::tempdir().unwrap();
    for round in 1..=5 {
        let store = open(&dir).await;
        store.audit_append(draft()).await.unwrap();
        // More writes, whose callers do not wait.
        let unfinished = futures_util::future::join_all((0..10).map(|_| store.audit_append(draft())));
        tokio::time::timeout(Duration::from_micros(500), unfinished).await.ok();
        drop(store);
        let verification = open(&dir).await.audit_verify(None).await.unwrap();
        assert!(verification.valid && verification.records >= round, "{verification:?}");
    }
}

#[tokio::test]
async fn a_closed_store_has_finished_its_writes_and_takes_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let (appended, closed) = tokio::join!(store.audit_append(draft()), store.close());
    closed.unwrap();
    assert!(matches!(store.audit_append(draft()).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.audit_records(1, 1).await, Err(StoreError::Unavailable(_))));
    let there = open(&dir).await.audit_verify(None).await.unwrap().records;
    assert_eq!(there, u64::from(appended.is_ok()));
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    open(&dir).await.close().await.unwrap();
    connect_directly(&dir).await.script("INSERT INTO schema_migrations (version) VALUES (999)").await.unwrap();
    let error = super::open(&dir.path().join("hive.db")).await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt(text) if text.contains("newer")), "{error}");
}

#[tokio::test]
async fn a_database_of_before_the_first_release_is_refused_in_one_line_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut before = connect_directly(&dir).await;
    let tables = "CREATE TABLE schema_migrations (version INTEGER NOT NULL PRIMARY KEY); INSERT INTO schema_migrations \
         VALUES (1), (2), (3), (4); CREATE TABLE teams (id TEXT NOT NULL PRIMARY KEY)";
    before.script(tables).await.unwrap();
    Connection::close(Box::new(before)).await.unwrap();
    let error = super::open(&dir.path().join("hive.db")).await.unwrap_err();
    assert!(matches!(error, StoreError::Unsupported), "{error:?}");
    assert_eq!(error.to_string().lines().count(), 1);
    let tables =
        Connection::fetch_all(&mut connect_directly(&dir).await, Statement::new(DIALECT.table_names)).await.unwrap();
    assert_eq!(tables.len(), 2);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_corrupt_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let text = "no database ".repeat(1_000);
    std::fs::write(dir.path().join("hive.db"), &text).unwrap();
    let error = super::open(&dir.path().join("hive.db")).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
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
async fn a_path_that_cannot_be_written_is_unavailable() {
    let dir = tempfile::tempdir().unwrap();
    let error = super::open(&dir.path().join("missing/hive.db")).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
}

/// With a full disk, nothing is acknowledged and nothing is half done. With space again, writes succeed.
#[tokio::test]
async fn a_full_disk_fails_every_write_and_corrupts_nothing() {
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
    assert!(store.audit_verify(None).await.unwrap().valid);
}

/// Runs a statement on a chain of five records, and returns the faults that the verification finds.
async fn faults_after(tampering: &'static str) -> Vec<ChainFault> {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    for _ in 0..5 {
        store.audit_append(draft()).await.unwrap();
    }
    connect_directly(&dir).await.script(tampering).await.unwrap();
    store.audit_verify(None).await.unwrap().faults
}

#[tokio::test]
async fn tampering_with_the_table_is_found_and_named() {
    let no_text = ("UPDATE audit_log SET record = x'ff' WHERE seq = 3", ChainFault::Unreadable { line: 3 });
    for (tampering, fault) in TAMPERINGS.into_iter().chain([no_text]) {
        assert_eq!(faults_after(tampering).await, [fault], "{tampering}");
    }
}

#[tokio::test]
async fn a_request_that_fails_leaves_the_others_of_its_batch() {
    let dir = tempfile::tempdir().unwrap();
    a_request_that_fails_fails_alone(&open(&dir).await).await;
}

#[tokio::test]
async fn no_statement_reads_a_table_that_grows_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    check_plans(&open(&dir).await).await;
}
