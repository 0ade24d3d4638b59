//! Copied and rolled-back data directories: whatever is started on them, no command runs twice.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use hive_testkit::{Process, TestHive, TestSatellite, binary, until, until_some};
use serde_json::{Value, json};

/// Calls at the same time.
const AT_ONCE: usize = 50;

/// A satellite whose commands leave a line each where they run.
struct Counted {
    hive: TestHive,
    satellite: TestSatellite,
    ran: PathBuf,
    given: usize,
}

impl Counted {
    async fn start() -> Self {
        let hive = TestHive::start().await;
        let satellite = hive.satellite("web-server-01").await;
        let ran = hive.dir().join("ran");
        std::fs::write(&ran, "").unwrap();
        Self { hive, satellite, ran, given: 0 }
    }

    /// Gives commands that go on for a while behind their line.
    async fn give(&mut self, count: usize, then: &str) {
        let first = self.given;
        self.given += count;
        for chunk in (first..self.given).collect::<Vec<_>>().chunks(AT_ONCE) {
            join_all(chunk.iter().map(|number| self.give_one(*number, then))).await;
        }
    }

    async fn give_one(&self, number: usize, then: &str) -> String {
        let line = format!("echo {number} >> {}; {then}", self.ran.display());
        self.hive.submit(&self.satellite, &json!({"command": line, "expires_in_seconds": 120})).await
    }

    fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(&self.ran).unwrap().lines().map(str::to_owned).collect()
    }

    async fn until_ran(&self, count: usize) {
        until(&format!("{count} have begun"), async || self.lines().len() >= count).await;
    }

    /// Waits until all commands have ended, and counts how.
    async fn ended(&self) -> HashMap<String, usize> {
        let statuses = until_some("all have ended", async || {
            let mut statuses = HashMap::new();
            for page in 1..=self.given.div_ceil(1000) {
                let path = self.satellite.path(&format!("/commands?per_page=1000&page={page}"));
                let commands = self.hive.rest().get(&path).await.data();
                for command in commands.as_array().unwrap() {
                    *statuses.entry(text(&command["status"])).or_insert(0) += 1;
                }
            }
            let is_open = ["queued", "delivered", "started"].iter().any(|open| statuses.contains_key(*open));
            (!is_open).then_some(statuses)
        })
        .await;
        assert_eq!(statuses.values().sum::<usize>(), self.given, "{statuses:?}");
        statuses
    }

    /// Each line is there once at the most, and of the last `count` commands each.
    fn expect_none_twice(&self, count: usize) {
        let mut times = HashMap::new();
        for line in self.lines() {
            *times.entry(line).or_insert(0) += 1;
        }
        let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "ran more than once: {twice:?}");
        let missing: Vec<_> =
            (self.given - count..self.given).filter(|n| !times.contains_key(&n.to_string())).collect();
        assert!(missing.is_empty(), "never ran: {missing:?}");
    }

    /// Starts an agent on another data directory.
    fn start_on(&self, data_dir: &Path) -> Process {
        let mut command = std::process::Command::new(binary("satellite-agent"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.hive.home());
        command.args(["--server", self.hive.url(), "--name", self.satellite.name(), "--data-dir"]).arg(data_dir);
        Process::spawn("copy", command, &self.hive.dir().join("logs"))
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn copy(from: &Path, to: &Path) {
    std::fs::remove_dir_all(to).ok();
    let copied = std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
}

#[tokio::test]
async fn a_copy_runs_nothing_that_the_original_was_given() {
    let mut counted = Counted::start().await;
    let copied = counted.hive.dir().join("copied");
    // They still run when the directory is copied, so that the copy has them as started.
    counted.give(50, "sleep 2").await;
    counted.until_ran(50).await;
    copy(counted.satellite.data_dir(), &copied);
    let mut other = counted.start_on(&copied);
    // What to do stands in a line of its own, behind the one that says what happened.
    until("the copy is refused, and told what to do", async || {
        ["identity_conflict", "copy of the other's", "hive tokens create"]
            .iter()
            .all(|words| other.log().contains(words))
    })
    .await;
    let shown = counted.hive.rest().get(&counted.satellite.path("")).await.data();
    assert!(shown["conflict_at"].is_string() && shown["online"] == true, "{shown}");
    counted.give(400, "true").await;

    // The original dies, the copy takes its place, and loses it again.
    counted.satellite.process().kill();
    other.kill();
    let mut other = counted.start_on(&copied);
    other.event("online").await;
    counted.give(300, "true").await;
    other.kill();
    counted.satellite.restart().await;
    counted.give(300, "true").await;
    let statuses = counted.ended().await;
    counted.expect_none_twice(300);
    assert!(statuses["succeeded"] >= 300, "{statuses:?}");
}

#[tokio::test]
async fn a_machine_that_is_put_back_by_20_commands_runs_none_of_them_again() {
    let mut counted = Counted::start().await;
    let snapshot = counted.hive.dir().join("snapshot");
    counted.give(10, "true").await;
    counted.ended().await;
    copy(counted.satellite.data_dir(), &snapshot);
    // They still run when the machine is put back.
    counted.give(20, "sleep 3").await;
    counted.until_ran(30).await;
    counted.satellite.process().kill();
    let data_dir = counted.satellite.data_dir().to_owned();
    copy(&snapshot, &data_dir);
    counted.satellite.restart().await;
    let statuses = counted.ended().await;
    assert_eq!(statuses, HashMap::from([("succeeded".into(), 10), ("outcome_unknown".into(), 20)]));

    counted.give(100, "true").await;
    let statuses = counted.ended().await;
    assert_eq!(statuses["succeeded"], 110, "{statuses:?}");
    counted.expect_none_twice(130);
}
