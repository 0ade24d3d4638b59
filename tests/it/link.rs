//! The link breaks, and nobody has to notice.

use std::time::Duration;

use data_encoding::BASE64;
use hive_testkit::{FaultProxy, SatelliteOptions, ServerOptions, TestHive, TestSatellite, until};
use serde_json::json;

use crate::support::{counted_to, text};

/// A hive that counts a satellite as gone after three seconds of silence.
async fn impatient() -> TestHive {
    let args = ["--heartbeat-interval", "1", "--heartbeat-timeout", "3"].map(String::from).to_vec();
    TestHive::start_with(ServerOptions { args, ..ServerOptions::default() }).await
}

async fn behind(hive: &TestHive, proxy: &FaultProxy) -> TestSatellite {
    let options = SatelliteOptions { server: Some(proxy.url().to_owned()), ..SatelliteOptions::default() };
    hive.satellite_with("web-server-01", options).await
}

#[tokio::test]
async fn a_result_arrives_once_although_the_link_was_cut() {
    let hive = TestHive::start().await;
    let proxy = FaultProxy::start(hive.url());
    let satellite = behind(&hive, &proxy).await;
    let (gate, runs) = (hive.dir().join("gate"), hive.dir().join("runs"));
    let line =
        format!("echo run >> {}; until test -e {}; do sleep 0.01; done; echo done", runs.display(), gate.display());
    let waiting = async { hive.exec(&satellite, &line).await };
    let breaking = async {
        until("the command runs", async || runs.exists()).await;
        let before = proxy.connections();
        proxy.cut();
        // It ends while there is no link.
        std::fs::write(&gate, "").unwrap();
        until("the satellite is back", async || proxy.connections() > before).await;
    };
    let (result, ()) = tokio::join!(waiting, breaking);
    assert_eq!((&result["status"], &result["stdout"]), (&json!("succeeded"), &json!("done\n")));
    assert_eq!(std::fs::read_to_string(runs).unwrap(), "run\n", "it ran once");
}

#[tokio::test]
async fn output_goes_on_at_the_byte_where_it_stopped() {
    let hive = TestHive::start().await;
    let proxy = FaultProxy::start(hive.url());
    let satellite = behind(&hive, &proxy).await;
    let command = json!({"command": "for n in 1 2 3 4 5 6; do seq 1 60000; sleep 0.2; done"});
    let id = hive.submit(&satellite, &command).await;
    for bytes in [100_000, 1_000, 333_333] {
        proxy.cut_after(bytes);
        let before = proxy.connections();
        until("the link was cut and is back, or the command is done", async || {
            proxy.connections() > before || hive.command(&id).await["status"] == "succeeded"
        })
        .await;
    }
    hive.until_status(&id, "succeeded").await;
    let command = hive.rest().get(&format!("/api/v1/commands/{id}?encoding=base64")).await.data();
    let stdout = BASE64.decode(text(&command["stdout"]).as_bytes()).expect("base64");
    assert!(
        stdout == counted_to(60_000).repeat(6).as_bytes(),
        "{} bytes are not those that were printed",
        stdout.len()
    );
    assert!(proxy.connections() > 1, "nothing was cut");
}

#[tokio::test]
async fn a_silent_peer_counts_as_gone_on_both_sides() {
    let hive = impatient().await;
    let proxy = FaultProxy::start(hive.url());
    let satellite = behind(&hive, &proxy).await;
    let before = proxy.connections();
    proxy.hold(true);
    hive.until_online(&satellite, false).await;
    until("the satellite gave up and dialled again", async || proxy.connections() > before).await;
    proxy.hold(false);
    hive.until_online(&satellite, true).await;
    assert_eq!(hive.exec(&satellite, "echo back").await["stdout"], "back\n");
}

#[tokio::test]
async fn the_end_of_an_old_link_does_not_end_the_new_one() {
    let hive = impatient().await;
    let proxy = FaultProxy::start(hive.url());
    let satellite = behind(&hive, &proxy).await;
    let before = proxy.connections();
    // The old connection stays open and silent towards the satellite; the server still sees it.
    proxy.freeze();
    until("the satellite dialled again", async || proxy.connections() > before).await;
    hive.until_online(&satellite, true).await;
    let result = hive.exec(&satellite, "echo by the new link").await;
    assert_eq!(result["stdout"], "by the new link\n");

    let connections = proxy.connections();
    proxy.cut_frozen();
    // Longer than the server needs to see the end of the old connection and to miss heartbeats.
    for _ in 0..4 {
        assert_eq!(hive.exec(&satellite, "sleep 1; echo still there").await["stdout"], "still there\n");
        assert_eq!(hive.rest().get(&satellite.path("")).await.data()["online"], true);
    }
    assert_eq!(proxy.connections(), connections, "the new link was never lost");
}

#[tokio::test]
async fn a_slow_link_is_a_link() {
    let hive = TestHive::start().await;
    let proxy = FaultProxy::start(hive.url());
    let satellite = behind(&hive, &proxy).await;
    proxy.delay(Duration::from_millis(50));
    assert_eq!(hive.exec(&satellite, "echo slow").await["stdout"], "slow\n");
}

#[tokio::test]
async fn a_disconnected_satellite_comes_back_by_itself() {
    let hive = TestHive::start().await;
    let proxy = FaultProxy::start(hive.url());
    let satellite = behind(&hive, &proxy).await;
    let before = proxy.connections();
    hive.rest().post(&satellite.path("/disconnect"), &json!({})).await.data();
    until("the satellite dialled again", async || proxy.connections() > before).await;
    hive.until_online(&satellite, true).await;
}
