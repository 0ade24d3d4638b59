//! Disks that do not answer: what waits for them cannot be killed, and nothing else waits.

use hive_testkit::{HangingDisk, Rest, SatelliteOptions, TestHive, until};
use serde_json::json;

use crate::support::text;

#[tokio::test]
async fn a_command_that_cannot_be_killed_ends_and_says_what_still_runs() {
    let mut disk = HangingDisk::new();
    let hive = TestHive::start().await;
    let mut options = SatelliteOptions::default();
    options.args(["--max-running", "1"]);
    let mut satellite = hive.satellite_with("web-server-01", options).await;
    let pages = Rest::new(text(&satellite.process().event("online").await["local_api"]));
    disk.hang();
    let line = format!("echo $$ > pid; echo x > {}/file", disk.path().display());
    let cwd = hive.dir().to_str().unwrap();
    let id = hive.submit(&satellite, &json!({"command": line, "cwd": cwd, "timeout_seconds": 1})).await;
    let command = hive.until_status(&id, "timed_out").await;
    let pid = std::fs::read_to_string(hive.dir().join("pid")).unwrap().trim().to_owned();
    let message = text(&command["error"]["message"]);
    assert_eq!(message, format!("1 process cannot be killed and still runs: {pid} (sh)"));
    assert!(std::path::Path::new("/proc").join(&pid).exists());

    // The one place for commands is free again, and the satellite reports its problem while it lasts.
    assert_eq!(hive.exec(&satellite, "echo next").await["stdout"], "next\n");
    let health = pages.get("/health").await.json();
    assert_eq!(health["status"], "degraded", "{health}");
    assert!(health["problems"].to_string().contains(&format!("{pid} (sh)")), "{health}");
    disk.end();
    until("it ends, and is reaped", async || !std::path::Path::new("/proc").join(&pid).exists()).await;
    assert_eq!(pages.get("/health").await.json()["status"], "ok");
}

#[tokio::test]
async fn a_terminal_answers_while_the_disk_of_its_satellite_hangs() {
    let mut disk = HangingDisk::new();
    let hive = TestHive::start().await;
    let data_dir = Some(disk.path().join("satellite"));
    let options = SatelliteOptions { data_dir, ..SatelliteOptions::default() };
    let satellite = hive.satellite_with("web-server-01", options).await;
    let body = json!({"satellite_id": satellite.id(), "cols": 80, "rows": 24});
    let session = text(&hive.rest().post("/api/v1/sessions", &body).await.data()["id"]).to_owned();
    let (gate, end) = (hive.dir().join("gate"), hive.dir().join("end"));
    let line = format!("until test -e {}; do sleep 0.01; done; echo late; : > {}", gate.display(), end.display());
    let id = hive.submit(&satellite, &json!({"command": line})).await;
    hive.until_status(&id, "started").await;

    disk.hang();
    std::fs::write(gate, "").unwrap();
    until("the command has written", async || end.exists()).await;
    for attempt in 0..5 {
        let sign = hive.dir().join(format!("sign-{attempt}"));
        let typed = data_encoding::BASE64.encode(format!(": > {}\n", sign.display()).as_bytes());
        let answer = hive.rest().post(&format!("/api/v1/sessions/{session}/input"), &json!({"data": typed})).await;
        assert!(answer.is_success(), "{}", answer.text());
        until("the shell has read it", async || sign.exists()).await;
    }
    assert_eq!(hive.command(&id).await["status"], "started", "its output is not on the disk yet");
    disk.end();
    assert_eq!(hive.until_status(&id, "succeeded").await["stdout"], "late\n");
}
