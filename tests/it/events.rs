//! The events of satellites, as a client of the server hears them.

use hive_testkit::TestHive;
use serde_json::{Value, json};

#[tokio::test]
async fn events_tell_who_comes_and_goes() {
    let hive = TestHive::start().await;
    let mut events = hive.rest().call("GET", "/api/v1/events").events().await;
    let mut satellite = hive.satellite("web-server-01").await;
    let id = satellite.id().to_owned();
    let mut next = async |wanted: &str| -> Value {
        loop {
            let (name, event) = events.next().await.expect("the stream goes on");
            assert_eq!(event["data"]["id"], *id);
            if name == wanted {
                return event;
            }
        }
    };
    let online = next("satellite:online").await;
    assert_eq!(online["data"]["name"], "web-server-01");
    hive.rest().put(&satellite.path(""), &json!({"tags": ["web"]})).await.data();
    let updated = next("satellite:updated").await;
    assert_eq!(updated["data"]["changes"]["tags"], json!(["web"]));
    satellite.process().kill();
    let offline = next("satellite:offline").await;
    assert!(offline["data"]["seq"].as_u64() > online["data"]["seq"].as_u64());
}

#[tokio::test]
async fn a_listener_that_comes_back_misses_nothing() {
    let hive = TestHive::start().await;
    let mut satellite = hive.satellite("web-server-01").await;
    let mut events = hive.rest().call("GET", "/api/v1/events").events().await;
    hive.rest().put(&satellite.path(""), &json!({"tags": ["web"]})).await.data();
    assert_eq!(events.next().await.unwrap().0, "satellite:updated");
    let id = events.last_id().unwrap().to_owned();
    drop(events);
    satellite.process().kill();
    hive.until_online(&satellite, false).await;
    let mut events = hive.rest().call("GET", "/api/v1/events").with("last-event-id", &id).events().await;
    assert_eq!(events.next().await.unwrap().0, "satellite:offline");
}

#[tokio::test]
async fn a_listener_of_a_server_that_was_killed_is_told_to_list_again() {
    let mut hive = TestHive::start().await;
    let satellite = hive.satellite("web-server-01").await;
    let mut events = hive.rest().call("GET", "/api/v1/events").events().await;
    hive.rest().put(&satellite.path(""), &json!({"tags": ["web"]})).await.data();
    assert_eq!(events.next().await.unwrap().0, "satellite:updated");
    let id = events.last_id().unwrap().to_owned();
    hive.kill_server();
    hive.restart_server().await;
    let mut events = hive.rest().call("GET", "/api/v1/events").with("last-event-id", &id).events().await;
    let (name, resync) = events.next().await.unwrap();
    assert_eq!((name.as_str(), resync["cursor"].as_str()), ("resync", events.last_id()));
    assert_ne!(events.last_id(), Some(id.as_str()));
    // The satellite links again before or after the listener came: what comes after the resync is heard.
    hive.until_online(&satellite, true).await;
    hive.rest().put(&satellite.path(""), &json!({"tags": ["db"]})).await.data();
    while events.next().await.unwrap().0 != "satellite:updated" {}
}
