//! What happens to `telemetry.db`, and what does not happen to `hive.db`.

use std::path::Path;

use hive_testkit::{Engine, until};
use serde_json::json;

use crate::telemetry::{NAME, expect_work, file_of, hive_on, last_seen, until_stored};

/// What the server warns of, and how the files of a data directory get there.
type Damage = (&'static str, fn(&Path));

#[tokio::test]
async fn a_heartbeat_is_not_written_to_the_database_of_the_hive() {
    let hive = hive_on(Engine::Sqlite).await;
    let satellite = hive.satellite(NAME).await;
    let log = || std::fs::read(hive.data_dir().join("hive.db-wal")).unwrap();
    // What comes with the link is written within a few seconds.
    until("nothing else is written", async || {
        let before = log();
        until_stored(&hive).await;
        log() == before
    })
    .await;
    let (before, seen) = (log(), last_seen(&hive, &satellite).await);
    until_stored(&hive).await;
    until("its heartbeats go on", async || last_seen(&hive, &satellite).await != seen).await;
    assert!(log() == before, "the log of hive.db has changed");
}

#[tokio::test]
async fn a_hive_that_has_lost_its_telemetry_starts_and_works() {
    let mut hive = hive_on(Engine::Sqlite).await;
    let satellite = hive.satellite(NAME).await;
    until_stored(&hive).await;
    let damages: [Damage; 3] = [
        ("the telemetry database is missing", |dir| {
            for name in ["telemetry.db", "telemetry.db-wal", "telemetry.db-shm"] {
                std::fs::remove_file(dir.join(name)).unwrap();
            }
        }),
        ("the telemetry database is set aside", |dir| {
            // The log would replace what is damaged.
            std::fs::remove_file(dir.join("telemetry.db-wal")).unwrap();
            std::fs::write(dir.join("telemetry.db"), "no database").unwrap();
        }),
        ("the telemetry database is set aside", |dir| {
            let path = dir.join("telemetry.db-wal");
            let mut log = std::fs::read(&path).unwrap();
            let first = &mut log[32..200];
            first.fill(0x5a);
            std::fs::write(&path, log).unwrap();
        }),
    ];
    for (warning, damage) in damages {
        hive.kill_server();
        damage(&hive.data_dir());
        let is_damaged = file_of(&hive).exists();
        // A check finds it, and leaves it to the server.
        let checked = hive.server_command(&["check"]).await;
        assert_eq!(checked["telemetry"]["faults"] != json!([]), is_damaged, "{checked}");
        assert_eq!(checked["sound"], true);
        let logged = hive.server().log().matches(warning).count();
        hive.restart_server().await;
        assert_eq!(hive.server().log().matches(warning).count(), logged + 1, "{}", hive.server().log());
        hive.until_online(&satellite, true).await;
        expect_work(&hive, &satellite).await;
        until_stored(&hive).await;
        assert!(last_seen(&hive, &satellite).await.is_string());
        assert_eq!(hive.server_command(&["check"]).await["telemetry"]["faults"], json!([]));
    }
    hive.cli(["audit", "verify"]).await.expect_success();
}
