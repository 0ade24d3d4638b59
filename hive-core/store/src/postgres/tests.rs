//! Most tests need a PostgreSQL, which `cargo xtask test` starts.

use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Executor};
use tokio::net::TcpListener;

use super::*;
use crate::audit::{AuditAction, AuditDraft};
use crate::fixture::draft;
use crate::sql::checks::{TAMPERINGS, a_request_that_fails_fails_alone};
use crate::{AuditStore, RowRange, SatelliteQuery, SatelliteStore};

/// Returns the address of a database on the server for tests.
fn url(name: &str) -> String {
    let url =
        std::env::var("HIVE_TEST_POSTGRES").expect("HIVE_TEST_POSTGRES says where PostgreSQL is: cargo xtask test");
    let (server, _) = url.rsplit_once('/').expect("it ends with a database's name");
    format!("{server}/{name}")
}

/// Runs a statement on a connection that is not the store's.
async fn run(database: &str, statement: impl Into<String>) {
    let address: PostgresAddress = url(database).parse().unwrap();
    let mut connection = address.options().connect().await.unwrap();
    connection.execute(AssertSqlSafe(statement.into())).await.unwrap();
}

/// Creates a database for one test. It is deleted with the server.
async fn database() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("store_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
    run("postgres", format!("CREATE DATABASE {name}")).await;
    name
}

async fn open(database: &str) -> SqlStore {
    super::open(&url(database).parse().unwrap()).await.unwrap()
}

#[tokio::test]
async fn an_unreachable_database_is_named_without_the_password() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let address = format!("postgres://anna:s3cret@{free}/hive").parse().unwrap();
    let error = super::open(&address).await.unwrap_err();
    let StoreError::Unavailable(cause) = error else { panic!("{error:?}") };
    assert_eq!(cause.to_string(), format!("cannot connect to the database hive of anna on {free}"));
    assert!(!format!("{cause:?}").contains("s3cret"), "{cause:?}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("postgres://anna@{}/hive", silent.local_addr().unwrap()).parse().unwrap();
    assert!(matches!(super::open(&address).await, Err(StoreError::Unavailable(_))));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn stores_that_set_up_one_new_database_at_once_wait_for_each_other() {
    let name = database().await;
    let stores = join_all((0..8).map(|_| open(&name))).await;
    for store in &stores {
        store.audit_append(draft()).await.unwrap();
    }
    assert_eq!(stores[0].audit_verify(None).await.unwrap().records, 8);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_database_of_a_newer_program_is_left_alone() {
    let name = database().await;
    open(&name).await.close().await.unwrap();
    run(&name, "INSERT INTO schema_migrations (version) VALUES (999)").await;
    let error = super::open(&url(&name).parse().unwrap()).await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt(text) if text.contains("newer")), "{error}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_database_that_cannot_keep_all_text_is_refused() {
    let name = database().await;
    run("postgres", format!("DROP DATABASE {name}")).await;
    run("postgres", format!("CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")).await;
    let error = super::open(&url(&name).parse().unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("UTF8"), "{error}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn connections_that_were_cut_while_idle_are_replaced() {
    let name = database().await;
    let store = open(&name).await;
    let everything = SatelliteQuery::visible_to(crate::access::VisibleScope::ALL);
    for seq in 1..=3 {
        assert_eq!(store.audit_append(draft()).await.unwrap().seq, seq);
        join_all((0..8).map(|_| store.satellite_list(&everything, RowRange::ALL)))
            .await
            .into_iter()
            .for_each(|list| assert_eq!(list.unwrap().1, 0));
        let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        run("postgres", cut).await;
    }
    assert!(store.audit_verify(None).await.unwrap().valid);
}

/// Cuts the connection that commits a record of this action.
const CUT_AT_COMMIT: &str = "
    CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON audit_log DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.action = 'audit.export') EXECUTE FUNCTION cut();";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_connection_lost_at_the_commit_is_never_a_success() {
    let name = database().await;
    let store = open(&name).await;
    store.audit_append(draft()).await.unwrap();
    run(&name, CUT_AT_COMMIT).await;
    let cut = || AuditDraft { action: AuditAction::AuditExport, ..draft() };
    assert!(matches!(store.audit_append(cut()).await, Err(StoreError::Unavailable(_))));
    // The other writes of the same transaction fail too.
    let results = join_all((0..20).map(|n| store.audit_append(if n == 7 { cut() } else { draft() }))).await;
    let acknowledged = results.iter().filter(|result| result.is_ok()).count() as u64;
    let verification = store.audit_verify(None).await.unwrap();
    assert!(verification.valid && verification.records == 1 + acknowledged, "{acknowledged} {verification:?}");
    assert!(acknowledged < 20);
    assert_eq!(store.audit_append(draft()).await.unwrap().seq, 2 + acknowledged);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_writer_that_disappears_does_not_block_the_others() {
    let name = database().await;
    let store = open(&name).await;
    // A process that takes the lock and then does nothing.
    let connector = PostgresConnector::of_hive(&url(&name).parse().unwrap(), STATEMENT_TIMEOUT);
    let mut other = connector.connect().await.unwrap();
    other.script(DIALECT.begin).await.unwrap();
    assert!(matches!(store.audit_append(draft()).await, Err(StoreError::Unavailable(_))), "not while the lock is held");
    while store.audit_append(draft()).await.is_err() {}
    assert!(store.audit_verify(None).await.unwrap().valid);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn tampering_with_the_table_is_found_and_named() {
    for (tampering, fault) in TAMPERINGS {
        let name = database().await;
        let store = open(&name).await;
        for _ in 0..5 {
            store.audit_append(draft()).await.unwrap();
        }
        run(&name, tampering).await;
        assert_eq!(store.audit_verify(None).await.unwrap().faults, [fault], "{tampering}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_request_that_fails_leaves_the_others_of_its_batch() {
    a_request_that_fails_fails_alone(&open(&database().await).await).await;
}
