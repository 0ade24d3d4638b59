//! `Idempotency-Key` on calls that give no command and no job: each is carried out once, and answered as before.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use hive_testkit::{Answer, Engine, Rest, SatelliteOptions, Signal, TestHive, until};
use serde_json::{Value, json};

use crate::support::text;

const TEAMS: &str = "/api/v1/teams";
const NOTES: &str = "/api/v1/audit/logs";
/// The calls that are open when the server dies.
const CALLS: usize = 100;

async fn post(rest: &Rest, path: &str, key: &str, body: &Value) -> Answer {
    rest.call("POST", path).with("idempotency-key", key).json(body).answer().await
}

/// Makes a call again and again while its first one runs.
async fn post_until_ended(rest: &Rest, path: &str, key: &str, body: &Value) -> Answer {
    loop {
        let answer = post(rest, path, key, body).await;
        if answer.status != 409 || reason(&answer) != "in_progress" {
            return answer;
        }
        assert_eq!(answer.headers["retry-after"], "1");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

fn reason(answer: &Answer) -> String {
    answer.json()["error"]["details"]["reason"].as_str().unwrap_or_default().to_owned()
}

/// Asserts that a call is refused because of its key.
fn expect_conflict(answer: &Answer, expected: &str) {
    answer.assert_error(409, "CONFLICT");
    let error = &answer.json()["error"];
    assert_eq!(
        (&error["details"]["reason"], &error["details"]["header"]),
        (&json!(expected), &json!("Idempotency-Key"))
    );
    assert!(text(&error["message"]).contains("Idempotency-Key"), "{error}");
}

/// Somebody who is in this team alone.
async fn member(hive: &TestHive, username: &str, team: &str, role: &str) -> Rest {
    hive.server_command(&["user", "create", "--username", username]).await;
    hive.server_command(&["team", "add", "--team", team, "--username", username, "--role", role]).await;
    hive.anonymous().with("x-api-key", &hive.new_api_key(username).await)
}

#[tokio::test]
async fn fifty_calls_at_once_make_one_user_and_one_team() {
    let hive = TestHive::start().await;
    let (rest, anna, web) = (hive.rest(), json!({ "username": "anna" }), json!({ "slug": "web" }));
    let answers = join_all((0..50).map(|_| post(&rest, "/api/v1/users", "anna", &anna)));
    let (made, refused): (Vec<_>, Vec<_>) = answers.await.into_iter().partition(Answer::is_success);
    assert_eq!(made.len(), 1, "the password is shown once");
    for answer in refused {
        assert!(["in_progress", "secret"].contains(&reason(&answer).as_str()), "{}", answer.text());
    }
    let users = rest.get("/api/v1/users").await.data();
    assert_eq!(users.as_array().unwrap().iter().filter(|user| user["username"] == "anna").count(), 1);

    let answers = join_all((0..50).map(|_| post_until_ended(&rest, TEAMS, "web", &web))).await;
    assert!(answers.iter().all(|answer| answer.status == 201 && answer.body == answers[0].body));
    let made = rest.get(&format!("{NOTES}?action=team.create&per_page=100")).await.json();
    assert_eq!(made["pagination"]["total"], 1);
}

#[tokio::test]
async fn two_servers_carry_out_a_call_once() {
    let hive = TestHive::start().await;
    let (_second, other) = hive.second_server().await;
    let (one, body) = (hive.rest(), json!({ "slug": "web" }));
    let calls = (0..50).map(|number| {
        let rest = if number % 2 == 0 { &one } else { &other };
        post_until_ended(rest, TEAMS, "web", &body)
    });
    let answers = join_all(calls).await;
    assert!(answers.iter().all(|answer| answer.status == 201 && answer.body == answers[0].body));
}

#[tokio::test]
async fn the_same_call_gets_the_same_bytes_after_a_restart() {
    let mut hive = TestHive::start().await;
    let body = json!({ "slug": "web" });
    let first = post(&hive.rest(), TEAMS, "once", &body).await;
    assert_eq!(first.status, 201, "{}", first.text());
    hive.kill_server();
    hive.restart_server().await;
    let again = post(&hive.rest(), TEAMS, "once", &body).await;
    assert_eq!((again.status, &again.body), (201, &first.body));
    for header in ["content-type", "cache-control", "x-content-type-options"] {
        assert_eq!(again.headers[header], first.headers[header]);
    }
    // All routes are one namespace, and so are the keys of commands.
    let rest = hive.rest();
    expect_conflict(&post(&rest, TEAMS, "once", &json!({ "slug": "db" })).await, "other_request");
    expect_conflict(&post(&rest, "/api/v1/groups", "once", &json!({ "name": "web" })).await, "other_request");
    let satellite = hive.satellite("web-server-01").await;
    let run = json!({ "command": "true" });
    expect_conflict(&post(&rest, &satellite.path("/exec"), "once", &run).await, "other_request");
    assert!(post(&rest, &satellite.path("/exec"), "run", &run).await.is_success());
    expect_conflict(&post(&rest, TEAMS, "run", &body).await, "other_request");
}

#[tokio::test]
async fn the_key_of_another_user_is_another_key() {
    let hive = TestHive::start().await;
    let ops = hive.new_team("ops").await;
    let anna = member(&hive, "anna", "ops", "admin").await;
    let group = json!({ "name": "web", "team_id": ops });
    assert_eq!(post(&hive.rest(), TEAMS, "one", &json!({ "slug": "web" })).await.status, 201);
    assert_eq!(post(&anna, "/api/v1/groups", "one", &group).await.status, 201);
    // Another API key of the same user has the same keys.
    let created = post(&anna, "/api/v1/api-keys", "two", &json!({ "name": "ci" })).await.data();
    let ci = hive.anonymous().with("x-api-key", text(&created["api_key"]));
    let (first, again) = (post(&anna, "/api/v1/groups", "one", &group), post(&ci, "/api/v1/groups", "one", &group));
    assert_eq!(first.await.body, again.await.body);
}

#[tokio::test]
async fn a_secret_is_shown_once() {
    let mut hive = TestHive::start().await;
    let team = hive.new_team("ops").await;
    let rest = hive.rest();
    let user = rest.post("/api/v1/users", &json!({ "username": "ulf" })).await.data()["user"]["id"].clone();
    let key = rest.post("/api/v1/api-keys", &json!({ "name": "ci" })).await.data()["info"]["id"].clone();
    let token = json!({ "scope": "global" });
    let calls = [
        ("/api/v1/users".to_owned(), json!({ "username": "anna" }), "/data/password", Some("/data/user/id")),
        (format!("/api/v1/users/{}/password", text(&user)), json!({}), "/data/password", None),
        ("/api/v1/api-keys".to_owned(), json!({ "name": "backup" }), "/data/api_key", Some("/data/info/id")),
        (format!("/api/v1/api-keys/{}/rotate", text(&key)), json!({}), "/data/api_key", None),
        ("/api/v1/registration-tokens".to_owned(), token, "/data/token", Some("/data/id")),
        ("/api/satellites/global/registration-tokens".to_owned(), json!({}), "/token", Some("/id")),
        (format!("/api/teams/{team}/satellites/registration-tokens"), json!({}), "/token", Some("/id")),
    ];
    let mut shown = Vec::new();
    for (path, body, secret, id) in &calls {
        let first = post(&rest, path, path, body).await;
        assert!(first.is_success(), "{path}: {}", first.text());
        let first = first.json();
        let id = match id {
            Some(pointer) => first.pointer(pointer).cloned().unwrap(),
            None if path.contains("users") => user.clone(),
            None => key.clone(),
        };
        shown.push((path, body, text(first.pointer(secret).unwrap()).to_owned(), id));
    }
    for is_restarted in [false, true] {
        if is_restarted {
            hive.kill_server();
            hive.restart_server().await;
        }
        for (path, body, secret, id) in &shown {
            let again = post(&hive.rest(), path, path, body).await;
            assert_eq!(again.status, 409, "{path}: {}", again.text());
            assert!(!again.text().contains(secret.as_str()), "{path}");
            assert!(again.text().contains(text(id)), "{path}: {}", again.text());
            if path.starts_with("/api/v1") {
                expect_conflict(&again, "secret");
                assert_eq!(again.json()["error"]["details"]["id"], *id, "{path}");
            }
        }
    }
    if Engine::of_this_run() == Engine::Sqlite {
        for file in std::fs::read_dir(hive.data_dir()).unwrap().map(|file| file.unwrap().path()) {
            let bytes = if file.is_file() { std::fs::read(&file).unwrap() } else { Vec::new() };
            for (path, _, secret, _) in &shown {
                let is_there = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
                assert!(!is_there, "the secret of {path} is in {}", file.display());
            }
        }
    }
}

#[tokio::test]
async fn a_refused_call_leaves_its_key_free() {
    let hive = TestHive::start().await;
    let rest = hive.rest();
    post(&rest, TEAMS, "a b", &json!({ "slug": "web" })).await.assert_error(400, "INVALID_INPUT");
    post(&rest, TEAMS, &"k".repeat(256), &json!({ "slug": "web" })).await.assert_error(400, "INVALID_INPUT");
    post(&rest, TEAMS, "key", &json!({ "slug": "no slug" })).await.assert_error(400, "INVALID_INPUT");
    post(&rest, TEAMS, "key", &json!({ "slug": "web", "nonsense": 1 })).await.assert_error(400, "INVALID_INPUT");
    let group = rest.post("/api/v1/groups", &json!({ "name": "web" })).await.data();
    let taken = post(&rest, "/api/v1/groups", "key", &json!({ "name": "web" })).await;
    taken.assert_error(409, "CONFLICT");
    assert!(taken.text().contains("taken"), "{}", taken.text());
    assert!(rest.delete(&format!("/api/v1/groups/{}", text(&group["id"]))).await.is_success());
    let made = post(&rest, "/api/v1/groups", "key", &json!({ "name": "web" })).await;
    assert_eq!(made.status, 201, "{}", made.text());
    expect_conflict(&post(&rest, TEAMS, "key", &json!({ "slug": "web" })).await, "other_request");
}

#[tokio::test]
async fn a_kept_answer_is_given_by_the_rights_of_now() {
    let hive = TestHive::start().await;
    let (ops, _) = (hive.new_team("ops").await, hive.new_team("dev").await);
    let options = SatelliteOptions { team_id: Some(ops.clone()), ..SatelliteOptions::default() };
    let satellite = hive.satellite_with("satellite-ops", options).await;
    let (anna, otto) = (member(&hive, "anna", "ops", "admin").await, member(&hive, "otto", "dev", "admin").await);
    let role = async |name: &str, team: &str, role: &str| {
        hive.server_command(&["team", "add", "--team", team, "--username", name, "--role", role]).await;
    };
    let open = json!({ "satellite_id": satellite.id() });
    let group = json!({ "name": "web", "team_id": ops });
    let session = post(&anna, "/api/v1/sessions", "session", &open).await;
    assert_eq!(session.status, 201, "{}", session.text());
    let session_path = format!("/api/v1/sessions/{}/resize", text(&session.data()["id"]));
    let size = json!({ "cols": 100, "rows": 30 });
    let calls =
        [("/api/v1/sessions", "session", &open), ("/api/v1/groups", "group", &group), (&session_path, "size", &size)];
    for (path, key, body) in calls {
        assert!(post(&anna, path, key, body).await.is_success());
    }
    // Somebody else's key says nothing about a session that is hidden from them, and nothing about its own form.
    for key in ["size", "not a key"] {
        assert_eq!(post(&otto, &session_path, key, &size).await.status, 404);
    }
    // A right elsewhere does not help: the call was about a team that she may only see.
    role("anna", "dev", "admin").await;
    role("anna", "ops", "viewer").await;
    for (path, key, body) in calls {
        let refused = post(&anna, path, key, body).await;
        assert_eq!(refused.status, 403, "{path}: {}", refused.text());
    }
    assert_eq!(post(&anna, "/api/v1/users", "not a key", &json!({ "nonsense": 1 })).await.status, 403);
    let id = hive.rest().get("/api/v1/users").await.data();
    let id = id.as_array().unwrap().iter().find(|user| user["username"] == "anna").unwrap()["id"].clone();
    assert!(hive.rest().delete(&format!("{TEAMS}/{ops}/members/{}", text(&id))).await.is_success());
    for (path, key, body) in calls {
        let refused = post(&anna, path, key, body).await;
        assert_eq!(refused.status, 404, "{path}: {}", refused.text());
    }
    // The rights come back, and so do the answers.
    role("anna", "ops", "admin").await;
    for (path, key, body) in calls {
        assert!(post(&anna, path, key, body).await.is_success());
    }
    let disabled = hive.rest().put(&format!("/api/v1/users/{}", text(&id)), &json!({ "disabled": true })).await;
    assert!(disabled.is_success(), "{}", disabled.text());
    for (path, key, body) in calls {
        assert_eq!(post(&anna, path, key, body).await.status, 401);
    }
}

#[tokio::test]
async fn a_caller_who_hangs_up_finds_the_answer_later() {
    let hive = TestHive::start().await;
    let mut satellite = hive.satellite("web-server-01").await;
    let (rest, open) = (hive.rest(), json!({ "satellite_id": satellite.id() }));
    satellite.process().signal(Signal::SIGSTOP);
    let call = post(&rest, "/api/v1/sessions", "session", &open);
    let is_running = async || !rest.get("/api/v1/sessions").await.data().as_array().unwrap().is_empty();
    tokio::select! {
        answer = call => panic!("{}", answer.text()),
        () = until("the session is stored", is_running) => {}
    }
    expect_conflict(&post(&rest, "/api/v1/sessions", "session", &open).await, "in_progress");
    // The connection of the first call is closed here, and the call goes on.
    satellite.process().signal(Signal::SIGCONT);
    let session = post_until_ended(&rest, "/api/v1/sessions", "session", &open).await;
    assert_eq!(session.status, 201, "{}", session.text());
    let sessions = rest.get("/api/v1/sessions").await.data();
    assert_eq!(sessions.as_array().unwrap().len(), 1, "{sessions}");
    assert_eq!(sessions[0]["id"], session.data()["id"]);
}

#[tokio::test]
async fn what_a_killed_server_left_open_is_not_carried_out_again() {
    let mut hive = TestHive::start().await;
    let mut satellite = hive.satellite("web-server-01").await;
    let (rest, open) = (hive.rest(), json!({ "satellite_id": satellite.id() }));
    satellite.process().signal(Signal::SIGSTOP);
    let call = post(&rest, "/api/v1/sessions", "session", &open);
    let is_running = async || !rest.get("/api/v1/sessions").await.data().as_array().unwrap().is_empty();
    tokio::select! {
        answer = call => panic!("{}", answer.text()),
        () = until("the session is stored", is_running) => {}
    }
    hive.kill_server();
    satellite.process().signal(Signal::SIGCONT);
    hive.restart_server().await;
    let refused = post_until_ended(&hive.rest(), "/api/v1/sessions", "session", &open).await;
    expect_conflict(&refused, "outcome_unknown");
    expect_conflict(&post(&hive.rest(), TEAMS, "session", &json!({ "slug": "web" })).await, "other_request");
    // Another key is a new call.
    hive.until_online(&satellite, true).await;
    let again = post(&hive.rest(), "/api/v1/sessions", "another", &open).await;
    assert_eq!(again.status, 201, "{}", again.text());
}

#[tokio::test]
async fn nothing_is_done_twice_over_the_death_of_a_server() {
    let mut hive = TestHive::start().await;
    let rest = hive.rest();
    let note = |number: usize| json!({ "action": "test.note", "target": { "type": "note", "id": format!("note-{number}") }, "details": {} });
    let first = async |number: usize| {
        let call = rest.call("POST", NOTES).with("idempotency-key", format!("note-{number}")).json(&note(number));
        call.send().await.ok().filter(Answer::is_success).map(|answer| answer.body)
    };
    let mut calls = Box::pin(join_all((0..CALLS).map(first)));
    let some_are_stored = async || {
        let found = rest.get(&format!("{NOTES}?action=audit.note&per_page=1")).await.json();
        found["pagination"]["total"].as_u64() > Some(20)
    };
    let early = tokio::select! {
        answers = &mut calls => Some(answers),
        () = until("some are stored", some_are_stored) => None,
    };
    hive.kill_server();
    let answered = match early {
        Some(answers) => answers,
        None => calls.await,
    };
    hive.restart_server().await;
    let rest = hive.rest();
    let again = join_all(
        (0..CALLS).map(async |number| post_until_ended(&rest, NOTES, &format!("note-{number}"), &note(number)).await),
    );
    let again = again.await;
    let stored = rest.get(&format!("{NOTES}?action=audit.note&per_page=1000")).await.data();
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for record in stored.as_array().unwrap() {
        *counts.entry(text(&record["target"]["id"]).to_owned()).or_default() += 1;
    }
    for (number, (before, answer)) in answered.iter().zip(&again).enumerate() {
        let count = counts.get(&format!("note-{number}")).copied().unwrap_or_default();
        if answer.status == 201 {
            assert_eq!(count, 1, "note {number}");
        } else {
            expect_conflict(answer, "outcome_unknown");
            assert!(count <= 1, "note {number}");
        }
        // Whoever had an answer before gets the same one.
        if let Some(before) = before {
            assert_eq!(&answer.body, before);
        }
    }
}

#[tokio::test]
async fn a_call_of_the_command_line_may_be_repeated() {
    let hive = TestHive::start().await;
    let call = ["-o", "json", "api", "POST", "teams", "-f", "slug=web", "--idempotency-key", "once"];
    let first = hive.cli(call).await.expect_success().json();
    assert_eq!(first["data"]["slug"], "web");
    assert_eq!(hive.cli(call).await.expect_success().json(), first);
    let other = hive.cli(["api", "POST", "teams", "-f", "slug=db", "--idempotency-key", "once"]).await;
    assert_eq!(other.code, Some(73));
}
