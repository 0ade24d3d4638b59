//! Allow lists of teams and satellites: from other addresses a team looks as if it were not there, and a satellite is refused.

use std::time::Duration;

use hive_testkit::{Rest, SatelliteOptions, TestHive, until};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::text;

/// Where tests call from unless they say otherwise, and another place.
const HERE: [u8; 4] = [127, 0, 0, 1];
const ELSEWHERE: [u8; 4] = [127, 0, 0, 9];

/// A hive with a team that has a satellite, and a member with this role.
async fn team_with(role: &str) -> (TestHive, String, Rest) {
    let hive = TestHive::start().await;
    let team = hive.new_team("ops").await;
    hive.rest().post("/api/v1/users", &json!({ "username": "olga", "role": "global_user" })).await.data();
    let member = json!({ "username": "olga", "role": role });
    hive.rest().put(&format!("/api/v1/teams/{team}/members"), &member).await.data();
    let olga = hive.anonymous().with("x-api-key", &hive.new_api_key("olga").await);
    (hive, format!("/api/v1/teams/{team}/addresses"), olga)
}

fn networks(networks: &[&str]) -> Value {
    json!({ "addresses": networks })
}

#[tokio::test]
async fn a_member_elsewhere_is_like_somebody_of_another_team() {
    let (hive, list, olga) = team_with("operator").await;
    // The team is in the path of its list.
    let team_id = Some(list.split('/').nth(4).unwrap().to_owned());
    let satellite =
        hive.satellite_with("ops-server", SatelliteOptions { team_id, ..SatelliteOptions::default() }).await;
    // Run before the list is set, so that there is something to hide.
    let command = hive.exec(&satellite, "true").await;
    let command = format!("/api/v1/commands/{}", text(&command["command_id"]));
    let set = hive.rest().put(&list, &networks(&["127.0.0.1/32", "2001:db8::/32"])).await.data();
    assert_eq!(set, networks(&["127.0.0.1/32", "2001:db8::/32"]));
    assert_eq!(hive.rest().get(&list).await.data(), set);

    let (here, elsewhere) = (olga.at(HERE), olga.at(ELSEWHERE));
    let exec = json!({ "command": "true" });
    assert_eq!(here.get(&satellite.path("")).await.status, 200);
    assert_eq!(here.post(&satellite.path("/exec"), &exec).await.status, 200);
    assert_eq!(elsewhere.get("/api/v1/auth/me").await.status, 200, "the key itself is good");
    for path in [satellite.path(""), satellite.path("/commands"), command] {
        assert_eq!(elsewhere.get(&path).await.status, 404, "{path}");
    }
    assert_eq!(elsewhere.post(&satellite.path("/exec"), &exec).await.status, 404);
    for path in ["/api/v1/satellites", "/api/v1/teams", "/api/v1/jobs", "/api/v1/tags", "/api/v1/groups"] {
        assert_eq!(elsewhere.get(path).await.data(), json!([]), "{path}");
    }
    assert_eq!(hive.rest().at(ELSEWHERE).get(&satellite.path("")).await.status, 200, "global admins are not limited");
    // A forwarded address counts from a trusted proxy alone.
    let forged = elsewhere.with("x-forwarded-for", "127.0.0.1");
    assert_eq!(forged.get(&satellite.path("")).await.status, 404);

    // Without a list the team is usable from everywhere again.
    hive.rest().put(&list, &json!({ "addresses": null })).await.data();
    assert_eq!(elsewhere.get(&satellite.path("")).await.status, 200);
    let records = hive.rest().get("/api/v1/audit/logs?action=team.addresses_set").await.data();
    assert_eq!(records.as_array().map(Vec::len), Some(2));
    assert_eq!(records[1]["details"]["addresses"], json!(["127.0.0.1/32", "2001:db8::/32"]));
}

#[tokio::test]
async fn a_changed_list_ends_the_streams_of_members_who_are_elsewhere() {
    let (hive, list, olga) = team_with("operator").await;
    let mut here = olga.at(HERE).call("GET", "/api/v1/events").events().await;
    let mut elsewhere = olga.at(ELSEWHERE).call("GET", "/api/v1/events").events().await;
    hive.rest().put(&list, &networks(&["127.0.0.1"])).await.data();
    let over = async { while elsewhere.next().await.is_some() {} };
    timeout(Duration::from_secs(1), over).await.expect("it ends at once");
    let over = async { while here.next().await.is_some() {} };
    // Long enough for a sweep that would end the wrong stream.
    assert!(timeout(Duration::from_millis(300), over).await.is_err(), "the other one goes on");
}

#[tokio::test]
async fn another_server_on_the_same_database_follows_a_change() {
    let (hive, list, olga) = team_with("operator").await;
    let satellite = hive.satellite("web-server-01").await;
    let (_process, other) = hive.second_server().await;
    let mut elsewhere = olga.at(ELSEWHERE).call("GET", "/api/v1/events").events().await;
    other.put(&list, &networks(&["127.0.0.1"])).await.data();
    let forced = json!({ "addresses": ["192.0.2.0/24"], "force": true });
    other.put(&satellite.path("/addresses"), &forced).await.data();
    let over = async { while elsewhere.next().await.is_some() {} };
    timeout(Duration::from_secs(15), over).await.expect("it ends with the next sweep");
    hive.until_online(&satellite, false).await;
    assert_eq!(olga.at(ELSEWHERE).get("/api/v1/teams").await.data(), json!([]));
}

#[tokio::test]
async fn nobody_locks_themselves_out_by_mistake() {
    let (hive, list, olga) = team_with("admin").await;
    let (here, other) = (olga.at(HERE), networks(&["192.0.2.0/24"]));
    let refused = here.put(&list, &other).await;
    assert_eq!(refused.refusal(), (400, "INVALID_INPUT".into()));
    assert!(refused.text().contains("127.0.0.1") && refused.text().contains("force"), "{}", refused.text());
    // A body that says nothing, no network at all, a wrong length and a name.
    for wrong in [json!({}), networks(&[]), networks(&["192.0.2.0/33"]), networks(&["example.org"])] {
        assert_eq!(here.put(&list, &wrong).await.status, 400, "{wrong}");
    }
    let forced = json!({ "addresses": ["192.0.2.0/24"], "force": true });
    here.put(&list, &forced).await.data();
    assert_eq!(here.get(&list).await.status, 404, "that was the own team");
    // A global admin always can.
    assert_eq!(hive.rest().put(&list, &networks(&["::ffff:127.0.0.0/104"])).await.data(), networks(&["127.0.0.0/8"]));
    assert_eq!(here.get(&list).await.status, 200);
}

#[tokio::test]
async fn a_satellite_connects_from_its_networks_alone_and_keeps_its_key() {
    let hive = TestHive::start().await;
    let mut satellite = hive.satellite("web-server-01").await;
    let list = satellite.path("/addresses");
    let refused = hive.rest().put(&list, &networks(&["192.0.2.0/24"])).await;
    assert_eq!(refused.refusal(), (400, "INVALID_INPUT".into()), "it is online from elsewhere");
    let forced = json!({ "addresses": ["192.0.2.0/24"], "force": true });
    hive.rest().put(&list, &forced).await.data();
    let gone = async { hive.until_online(&satellite, false).await };
    timeout(Duration::from_secs(1), gone).await.expect("its link ends at once");
    // It tries again, with its key, and is refused.
    // By a record, because an agent that is refused waits longer with each attempt.
    until("the refusal is recorded", async || {
        let records = hive.rest().get("/api/v1/audit/logs?action=auth.failure").await.data();
        records.as_array().unwrap().iter().any(|record| {
            text(&record["details"]["reason"]).contains("list") && record["target"]["id"] == json!(satellite.id())
        })
    })
    .await;
    let key = hive.anonymous().bearer(&satellite.api_key());
    let heartbeat = key.post(&format!("/api/satellites/{}/heartbeat", satellite.id()), &json!({})).await;
    assert_eq!(heartbeat.status, 403, "{}", heartbeat.text());
    // Nor does a new registration from there take its key away.
    let token = hive.new_token_for(satellite.id()).await;
    let register = json!({ "name": satellite.name(), "system_info": { "os": "linux", "arch": "x86_64" } });
    let taken = hive.anonymous().bearer(&token).post("/api/satellites/register", &register).await;
    assert_eq!(taken.status, 403, "{}", taken.text());

    let cleared = hive.cli(["satellites", "addresses", satellite.name(), "--clear", "-o", "json"]).await;
    assert_eq!(cleared.expect_success().json(), json!({ "addresses": null }));
    hive.until_online(&satellite, true).await;
    assert!(satellite.process().try_code().is_none(), "the agent has waited");
}
