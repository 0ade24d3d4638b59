//! The status pages of a satellite, for whoever is logged in on its machine.

use hive_testkit::{Rest, TestHive};
use serde_json::json;

use crate::support::{text, unique_seconds, until_sleeping};

#[tokio::test]
async fn the_pages_tell_how_the_satellite_does_and_no_secret() {
    let hive = TestHive::start().await;
    let mut satellite = hive.satellite("web-server-01").await;
    let online = satellite.process().event("online").await;
    let address = text(&online["local_api"]);
    assert!(address.starts_with("http://127.0.0.1:"), "{address}");
    let pages = Rest::new(address);

    let seconds = unique_seconds();
    // It runs while the pages are read, so that they show it.
    let command = json!({"command": format!("sleep {seconds}"), "env": {"SECRET": "env-hunter-2"}});
    let id = hive.submit(&satellite, &command).await;
    until_sleeping(&seconds, 1).await;
    let mut said = String::new();
    for path in ["/health", "/metrics", "/api/status/backend", "/api/status/registration", "/api/status/processes"] {
        let answer = pages.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        said.push_str(&answer.text());
    }
    assert!(said.contains(satellite.id()) && said.contains(hive.url()) && said.contains(&id), "{said}");
    for secret in [&satellite.api_key(), "env-hunter-2"] {
        assert!(!said.contains(secret), "{said}");
    }
    assert_eq!(pages.get("/nothing").await.status, 404);
    assert!(!pages.post("/health", &json!({})).await.is_success(), "nothing is changed here");
    hive.rest().post(&format!("/api/v1/commands/{id}/cancel"), &json!({})).await.data();
}

#[tokio::test]
async fn the_pages_can_be_turned_off() {
    let hive = TestHive::start().await;
    let mut options = hive_testkit::SatelliteOptions::default();
    options.args(["--local-api", "off"]);
    let mut satellite = hive.satellite_with("web-server-01", options).await;
    assert!(satellite.process().event("online").await["local_api"].is_null());
}
