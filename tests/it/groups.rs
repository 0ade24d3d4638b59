//! Groups of satellites, from outside.

use std::collections::BTreeSet;

use hive_testkit::{Rest, SatelliteOptions, ServerOptions, TestHive};
use serde_json::{Value, json};

use crate::support::text;

const GROUPS: &str = "/api/v1/groups";

async fn satellite(hive: &TestHive, name: &str, team: Option<&str>, tags: &[&str]) -> hive_testkit::TestSatellite {
    let options = SatelliteOptions { team_id: team.map(str::to_owned), ..SatelliteOptions::default() };
    let satellite = hive.satellite_with(name, options).await;
    assert!(hive.rest().put(&satellite.path(""), &json!({"tags": tags})).await.is_success());
    satellite
}

/// Somebody who is in this team alone.
async fn member(hive: &TestHive, username: &str, team: &str, role: &str) -> Rest {
    hive.server_command(&["user", "create", "--username", username]).await;
    hive.server_command(&["team", "add", "--team", team, "--username", username, "--role", role]).await;
    hive.anonymous().with("x-api-key", &hive.new_api_key(username).await)
}

fn names(results: &Value) -> BTreeSet<&str> {
    results.as_array().unwrap().iter().map(|result| text(&result["satellite_name"])).collect()
}

#[tokio::test]
async fn a_group_is_a_target_wherever_satellites_are() {
    let hive = TestHive::start().await;
    let _web = satellite(&hive, "web-server-01", None, &["production", "web"]).await;
    let _canary = satellite(&hive, "web-server-02", None, &["production", "web", "canary"]).await;
    let db = satellite(&hive, "database-01", None, &["production"]).await;
    let rest = hive.rest();
    let new = json!({"name": "web", "query": "production AND(web OR api) AND NOT canary", "members": [db.id()]});
    let created = rest.post(GROUPS, &new).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let group = created.data();
    assert_eq!(group["query"], "production AND (web OR api) AND NOT canary");
    assert_eq!((&group["members"], &group["satellite_count"]), (&json!([db.id()]), &json!(2)));
    let path = format!("{GROUPS}/{}", text(&group["id"]));
    assert_eq!(rest.get(&path).await.data(), group);
    let listed = rest.get("/api/v1/groups?search=WE").await.json();
    assert_eq!((&listed["data"][0]["name"], &listed["pagination"]["total"]), (&json!("web"), &json!(1)));
    let found = rest.get(&format!("{path}/satellites?per_page=1&page=2")).await.json();
    assert_eq!((&found["data"][0]["name"], &found["pagination"]["total"]), (&json!("web-server-01"), &json!(2)));

    let expected = BTreeSet::from(["database-01", "web-server-01"]);
    let by_group = rest.post(&format!("{path}/exec"), &json!({"command": "true"})).await.data();
    assert_eq!(names(&by_group), expected);
    for target in ["group:web".to_owned(), format!("group:{}", text(&group["id"]))] {
        let ran = rest.post("/api/v1/exec", &json!({"targets": [target], "command": "true"})).await.data();
        assert_eq!(names(&ran), expected, "{target}");
    }
    let by_query = json!({"targets": ["query:canary OR NOT NOT nothing"], "command": "true"});
    assert_eq!(names(&rest.post("/api/v1/exec", &by_query).await.data()), ["web-server-02"].into());
    let job = rest.post("/api/v1/jobs", &json!({"targets": ["group:web"], "command": "true"})).await.data();
    assert_eq!(job["targets"], json!(["group:web"]));
    let printed = hive.cli(["-o", "json", "exec", "group:web", "--", "true"]).await.expect_success().json();
    assert_eq!(names(&printed), expected);

    // What was started before stays as it was.
    assert!(rest.delete(&path).await.is_success());
    assert_eq!(rest.get(&path).await.status, 404);
    let targets = rest.get(&format!("/api/v1/jobs/{}/targets", text(&job["id"]))).await.data();
    assert_eq!(names(&targets), expected);
    let actions = rest.get("/api/v1/audit/logs?per_page=1000").await.data();
    let of_group = |record: &&Value| record["target"]["id"] == group["id"];
    let actions: Vec<_> = actions.as_array().unwrap().iter().filter(of_group).map(|it| text(&it["action"])).collect();
    assert_eq!(actions, ["group.remove", "group.create"]);
}

#[tokio::test]
async fn a_wrong_group_is_refused_with_the_rule() {
    let hive = TestHive::start().await;
    let rest = hive.rest();
    let check = async |body: Value, status: u16, part: &str| {
        let answer = rest.post(GROUPS, &body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert!(answer.text().contains(part), "{body}: {}", answer.text());
    };
    check(json!({"name": "Web"}), 400, "only a-z").await;
    check(json!({"name": ""}), 400, "1 to 32").await;
    check(json!({"name": "web", "query": "web and api"}), 400, "at character 5").await;
    check(json!({"name": "web", "query": "NOT canary"}), 400, "all AND").await;
    check(json!({"name": "web", "member": []}), 400, "unknown field").await;
    check(json!({"name": "web", "members": ["sat_01kge3h900e41861050r3gg28a"]}), 404, "no satellite").await;
    check(json!({"name": "web"}), 201, "grp_").await;
    check(json!({"name": "web"}), 409, "taken").await;
    let empty = rest.post("/api/v1/exec", &json!({"targets": ["group:web"], "command": "true"})).await;
    assert_eq!(empty.refusal(), (400, "INVALID_INPUT".into()));
    let unknown = rest.post("/api/v1/exec", &json!({"targets": ["group:none"], "command": "true"})).await;
    assert_eq!(unknown.refusal(), (404, "NOT_FOUND".into()));
}

#[tokio::test]
async fn a_group_of_another_team_is_not_there() {
    let hive = TestHive::start().await;
    let (ops, dev) = (hive.new_team("ops").await, hive.new_team("dev").await);
    let ours = satellite(&hive, "satellite-ops", Some(&ops), &["web"]).await;
    let _theirs = satellite(&hive, "satellite-dev", Some(&dev), &["web", "secret"]).await;
    let _global = satellite(&hive, "satellite-all", None, &["web"]).await;
    let olga = member(&hive, "olga", "ops", "admin").await;
    let dora = member(&hive, "dora", "dev", "admin").await;
    let new = json!({"name": "web", "team_id": ops, "query": "web", "members": [ours.id()]});
    let group = olga.post(GROUPS, &new).await.data();
    assert_eq!(group["satellite_count"], 1, "those of the team alone");
    let id = text(&group["id"]).to_owned();
    let run = json!({"command": "true"});
    for (method, rest, body) in [
        ("GET", "", Value::Null),
        ("PUT", "", json!({"name": "mine"})),
        ("DELETE", "", Value::Null),
        ("GET", "/satellites", Value::Null),
        ("POST", "/exec", run.clone()),
    ] {
        let answer = dora.call(method, &format!("{GROUPS}/{id}{rest}")).json(&body).answer().await;
        assert_eq!(answer.status, 404, "{method} {rest}: {}", answer.text());
    }
    for target in [format!("group:{id}"), "group:web".into()] {
        for path in ["/api/v1/exec", "/api/v1/jobs"] {
            let answer = dora.post(path, &json!({"targets": [target], "command": "true"})).await;
            assert_eq!(answer.refusal(), (404, "NOT_FOUND".into()), "{path} {target}");
        }
    }
    for query in ["", &format!("?team={ops}"), "?search=web"] {
        assert_eq!(dora.get(&format!("{GROUPS}{query}")).await.data(), json!([]), "{query}");
    }
    assert_eq!(dora.post(GROUPS, &new).await.status, 404, "the team is hidden");
    let tags = |answer: Value| answer.as_array().unwrap().iter().map(|tag| text(&tag["tag"]).to_owned()).collect();
    let seen: Vec<String> = tags(olga.get("/api/v1/tags").await.data());
    assert_eq!(seen, ["web"]);
    assert_eq!(hive.rest().get("/api/v1/tags?search=web").await.data(), json!([{"tag": "web", "satellites": 3}]));
    assert_eq!(names(&olga.post(&format!("{GROUPS}/{id}/exec"), &run).await.data()), ["satellite-ops"].into());
}

#[tokio::test]
async fn a_request_is_for_as_many_satellites_as_were_confirmed() {
    let mut options = ServerOptions::default();
    options.args.extend(["--confirm-jobs-above", "1"].map(Into::into));
    let hive = TestHive::start_with(options).await;
    let _one = satellite(&hive, "web-server-01", None, &["web"]).await;
    let _two = satellite(&hive, "web-server-02", None, &["web"]).await;
    let rest = hive.rest();
    let group = rest.post(GROUPS, &json!({"name": "web", "query": "web"})).await.data();
    let exec = format!("{GROUPS}/{}/exec", text(&group["id"]));
    let body = |path: &str, confirm: Option<u64>| {
        let mut body = json!({"command": "true"});
        if !path.starts_with(GROUPS) {
            body["targets"] = json!(["group:web"]);
        }
        if let Some(confirm) = confirm {
            body["confirm"] = confirm.into();
        }
        body
    };
    for path in ["/api/v1/exec", "/api/v1/jobs", exec.as_str()] {
        for confirm in [None, Some(1), Some(3)] {
            let answer = rest.post(path, &body(path, confirm)).await;
            assert_eq!(answer.refusal(), (409, "CONFLICT".into()), "{path} {confirm:?}");
            let details = json!({"satellites": 2, "confirmed": confirm, "confirm_above": 1});
            assert_eq!(answer.json()["error"]["details"], details, "{path} {confirm:?}");
        }
    }
    assert_eq!(rest.get("/api/v1/jobs").await.data(), json!([]), "nothing was stored");
    for path in ["/api/v1/exec", "/api/v1/jobs", exec.as_str()] {
        assert!(rest.post(path, &body(path, Some(2))).await.is_success(), "{path}");
    }
    let small = rest.post("/api/v1/exec", &json!({"targets": ["web-server-01"], "command": "true"})).await;
    assert!(small.is_success(), "one is not more than one: {}", small.text());
    let refused = hive.cli(["exec", "all", "--", "true"]).await;
    assert!(refused.code == Some(73) && refused.stderr.contains("--yes"), "{refused:?}");
    hive.cli(["exec", "--yes", "all", "--", "true"]).await.expect_success();
}

#[tokio::test]
async fn groups_are_managed_on_the_command_line() {
    let hive = TestHive::start().await;
    let _web = satellite(&hive, "web-server-01", None, &["web"]).await;
    let db = satellite(&hive, "database-01", None, &["db"]).await;
    let run = async |args: &[&str]| {
        let args = ["-o", "json", "groups"].iter().chain(args).copied().collect::<Vec<_>>();
        hive.cli(args).await.expect_success().json()
    };
    let created = run(&["create", "edge", "--query", "web", "--member", "database-01"]).await;
    assert_eq!((&created["members"], &created["satellite_count"]), (&json!([db.id()]), &json!(2)));
    assert_eq!(run(&["show", "edge"]).await, created);
    assert_eq!(run(&["list", "--search", "ed"]).await[0]["id"], created["id"]);
    let changed = run(&["update", "edge", "--name", "border", "--no-query", "--add-member", "web-server-01"]).await;
    assert_eq!(
        (&changed["name"], &changed["query"], &changed["satellite_count"]),
        (&json!("border"), &Value::Null, &json!(2))
    );
    let changed = run(&["update", "border", "--remove-member", "database-01"]).await;
    assert_eq!(changed["satellite_count"], 1);
    let members = run(&["members", "border"]).await;
    assert_eq!((&members[0]["name"], members.as_array().map(Vec::len)), (&json!("web-server-01"), Some(1)));
    let table = hive.cli(["groups", "list"]).await.expect_success().stdout;
    assert!(table.contains("NAME") && table.contains("border"), "{table}");
    let queued = hive.cli(["-o", "json", "exec", "--no-wait", "group:border", "--", "true"]).await.expect_success();
    assert_eq!(names(&queued.json()), ["web-server-01"].into());

    let wrong = hive.cli(["groups", "create", "web", "--query", "web AND"]).await;
    assert!(wrong.code == Some(2) && wrong.stderr.contains("at character 8"), "{wrong:?}");
    let unasked = hive.cli(["groups", "delete", "border"]).await;
    assert!(unasked.code == Some(2) && unasked.stderr.contains("--yes"), "{unasked:?}");
    assert_eq!(run(&["delete", "border", "--yes"]).await["removed"], true);
    let gone = hive.cli(["groups", "show", "border"]).await;
    assert!(gone.code == Some(68) && gone.stderr.contains("hive groups list"), "{gone:?}");
}
