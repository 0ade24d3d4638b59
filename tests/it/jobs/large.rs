//! Output that is larger than anybody wants in memory.
//!
//! `HIVE_LARGE_TARGETS`, and for the tests in [`long`] `HIVE_FLOOD_BYTES`, make them larger still.

use hive_testkit::{Simulator, TestHive, enrol, procfs};
use serde_json::{Value, json};

use crate::support::{number, text};

const MIB: u64 = 1024 * 1024;
/// What neither side may ever have held, with few links.
const MOST: u64 = 100 * MIB;
/// What a link may cost beside: its socket keeps room for the largest frame.
const MOST_OF_A_LINK: u64 = MIB / 8;
/// Where output is cut, for each stream.
const CAP: u64 = 10 * MIB;

fn check_peak(who: &str, pid: i32, most: u64) {
    let peak = procfs::peak(pid);
    assert!(peak < most, "{who} has held {} MiB of {}", peak / MIB, most / MIB);
}

/// Floods a hive by two ways with this many bytes, nearly all of which have to be thrown away.
async fn flood_hive(bytes: u64) {
    let flood = bytes.to_string();
    let mut hive = TestHive::start().await;
    let mut satellite = hive.satellite("web-server-01").await;
    let finished = hive.cli(["exec", "web-server-01", "--", "head", "-c", &flood, "/dev/zero"]).await;
    assert_eq!(finished.code, Some(65), "what was cut is no plain success: {}", finished.stderr);
    assert_eq!(finished.stdout.len() as u64, CAP);
    assert!(finished.stderr.contains("output cut"), "{}", finished.stderr);

    let request = json!({"command": format!("head -c {flood} /dev/zero")});
    let result = hive.rest().post(&satellite.path("/exec"), &request).await.data();
    assert_eq!((text(&result["stdout"]).len() as u64, &result["truncated"]), (CAP, &json!(true)));
    let id = text(&result["command_id"]);
    let path = format!("/api/v1/commands/{id}");
    let command = hive.rest().get(&format!("{path}?encoding=base64")).await.data();
    assert_eq!(text(&command["stdout"]).len() as u64, CAP.div_ceil(3) * 4);
    let raw = hive.rest().get(&format!("{path}/output?channel=stdout")).await;
    assert_eq!((raw.body.len() as u64, raw.body.iter().all(|byte| *byte == 0)), (CAP, true));
    let part = hive.rest().get(&format!("{path}/output?offset={}&limit=10", CAP - 4)).await;
    assert_eq!(part.body.len(), 4, "from an offset on");

    check_peak("the server", hive.server().pid(), MOST);
    check_peak("the satellite", satellite.process().pid(), MOST);
}

#[tokio::test]
async fn a_flood_of_output_costs_neither_side_memory() {
    // Twice what neither side may hold, and more.
    flood_hive(256 * MIB).await;
}

mod long {
    use super::{MIB, flood_hive, number};

    #[tokio::test]
    async fn a_flood_of_a_hundred_times_the_cap_costs_neither_side_memory() {
        flood_hive(number("HIVE_FLOOD_BYTES").unwrap_or(1024 * MIB)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mebibyte_of_each_of_many_satellites_is_in_nobodys_memory() {
    let count = number("HIVE_LARGE_TARGETS").unwrap_or(100);
    let mut hive = TestHive::start().await;
    let remote = hive_core::RemoteHive::connect(hive.url(), hive.api_key().to_owned().into()).unwrap();
    let identities = enrol(&remote, count as usize).await.unwrap();
    let address = hive.url().trim_start_matches("http://").to_owned();
    let simulator = Simulator::start(&address, identities);
    simulator.until("all are online", hive_testkit::PATIENCE * 4, |tally| tally.online as u64 == count).await;

    let request = json!({"targets": ["all"], "command": format!("head -c {MIB} /dev/zero")});
    let submitted = hive.rest().post("/api/v1/jobs", &request).await.data();
    let id = text(&submitted["id"]);
    let events = hive.rest().call("GET", &format!("/api/v1/jobs/{id}/events")).events().await.rest().await;
    let (_, ended) = events.last().expect("the end is told");
    assert_eq!(ended["counts"], json!({"succeeded": count}), "{ended}");

    let targets = hive.rest().get(&format!("/api/v1/jobs/{id}/targets?per_page=1000")).await.data();
    let targets = targets.as_array().unwrap();
    assert_eq!(targets.len() as u64, count);
    assert!(targets.iter().all(|target| target["stdout_bytes"] == MIB), "all of it is stored");
    let output = format!("/api/v1/commands/{}/output", text(&targets[0]["command_id"]));
    assert_eq!(hive.rest().get(&output).await.body.len() as u64, MIB);

    // The whole answer of a fan-out, as one list.
    let few: Vec<&Value> = targets.iter().take(20).map(|target| &target["satellite_name"]).collect();
    let request = json!({"targets": few, "command": format!("head -c {MIB} /dev/zero")});
    let list = hive.rest().post("/api/v1/exec?encoding=base64", &request).await.data();
    let lengths = list.as_array().unwrap().iter().map(|result| text(&result["stdout"]).len() as u64);
    assert_eq!(lengths.collect::<Vec<_>>(), vec![MIB.div_ceil(3) * 4; few.len()]);

    let shown = hive.cli(["jobs", "show", id, "--output"]).await.expect_success();
    assert!(shown.stdout.contains(&format!("({count}):\n")), "all have said the same");
    check_peak("the server", hive.server().pid(), MOST + count * MOST_OF_A_LINK);
    simulator.stop().await;
}
