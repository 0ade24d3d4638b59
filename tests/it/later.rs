//! Satellites and command lines of this version with a server of a later one.

use hive_testkit::{FaultProxy, Finished, Later, LaterProxy, SatelliteOptions, TestHive, until};
use serde_json::json;

use crate::support::text;

const NAME: &str = "web-server-01";

#[tokio::test]
async fn a_command_of_an_unknown_kind_is_refused_and_costs_no_link() {
    let hive = TestHive::start().await;
    let later = LaterProxy::start(hive.url(), Later::Server);
    // Counts the connections of the satellite: a link that ends shows as another one.
    let proxy = FaultProxy::start(later.url());
    let options = SatelliteOptions { server: Some(proxy.url().to_owned()), ..SatelliteOptions::default() };
    let satellite = hive.satellite_with(NAME, options).await;
    let connections = proxy.connections();
    until("the command is refused as unsupported", async || later.refused() == 1).await;
    assert_eq!(hive.exec(&satellite, "echo next").await["stdout"], "next\n");
    assert_eq!((proxy.connections(), later.refused()), (connections, 1), "the link is the same");

    // Nobody acknowledged the result, so the next link carries it again.
    hive.rest().post(&satellite.path("/disconnect"), &json!({})).await.data();
    until("it is refused on the next link", async || later.refused() > 1).await;
    assert_eq!(hive.exec(&satellite, "echo and the next").await["stdout"], "and the next\n");
    assert_eq!(proxy.connections(), connections + 1);
}

#[tokio::test]
async fn a_status_that_nobody_knows_is_shown_as_it_is() {
    let hive = TestHive::start().await;
    let _satellite = hive.satellite(NAME).await;
    let later = LaterProxy::start(hive.url(), Later::Server);
    later.rename_status("succeeded", "half_done");
    later.rename_status("active", "resting");
    let run = async |args: &[&str]| Finished::run(hive.hive_command(later.url(), args)).await;

    for args in [["satellites", "list"], ["satellites", "get"]] {
        let name = (args[1] == "get").then_some(NAME);
        let shown = run(&args.into_iter().chain(name).collect::<Vec<_>>()).await.expect_success();
        assert!(shown.stdout.contains("resting"), "{}", shown.stdout);
    }
    let list = run(&["-o", "json", "satellites", "list"]).await.expect_success().json();
    assert_eq!(list[0]["status"], "resting");

    // An unknown status is no success: the exit code is that of an unknown outcome.
    let one = run(&["exec", NAME, "--", "echo", "out"]).await;
    assert_eq!((one.code, one.stdout.as_str()), (Some(255), "out\n"), "{}", one.stderr);
    assert!(one.stderr.contains("half_done, exit code 0"), "{}", one.stderr);
    let all = run(&["exec", "all", "--", "echo", "out"]).await;
    assert!(all.code == Some(255) && all.stdout.contains("half_done"), "{all:?}");
    let jobs = run(&["-o", "json", "jobs", "list"]).await.expect_success().json();
    assert_eq!((&jobs[0]["status"], &jobs[0]["counts"]), (&json!("half_done"), &json!({"half_done": 1})));
    for args in [["jobs", "show", text(&jobs[0]["id"])], ["jobs", "watch", text(&jobs[0]["id"])]] {
        let shown = run(&args).await.expect_success();
        assert!(shown.stdout.contains("half_done"), "{}", shown.stdout);
    }
}
