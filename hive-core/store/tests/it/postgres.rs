//! These need a PostgreSQL, which `cargo xtask test` starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hive_store::{Store, TelemetryStore, postgres};
use hive_store_conformance::{check_all, check_shared, check_shared_telemetry, check_telemetry};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgConnection};

use crate::authority;

/// The address of a database on the server for tests.
fn url(name: &str) -> String {
    let url =
        std::env::var("HIVE_TEST_POSTGRES").expect("HIVE_TEST_POSTGRES says where PostgreSQL is: cargo xtask test");
    let (server, _) = url.rsplit_once('/').expect("it ends with a database's name");
    format!("{server}/{name}")
}

async fn connect(database: &str) -> PgConnection {
    url(database).parse::<PgConnectOptions>().unwrap().connect().await.unwrap()
}

/// Creates a database for one test. It is deleted with the server.
async fn database() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("conformance_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
    connect("postgres").await.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    name
}

async fn open(database: &str) -> Arc<dyn Store> {
    Arc::new(postgres::open(&url(database).parse().unwrap()).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_database_keeps_every_promise() {
    let name = database().await;
    check_all(open(&name).await).await;
    let mut connection = connect(&name).await;
    authority::check(async |statement| Ok(connection.execute(AssertSqlSafe(statement)).await?.rows_affected())).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn two_stores_on_one_database_keep_every_promise() {
    let name = database().await;
    let (one, other) = (open(&name).await, open(&name).await);
    check_shared(Arc::clone(&one), Arc::clone(&other)).await;
    // Both in full use at once.
    tokio::join!(check_all(one), check_all(other));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn telemetry_keeps_every_promise() {
    let address = url(&database().await).parse().unwrap();
    let open = async || Arc::new(postgres::telemetry::open(&address).await.unwrap());
    let (one, other): (Arc<dyn TelemetryStore>, Arc<dyn TelemetryStore>) = (open().await, open().await);
    check_telemetry(one.clone()).await;
    check_shared_telemetry(one, other).await;
}
