//! Days on which the machine itself fails: what is acknowledged then, what is refused, and what happens when it works again.

mod clocks;
mod damage;
mod disks;
mod hangs;
mod telemetry_file;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hive_testkit::{Answer, TestHive, TestSatellite};
use serde_json::{Value, json};

use crate::support::text;

/// A file into which each command writes its number when it runs, one a line.
struct Runs(PathBuf);

impl Runs {
    fn of(hive: &TestHive) -> Self {
        Self(hive.dir().join("runs"))
    }

    fn command(&self, number: u32) -> Value {
        json!({"command": format!("echo {number} >> {}", self.0.display())})
    }

    /// The numbers that ran; panics where one ran twice.
    fn numbers(&self) -> BTreeSet<u32> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        let mut numbers = BTreeSet::new();
        for line in text.lines() {
            assert!(numbers.insert(line.parse().unwrap()), "{line} ran twice");
        }
        numbers
    }
}

/// Queues a command.
async fn queue(hive: &TestHive, satellite: &TestSatellite, command: &Value) -> Answer {
    hive.rest().post(&satellite.path("/exec?wait=false"), command).await
}

fn command_id(answer: &Answer) -> String {
    text(&answer.data()["command_id"]).to_owned()
}

async fn expect_whole_trail(hive: &TestHive) {
    let audit_log = hive.rest().get("/api/v1/audit/verify").await.data();
    assert_eq!(audit_log["valid"], true, "{audit_log}");
}

/// Flips a bit in one byte of a file.
fn flip(path: &Path, place: usize) {
    let mut content = std::fs::read(path).unwrap();
    content[place] ^= 1;
    std::fs::write(path, content).unwrap();
}

/// Flips a bit in every place where the file says this; how many those were.
fn flip_all(path: &Path, text: &str) -> usize {
    let mut content = std::fs::read(path).unwrap();
    let places: Vec<usize> = (0..content.len().saturating_sub(text.len()))
        .filter(|&at| content[at..].starts_with(text.as_bytes()))
        .collect();
    for &place in &places {
        content[place] ^= 1;
    }
    std::fs::write(path, content).unwrap();
    places.len()
}
