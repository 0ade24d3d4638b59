//! Telemetry has a database of its own, and commands, terminals and the hive itself go on without it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hive_testkit::{Engine, Finished, ServerOptions, TestHive, TestSatellite, until};
use serde_json::{Value, json};

use crate::support::text;

pub(crate) const NAME: &str = "web-server-01";

/// A hive whose satellites send a heartbeat each second.
pub(crate) async fn hive_on(engine: Engine) -> TestHive {
    let args = ["--heartbeat-interval", "1"].map(String::from).to_vec();
    TestHive::start_with(ServerOptions { args, engine: Some(engine), ..ServerOptions::default() }).await
}

pub(crate) fn file_of(hive: &TestHive) -> PathBuf {
    hive.data_dir().join("telemetry.db")
}

pub(crate) async fn last_seen(hive: &TestHive, satellite: &TestSatellite) -> Value {
    let one = hive.rest().get(&satellite.path("")).await.data()["last_seen"].clone();
    let listed = hive.rest().get("/api/v1/satellites").await.data();
    let listed = listed.as_array().unwrap().iter().find(|listed| listed["id"] == satellite.id()).unwrap();
    assert_eq!(listed["last_seen"].is_null(), one.is_null(), "{listed}");
    one
}

/// How many heartbeats with metrics are stored.
async fn stored(hive: &TestHive) -> u64 {
    const COUNT: &str = "SELECT seq FROM satellite_heartbeats";
    if let Some(database) = hive.database() {
        return database.execute(COUNT).await;
    }
    let script = "import sqlite3, sys; print(len(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchall()))";
    let mut command = tokio::process::Command::new("python3");
    command.args(["-c", script]).arg(file_of(hive)).arg(COUNT);
    Finished::run(command).await.expect_success().stdout.trim().parse().unwrap()
}

/// Waits until heartbeats are stored that were not before.
pub(crate) async fn until_stored(hive: &TestHive) {
    let before = stored(hive).await;
    until("another heartbeat is stored", async || stored(hive).await > before).await;
}

/// A write transaction on an SQLite file in another process. It ends with its value.
struct FileLock(Child);

impl FileLock {
    async fn hold(file: &Path) -> Self {
        let script = "import sqlite3, sys\n\
                      database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)\n\
                      database.execute('BEGIN IMMEDIATE')\n\
                      print('held', flush=True)\n\
                      sys.stdin.read()\n";
        let mut command = Command::new("python3");
        command.args(["-c", script]).arg(file).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut held = [0; 5];
        let mut output = child.stdout.take().unwrap();
        tokio::task::spawn_blocking(move || {
            std::io::Read::read_exact(&mut output, &mut held).unwrap();
            assert_eq!(&held, b"held\n");
        })
        .await
        .unwrap();
        Self(child)
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        self.0.stdin.take().unwrap().flush().ok();
        self.0.wait().ok();
    }
}

/// Commands run and a terminal echoes.
pub(crate) async fn expect_work(hive: &TestHive, satellite: &TestSatellite) {
    for number in 0..20 {
        assert_eq!(hive.exec(satellite, &format!("echo {number}")).await["stdout"], format!("{number}\n"));
    }
    let mut console = hive.console(["shell", satellite.name(), "--shell", "/bin/sh"]);
    for number in 1..=20 {
        console.type_keys(format!("echo $((1000 * {number} + 7))\r")).await;
        console.until_text(&format!("{number}007")).await;
    }
    console.type_keys("exit\r").await;
    assert_eq!(console.exit_code().await, 0);
}

/// The server has tried to store telemetry, and could not.
async fn until_refused(hive: &mut TestHive) {
    until("a write of telemetry has failed", async || {
        hive.server().log().lines().any(|line| line.contains("housekeeping failed") && line.contains("telemetry"))
    })
    .await;
}

#[tokio::test]
async fn a_locked_telemetry_database_holds_up_neither_commands_nor_terminals() {
    let mut hive = hive_on(Engine::of_this_run()).await;
    let first = hive.satellite("web-server-00").await;
    until_stored(&hive).await;
    let (file_lock, table_lock) = match hive.database() {
        None => (Some(FileLock::hold(&file_of(&hive)).await), None),
        Some(database) => {
            let lock = "LOCK TABLE satellite_presence, satellite_heartbeats IN ACCESS EXCLUSIVE MODE";
            (None, Some(database.hold(lock).await))
        }
    };
    // Also a satellite that connects meanwhile.
    let second = hive.satellite(NAME).await;
    for satellite in [&first, &second] {
        expect_work(&hive, satellite).await;
        assert!(last_seen(&hive, satellite).await.is_string());
    }
    until_refused(&mut hive).await;
    expect_work(&hive, &second).await;
    drop((file_lock, table_lock));
    until_stored(&hive).await;
    hive.cli(["audit", "verify"]).await.expect_success();
}

#[tokio::test]
async fn a_satellite_was_last_seen_when_it_was_also_after_a_restart() {
    let mut hive = hive_on(Engine::of_this_run()).await;
    let mut satellite = hive.satellite(NAME).await;
    satellite.process().kill();
    hive.until_online(&satellite, false).await;
    let before = last_seen(&hive, &satellite).await;
    assert!(before.is_string());
    hive.server().stop().await;
    hive.restart_server().await;
    assert_eq!(last_seen(&hive, &satellite).await, before);
    let (_other, rest) = hive.second_server().await;
    assert_eq!(rest.get(&satellite.path("")).await.data()["last_seen"], before);
}

#[tokio::test]
async fn a_backup_has_telemetry_if_it_is_asked_for() {
    let mut hive = hive_on(Engine::of_this_run()).await;
    let mut satellite = hive.satellite(NAME).await;
    until_stored(&hive).await;
    satellite.process().kill();
    hive.until_online(&satellite, false).await;
    hive.server().stop().await;
    hive.restart_server().await;
    let before = last_seen(&hive, &satellite).await;
    let [without, with] = ["without", "with"].map(|name| hive.dir().join(name));
    let said = hive.server_command(&["backup", "--output", without.to_str().unwrap()]).await;
    let more = hive.server_command(&["backup", "--with-telemetry", "--output", with.to_str().unwrap()]).await;
    assert!(more["rows"].as_u64() > said["rows"].as_u64(), "{said} {more}");
    assert_eq!(text(&more["sha256"]).len(), 64);
    for (backup, expected) in [(&without, &json!(null)), (&with, &before)] {
        hive.server().stop().await;
        hive.restore_server(backup, None).await;
        assert_eq!(&last_seen(&hive, &satellite).await, expected);
    }
    satellite.start_again();
    hive.until_online(&satellite, true).await;
    expect_work(&hive, &satellite).await;
}
