//! A hive goes into one file, and comes back from it somewhere else: nobody who uses it has to be told.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use hive_testkit::{Engine, PostgresDatabase, TestHive, TestSatellite};
use serde_json::{Value, json};

use crate::support::text;

/// Backs the hive up beside its running server.
async fn back_up(hive: &TestHive, name: &str) -> PathBuf {
    let file = hive.dir().join(name);
    let said = hive.server_command(&["backup", "--output", file.to_str().unwrap()]).await;
    assert!(said["rows"].as_u64() > Some(5) && text(&said["sha256"]).len() == 64, "{said}");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "it holds all secrets");
    let again = hive.try_server_command(&["backup", "--output", file.to_str().unwrap()]).await;
    assert_eq!(again.code, Some(1), "a backup replaces no file");
    file
}

/// The hive is what it was, and its satellite has come back by itself.
async fn expect_the_same(hive: &TestHive, satellite: &TestSatellite, before: &Value) {
    hive.until_online(satellite, true).await;
    assert_eq!(&hive.command(text(&before["id"])).await, before);
    assert_eq!(hive.exec(satellite, "echo back").await["stdout"], "back\n");
    hive.cli(["audit", "verify"]).await.expect_success();
}

#[tokio::test]
async fn a_backup_that_goes_to_standard_output_is_restored_from_there() {
    let mut hive = TestHive::start().await;
    let satellite = hive.satellite("web-server-01").await;
    // 169 KB of output: more than one chunk of the store.
    let id = hive.submit(&satellite, &json!({"command": "seq 1 30000"})).await;
    let before = hive.until_status(&id, "succeeded").await;

    let written = hive.try_server_command(&["backup", "--output", "-"]).await.expect_success();
    assert!(!hive.dir().join("-").exists() && written.stderr.is_empty(), "{}", written.stderr);
    let file = hive.dir().join("piped.backup");
    std::fs::write(&file, written.stdout).unwrap();
    hive.kill_server();
    // At the same address: the satellite has to find it without any change of its own.
    hive.restore_server(&file, None).await;
    expect_the_same(&hive, &satellite, &before).await;
}

#[tokio::test]
async fn satellites_find_a_restored_hive_by_themselves() {
    let mut hive = TestHive::start().await;
    let satellite = hive.satellite("web-server-01").await;
    let id = hive.submit(&satellite, &json!({"command": "seq 1 30000"})).await;
    let before = hive.until_status(&id, "succeeded").await;

    let file = back_up(&hive, "first.backup").await;
    hive.kill_server();
    hive.restore_server(&file, None).await;
    expect_the_same(&hive, &satellite, &before).await;
    // The hive that was restored is in use: a second restore would overwrite it.
    let again = hive.try_server_command(&["restore", "--from", file.to_str().unwrap()]).await;
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("a backup is restored into an empty hive only"), "{}", again.stderr);

    if Engine::of_this_run() == Engine::Postgres {
        // What was in PostgreSQL is in SQLite now, and goes back.
        let (file, database) = (back_up(&hive, "second.backup").await, PostgresDatabase::create().await);
        hive.kill_server();
        hive.restore_server(&file, Some(database.url())).await;
        expect_the_same(&hive, &satellite, &before).await;
        hive.kill_server();
    }
}
