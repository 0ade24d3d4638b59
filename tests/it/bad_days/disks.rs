//! Disks that are full, and disks that do not keep what they are given.

use std::collections::BTreeSet;

use hive_core::wire::agent::MAX_OUTPUT;
use hive_testkit::{
    Engine, FailingDisk, Rest, SatelliteOptions, ServerOptions, SmallDisk, TestHive, TestSatellite, until, until_some,
};
use serde_json::{Value, json};

use super::{Runs, command_id, expect_whole_trail, queue};
use crate::support::{sleeping, text, unique_seconds, until_sleeping};

const MIB: u64 = 1024 * 1024;

/// Gives commands until one is refused, and then some more; the ids of those that were not, by number, and the number of the
/// first that was refused.
async fn fill_up(hive: &TestHive, satellite: &TestSatellite, runs: &Runs) -> (Vec<(u32, String)>, u32) {
    let mut acknowledged = Vec::new();
    // On a full disk, small changes still fit into free pages of the database.
    for number in 0..2_000 {
        let answer = queue(hive, satellite, &runs.command(number)).await;
        if answer.status == 202 {
            acknowledged.push((number, command_id(&answer)));
            continue;
        }
        assert_eq!(answer.refusal(), (503, "UNAVAILABLE".into()));
        return (acknowledged, number);
    }
    panic!("the disk is never full");
}

/// Makes tokens until that is refused. Commands are refused while there is room for the results of others, tokens are not.
async fn use_up(hive: &TestHive) {
    for _ in 0..5_000 {
        let answer = hive.rest().post("/api/v1/registration-tokens", &json!({"scope": "global"})).await;
        if !answer.is_success() {
            assert_eq!(answer.refusal(), (503, "UNAVAILABLE".into()));
            return;
        }
    }
    panic!("the disk is never full");
}

#[tokio::test]
async fn a_server_whose_disk_is_full_acknowledges_nothing_and_answers_what_it_knows() {
    let disk = SmallDisk::new(24);
    let (data_dir, engine) = (Some(disk.path().join("server")), Some(Engine::Sqlite));
    let mut hive = TestHive::start_with(ServerOptions { data_dir, engine, ..ServerOptions::default() }).await;
    let pid = hive.server().pid();
    let mut satellite = hive.satellite("web-server-01").await;
    satellite.process().stop().await;
    hive.until_online(&satellite, false).await;
    let busy = hive.satellite("busy-server-01").await;
    // Outside of the small disk: the command itself must not fail for want of room.
    let (gate, end) = (hive.dir().join("gate"), hive.dir().join("end"));
    let line = format!("until test -e {}; do sleep 0.01; done; echo done; : > {}", gate.display(), end.display());
    let running = hive.submit(&busy, &json!({"command": line})).await;
    hive.until_status(&running, "started").await;
    let runs = Runs::of(&hive);
    disk.fill();
    let (mut acknowledged, refused) = fill_up(&hive, &satellite, &runs).await;
    use_up(&hive).await;
    assert_eq!(queue(&hive, &satellite, &runs.command(refused + 1)).await.refusal().1, "UNAVAILABLE");
    assert!(hive.server().log().contains("full"), "the log says why: {}", hive.server().tail());
    for path in [satellite.path(""), "/api/v1/satellites".into(), satellite.path("/commands"), "/api/v1/auth/me".into()]
    {
        assert_eq!(hive.rest().get(&path).await.status, 200, "{path} is read");
    }
    std::fs::write(gate, "").unwrap();
    until("it has run", async || end.exists()).await;
    // Its result cannot be stored, and is not acknowledged.
    assert_eq!(hive.command(&running).await["status"], "started");

    disk.free();
    assert_eq!(hive.until_status(&running, "succeeded").await["stdout"], "done\n");
    let answer = until_some("commands are taken again", async || {
        Some(queue(&hive, &satellite, &runs.command(refused + 2)).await).filter(|answer| answer.status == 202)
    });
    acknowledged.push((refused + 2, command_id(&answer.await)));
    satellite.restart().await;
    for (_, id) in &acknowledged {
        hive.until_status(id, "succeeded").await;
    }
    let expected: BTreeSet<u32> = acknowledged.iter().map(|(number, _)| *number).collect();
    assert_eq!(runs.numbers(), expected, "what was acknowledged has run, and nothing else");
    expect_whole_trail(&hive).await;
    assert_eq!(hive.server().pid(), pid);
}

#[tokio::test]
async fn a_server_names_its_full_disk_and_is_ready_again_when_there_is_room() {
    let disk = SmallDisk::new(24);
    let (data_dir, engine) = (Some(disk.path().join("server")), Some(Engine::Sqlite));
    let mut hive = TestHive::start_with(ServerOptions { data_dir, engine, ..ServerOptions::default() }).await;
    let pid = hive.server().pid();
    let satellite = hive.satellite("web-server-01").await;
    let ready = async || hive.anonymous().get("/health/ready").await;
    assert_eq!(ready().await.status, 200);
    disk.fill();
    let not_ready = until_some("it is not ready", async || Some(ready().await).filter(|answer| answer.status == 503));
    let not_ready = not_ready.await.json();
    assert_eq!(not_ready["status"], "unavailable");
    assert!(text(&not_ready["reason"]).starts_with("the disk of the hive's database is full"), "{not_ready}");
    let refused = until_some("a command is refused", async || {
        let answer = hive.rest().post(&satellite.path("/exec?wait=false"), &json!({"command": "true"})).await;
        Some(answer).filter(|answer| !answer.is_success())
    });
    let refused = refused.await.json();
    assert_eq!(refused["error"]["code"], "UNAVAILABLE", "{refused}");
    assert!(text(&refused["error"]["message"]).starts_with("the disk of the hive's database"), "{refused}");
    use_up(&hive).await;
    let told = hive.cli(["tokens", "create"]).await;
    assert!(told.stderr.contains("disk") && !told.stderr.contains("away"), "{}", told.stderr);

    disk.free();
    until("it is ready again", async || ready().await.status == 200).await;
    assert_eq!(hive.exec(&satellite, "echo next").await["stdout"], "next\n");
    assert_eq!(hive.server().pid(), pid);
    expect_whole_trail(&hive).await;
}

/// Ends a terminal while its server cannot write; that is refused, and the terminal lives on.
async fn expect_no_end(hive: &TestHive, session: &str) {
    for attempt in 0..3 {
        let refused = hive.rest().delete(&format!("/api/v1/sessions/{session}")).await;
        assert_eq!(refused.refusal(), (503, "UNAVAILABLE".into()));
        let sign = hive.dir().join(format!("sign-{attempt}"));
        let typed = format!(": > {}\n", sign.display());
        let input = json!({ "data": data_encoding::BASE64.encode(typed.as_bytes()) });
        let answer = hive.rest().post(&format!("/api/v1/sessions/{session}/input"), &input).await;
        assert!(answer.is_success(), "{}", answer.text());
        until("the shell still runs", async || sign.exists()).await;
    }
}

async fn open_terminal(hive: &TestHive, satellite: &TestSatellite) -> String {
    let body = json!({"satellite_id": satellite.id(), "cols": 80, "rows": 24});
    text(&hive.rest().post("/api/v1/sessions", &body).await.data()["id"]).to_owned()
}

#[tokio::test]
async fn a_terminal_whose_end_cannot_be_recorded_hears_nothing_of_it() {
    let disk = SmallDisk::new(24);
    let (data_dir, engine) = (Some(disk.path().join("server")), Some(Engine::Sqlite));
    let mut hive = TestHive::start_with(ServerOptions { data_dir, engine, ..ServerOptions::default() }).await;
    let satellite = hive.satellite("web-server-01").await;
    let session = open_terminal(&hive, &satellite).await;
    disk.fill();
    expect_no_end(&hive, &session).await;
    disk.free();
    let path = format!("/api/v1/sessions/{session}");
    until("there is room again", async || hive.rest().delete(&path).await.is_success()).await;
    assert_eq!(hive.rest().get(&path).await.data()["status"], "ended");

    let session = open_terminal(&hive, &satellite).await;
    let failing = FailingDisk::under(hive.server()).await;
    expect_no_end(&hive, &session).await;
    failing.end().await;
    let path = format!("/api/v1/sessions/{session}");
    until("the disk works again", async || hive.rest().delete(&path).await.is_success()).await;
    expect_whole_trail(&hive).await;
}

/// Cancels a command while the server cannot write. The call is refused and the command keeps running.
async fn expect_no_cancel(hive: &TestHive, id: &str, seconds: &str) {
    for _ in 0..3 {
        let refused = hive.rest().post(&format!("/api/v1/commands/{id}/cancel"), &json!({})).await;
        assert_eq!(refused.refusal(), (503, "UNAVAILABLE".into()));
        assert_eq!((sleeping(seconds), &hive.command(id).await["status"]), (1, &json!("started")));
    }
}

#[tokio::test]
async fn a_cancel_that_cannot_be_recorded_cancels_nothing() {
    let disk = SmallDisk::new(24);
    let (data_dir, engine) = (Some(disk.path().join("server")), Some(Engine::Sqlite));
    let mut hive = TestHive::start_with(ServerOptions { data_dir, engine, ..ServerOptions::default() }).await;
    let satellite = hive.satellite("web-server-01").await;
    for is_full in [true, false] {
        let seconds = unique_seconds();
        let id = hive.submit(&satellite, &json!({"command": format!("sleep {seconds}")})).await;
        hive.until_status(&id, "started").await;
        until_sleeping(&seconds, 1).await;
        if is_full {
            disk.fill();
            expect_no_cancel(&hive, &id, &seconds).await;
            disk.free();
        } else {
            let failing = FailingDisk::under(hive.server()).await;
            expect_no_cancel(&hive, &id, &seconds).await;
            failing.end().await;
        }
        let cancel = format!("/api/v1/commands/{id}/cancel");
        until("the disk works again", async || hive.rest().post(&cancel, &json!({})).await.is_success()).await;
        hive.until_status(&id, "cancelled").await;
        until_sleeping(&seconds, 0).await;
    }
    expect_whole_trail(&hive).await;
}

async fn on(hive: &TestHive, disk: &SmallDisk) -> TestSatellite {
    let data_dir = Some(disk.path().join("satellite"));
    hive.satellite_with("web-server-01", SatelliteOptions { data_dir, ..SatelliteOptions::default() }).await
}

fn expect_unjournalled(result: &Value) {
    let error = &result["error"];
    assert_eq!(error["code"], "UNAVAILABLE", "{result}");
    assert!(text(&error["message"]).contains("cannot write its journal in /"), "{result}");
}

#[tokio::test]
async fn a_satellite_whose_disk_is_full_runs_nothing_and_says_so() {
    let disk = SmallDisk::new(8);
    let hive = TestHive::start().await;
    let satellite = on(&hive, &disk).await;
    let runs = Runs::of(&hive);
    disk.fill();
    // What is left of the last page still takes a few.
    let mut ran = BTreeSet::new();
    for number in 0..200 {
        let result = hive.rest().post(&satellite.path("/exec"), &runs.command(number)).await.data();
        if result["status"] == "failed" {
            expect_unjournalled(&result);
            break;
        }
        assert_eq!(result["status"], "succeeded", "{result}");
        ran.insert(number);
    }
    assert!(ran.len() < 200, "the disk is never full");
    expect_unjournalled(&hive.rest().post(&satellite.path("/exec"), &runs.command(1_000)).await.data());
    assert_eq!(runs.numbers(), ran, "what could not be journalled never ran");

    disk.free();
    let result = hive.rest().post(&satellite.path("/exec"), &runs.command(1_001)).await.data();
    assert_eq!(result["status"], "succeeded", "{result}");
}

#[tokio::test]
async fn the_pages_of_a_satellite_name_its_full_disk_until_there_is_room() {
    let disk = SmallDisk::new(8);
    let hive = TestHive::start().await;
    let mut satellite = on(&hive, &disk).await;
    let pages = Rest::new(text(&satellite.process().event("online").await["local_api"]));
    let health = async || pages.get("/health").await.json();
    let well = health().await;
    assert_eq!((&well["status"], &well["problems"]), (&json!("ok"), &json!([])), "{well}");

    disk.fill();
    until("a command is refused", async || hive.exec(&satellite, "true").await["status"] == "failed").await;
    let ill = health().await;
    assert_eq!((&ill["status"], &ill["connected"]), (&json!("degraded"), &json!(true)), "{ill}");
    assert!(ill["problems"].to_string().contains(disk.path().to_str().unwrap()), "{ill}");

    disk.free();
    until("there is room", async || hive.exec(&satellite, "true").await["status"] == "succeeded").await;
    assert_eq!(health().await["status"], "ok");
}

#[tokio::test]
async fn whoever_waits_gets_the_output_for_which_the_disk_has_no_room() {
    let disk = SmallDisk::new(4);
    let hive = TestHive::start().await;
    let mut satellite = on(&hive, &disk).await;
    let before = disk.used();
    let result = hive.exec(&satellite, "head -c 8000000 /dev/zero | tr '\\0' x").await;
    assert_eq!(
        (&result["status"], &result["truncated"], &result["error"]),
        (&json!("succeeded"), &json!(false), &json!(null))
    );
    assert_eq!(text(&result["stdout"]).len(), 8_000_000);
    let log = satellite.process().log();
    assert!(log.contains("cannot write the output of commands in /"), "{}", satellite.process().tail());
    until("the output is gone once it is acknowledged", async || disk.used() < before + MIB / 4).await;
    assert_eq!(hive.exec(&satellite, "echo next").await["stdout"], "next\n");
}

#[tokio::test]
async fn output_that_neither_disk_nor_server_takes_is_said_to_be_lost() {
    let disk = SmallDisk::new(4);
    let mut hive = TestHive::start().await;
    let satellite = on(&hive, &disk).await;
    let (gate, end) = (hive.dir().join("gate"), hive.dir().join("end"));
    let flood = "head -c 8000000 /dev/zero";
    let line = format!("until test -e {}; do sleep 0.01; done; {flood}; : > {}", gate.display(), end.display());
    let id = hive.submit(&satellite, &json!({"command": line})).await;
    hive.until_status(&id, "started").await;
    hive.kill_server();
    std::fs::write(gate, "").unwrap();
    until("the program was not held up for good", async || end.exists()).await;
    hive.restart_server().await;
    let command = hive.until_status(&id, "succeeded").await;
    assert_eq!(command["truncated"], true, "{command}");
    let message = text(&command["error"]["message"]);
    assert!(message.contains("output was lost") && message.contains(disk.path().to_str().unwrap()), "{command}");
}

#[tokio::test]
async fn a_satellite_starts_on_a_full_disk_so_that_a_terminal_can_make_room() {
    let disk = SmallDisk::new(8);
    let hive = TestHive::start().await;
    let mut satellite = on(&hive, &disk).await;
    assert_eq!(hive.exec(&satellite, "echo before").await["stdout"], "before\n");
    satellite.process().stop().await;
    disk.fill();
    satellite.restart().await;
    // What is left of the journal's last page still takes a few: their output is there all the same.
    let result = until_some("commands are refused", async || {
        let result = hive.rest().post(&satellite.path("/exec"), &json!({"command": "echo during"})).await.data();
        assert!(result["status"] == "failed" || result["stdout"] == "during\n", "{result}");
        Some(result).filter(|result| result["status"] == "failed")
    });
    expect_unjournalled(&result.await);
    let problems = until_some("the hive knows", async || {
        Some(hive.rest().get(&satellite.path("")).await.data()["problems"].clone()).filter(|it| !it.is_null())
    });
    assert!(problems.await.to_string().contains(disk.path().to_str().unwrap()));

    let ballast = disk.path().join("ballast");
    let wanted = json!({"satellite_id": satellite.id(), "shell": "/bin/sh"});
    let session = hive.rest().post("/api/v1/sessions", &wanted).await.data();
    let typed = data_encoding::BASE64.encode(format!("rm {}\n", ballast.display()).as_bytes());
    let input = format!("/api/v1/sessions/{}/input", text(&session["id"]));
    assert_eq!(hive.rest().post(&input, &json!({"data": typed})).await.status, 200);
    until("there is room", async || !ballast.exists()).await;
    assert_eq!(hive.exec(&satellite, "echo after").await["stdout"], "after\n");
}

#[tokio::test]
async fn an_endless_output_takes_no_more_disk_than_its_cap() {
    let disk = SmallDisk::new(64);
    let mut hive = TestHive::start().await;
    let satellite = on(&hive, &disk).await;
    let (gate, end) = (hive.dir().join("gate"), hive.dir().join("end"));
    let flood = "head -c 200M /dev/zero";
    let line = format!("until test -e {}; do sleep 0.01; done; {flood}; : > {}", gate.display(), end.display());
    let id = hive.submit(&satellite, &json!({"command": line})).await;
    hive.until_status(&id, "started").await;
    let before = disk.used();
    // Nobody is there to acknowledge any of it.
    hive.kill_server();
    std::fs::write(gate, "").unwrap();
    until("the flood is over", async || end.exists()).await;
    let taken = disk.used() - before;
    assert!((MAX_OUTPUT..MAX_OUTPUT + MIB).contains(&taken), "{taken} bytes");

    hive.restart_server().await;
    assert_eq!(hive.until_status(&id, "succeeded").await["truncated"], true);
    until("the output is gone once it is acknowledged", async || disk.used() < before + MIB / 4).await;
}

#[tokio::test]
async fn nothing_is_acknowledged_that_did_not_reach_the_disk() {
    let mut hive = TestHive::start_on_sqlite().await;
    let mut satellite = hive.satellite("web-server-01").await;
    satellite.process().stop().await;
    hive.until_online(&satellite, false).await;
    let runs = Runs::of(&hive);
    assert_eq!(queue(&hive, &satellite, &runs.command(1)).await.status, 202);

    let failing = FailingDisk::under(hive.server()).await;
    for number in [2, 3] {
        assert_eq!(queue(&hive, &satellite, &runs.command(number)).await.refusal(), (503, "UNAVAILABLE".into()));
    }
    assert_eq!(hive.rest().get(&satellite.path("")).await.status, 200, "reads go on");
    failing.end().await;
    assert_eq!(queue(&hive, &satellite, &runs.command(4)).await.status, 202, "the disk works again");

    // A server that is killed now does not find what it has refused.
    let failing = FailingDisk::under(hive.server()).await;
    assert_eq!(queue(&hive, &satellite, &runs.command(5)).await.refusal().1, "UNAVAILABLE");
    hive.kill_server();
    drop(failing);
    hive.restart_server().await;
    let last = command_id(&queue(&hive, &satellite, &runs.command(6)).await);
    satellite.restart().await;
    hive.until_status(&last, "succeeded").await;
    until("all have run", async || runs.numbers().len() >= 3).await;
    assert_eq!(runs.numbers(), BTreeSet::from([1, 4, 6]));
    expect_whole_trail(&hive).await;
}

#[tokio::test]
async fn nothing_is_run_whose_start_did_not_reach_the_disk() {
    let hive = TestHive::start().await;
    let mut satellite = hive.satellite("web-server-01").await;
    let runs = Runs::of(&hive);
    // Each fsync of the journal fails from here on.
    let failing = FailingDisk::under(satellite.process()).await;
    for number in [1, 2] {
        expect_unjournalled(&hive.rest().post(&satellite.path("/exec"), &runs.command(number)).await.data());
    }
    failing.end().await;
    assert_eq!(hive.rest().post(&satellite.path("/exec"), &runs.command(3)).await.data()["status"], "succeeded");
    // Killed, so that the journal is read again from the disk.
    satellite.process().kill();
    satellite.restart().await;
    assert_eq!(hive.rest().post(&satellite.path("/exec"), &runs.command(4)).await.data()["status"], "succeeded");
    assert_eq!(runs.numbers(), BTreeSet::from([3, 4]));
    let log = satellite.process().log();
    assert!(!log.contains("set aside"), "the journal is whole: {log}");
}
