//! What a server deletes by itself, and what it does on a disk that fills up.

use hive_testkit::{Engine, ServerOptions, SmallDisk, TestHive, until, until_some};
use serde_json::json;

use crate::support::text;

/// Rows of each kind. The benchmark `retention` has a hundred thousand.
const ROWS: u32 = 10_000;

#[tokio::test]
async fn a_night_of_housekeeping_deletes_a_year_and_the_audit_log_verifies() {
    let mut hive = TestHive::start_on_sqlite().await;
    let year = hive.fill_with_a_year(ROWS).await;
    let file = hive.data_dir().join("hive.db");
    let size = || std::fs::metadata(&file).unwrap().len();
    let before = size();
    let satellite = text(&year["satellite"]).to_owned();
    hive.restart_server_with(&["--prune-interval", "0.5", "--prune-pause", "0.001"]).await;
    let tables = ["audit_log", "satellite_commands", "command_output", "jobs", "job_targets", "sessions", "satellites"];
    // 90 days of 363, and 7 for output and removed satellites, with room for what the test adds.
    let share = |table: &str, days: u64| year["rows"][table].as_u64().unwrap() * days / 363 + 50;
    let limits = [90, 90, 7, 90, 90, 90, 7].map(|days| days - 1);
    until("the night is over", async || {
        let rows = hive.count_rows(&tables).await;
        tables.iter().zip(limits).all(|(table, days)| rows[table].as_u64().unwrap() <= share(table, days))
    })
    .await;
    let rows = hive.count_rows(&tables).await;
    for (table, days) in tables.iter().zip([80, 80, 4, 80, 80, 80]) {
        assert!(rows[table].as_u64().unwrap() >= share(table, days) - 50, "too much was deleted of {table}: {rows}");
    }
    let audit_log = hive.rest().get("/api/v1/audit/verify").await.data();
    assert_eq!(audit_log["valid"], true, "{audit_log}");
    for path in [
        format!("/api/v1/commands/{}", text(&year["open_command"])),
        format!("/api/v1/sessions/{}", text(&year["open_session"])),
        format!("/api/v1/satellites/{satellite}"),
    ] {
        assert_eq!(hive.rest().get(&path).await.status, 200, "{path} is still there");
    }
    // Offline, from the checkpoint on.
    let export = hive.dir().join("audit.jsonl");
    let path = export.to_str().unwrap();
    hive.cli(["audit", "export", "--output", path]).await.expect_success();
    let key = std::fs::read_to_string(hive.data_dir().join("keys/audit.pub")).unwrap();
    hive.cli(["audit", "verify", path, "--public-key", key.trim()]).await.expect_success();
    let lines = std::fs::read_to_string(&export).unwrap();
    let (first, rest) = lines.split_once('\n').unwrap();
    assert!(!first.starts_with("{\"seq\":1,"), "{first}");
    std::fs::write(&export, rest).unwrap();
    let refused = hive.cli(["audit", "verify", path, "--public-key", key.trim()]).await;
    assert!(refused.code != Some(0), "a record more than the checkpoint covers: {}", refused.stdout);

    // A hive that is restored from a backup goes on.
    let backup = hive.dir().join("hive.backup");
    hive.server_command(&["backup", "--output", backup.to_str().unwrap()]).await;
    // The last connection writes everything from the log to the file.
    hive.server().stop().await;
    assert!(size() < before * 2 / 3, "{} of {before} bytes", size());
    hive.restore_server(&backup, None).await;
    let audit_log = hive.rest().get("/api/v1/audit/verify").await.data();
    assert_eq!(audit_log["valid"], true, "{audit_log}");
}

#[tokio::test]
async fn a_server_on_a_nearly_full_disk_takes_no_new_commands_and_finishes_the_others() {
    let disk = SmallDisk::new(64);
    let (data_dir, engine) = (Some(disk.path().join("server")), Some(Engine::Sqlite));
    let hive = TestHive::start_with(ServerOptions { data_dir, engine, ..ServerOptions::default() }).await;
    let satellite = hive.satellite("web-server-01").await;
    // Outside of the small disk.
    let gate = hive.dir().join("gate");
    let line = format!("until test -e {}; do sleep 0.01; done; echo done", gate.display());
    let running = hive.submit(&satellite, &json!({"command": line})).await;
    hive.until_status(&running, "started").await;
    let ready = async || hive.anonymous().get("/health/ready").await;
    assert_eq!(ready().await.json(), json!({"status": "ok"}));
    // Between 2 % and 10 %, and then below 2 %: 1.28 MiB.
    disk.fill_to(4 * 1024 * 1024);
    until("it is low", async || ready().await.json() == json!({"status": "ok", "disk": "low"})).await;
    assert_eq!(hive.exec(&satellite, "echo low").await["stdout"], "low\n");
    disk.fill_to(900 * 1024);
    until("it is critical", async || ready().await.json() == json!({"status": "ok", "disk": "critical"})).await;
    let refused = hive.rest().post(&satellite.path("/exec?wait=false"), &json!({"command": "true"})).await;
    assert_eq!(refused.refusal(), (503, "UNAVAILABLE".into()));
    let refused = refused.json();
    assert!(
        text(&refused["error"]["message"]).starts_with("the disk of the hive's database is nearly full"),
        "{refused}"
    );
    let job = json!({"targets": ["all"], "command": "true"});
    assert_eq!(hive.rest().post("/api/v1/jobs", &job).await.status, 503);
    std::fs::write(gate, "").unwrap();
    assert_eq!(hive.until_status(&running, "succeeded").await["stdout"], "done\n");
    let body = json!({"satellite_id": satellite.id(), "cols": 80, "rows": 24});
    let session = hive.rest().post("/api/v1/sessions", &body).await.data();
    let path = format!("/api/v1/sessions/{}", text(&session["id"]));
    assert!(hive.rest().delete(&path).await.is_success());

    disk.free();
    let answer = until_some("commands are taken again", async || {
        let answer = hive.rest().post(&satellite.path("/exec"), &json!({"command": "echo again"})).await;
        Some(answer).filter(|answer| answer.status == 200)
    });
    assert_eq!(answer.await.data()["stdout"], "again\n");
}
