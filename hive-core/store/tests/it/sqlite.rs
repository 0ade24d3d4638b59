use std::path::PathBuf;
use std::sync::Arc;

use hive_store::{Store, sqlite};
use hive_store_conformance::{check_all, check_shared};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Executor};

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
    let mut connection = SqliteConnectOptions::new().filename(file(&dir)).connect().await.unwrap();
    authority::check(async |statement| Ok(connection.execute(statement).await?.rows_affected())).await;
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
