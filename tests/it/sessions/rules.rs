//! Who may have terminals, and how many.

use hive_core::wire::api::SessionCreate;
use hive_core::wire::session::AttachRequest;
use hive_testkit::SatelliteOptions;
use serde_json::json;

use super::{SHELL, Site};
use crate::support::text;

#[tokio::test]
async fn there_is_room_for_so_many_terminals_on_a_satellite() {
    let site = Site::start_with(&["--max-sessions-per-agent", "3"], &[]).await;
    let remote = site.remote();
    // At once, so that the limit is tested in a race.
    let opening = (0..8).map(|_| remote.create(site.wanted()));
    let opened = futures_util::future::join_all(opening).await;
    let (open, refused): (Vec<_>, Vec<_>) = opened.into_iter().partition(Result::is_ok);
    assert_eq!((open.len(), refused.len()), (3, 5));
    for error in refused {
        assert_eq!(error.unwrap_err().code().as_str(), "SESSION_LIMIT");
    }
    let body = json!({"satellite_id": site.satellite.id()});
    assert_eq!(site.hive.rest().post("/api/v1/sessions", &body).await.refusal(), (429, "SESSION_LIMIT".into()));
    // One that ended makes room, and another satellite has its own.
    let first = open.into_iter().next().unwrap().unwrap();
    remote.terminate(first.id).await.unwrap();
    site.open().await;
    let other = site.hive.satellite("web-server-02").await;
    remote.create(SessionCreate::on(other.id().parse().unwrap())).await.unwrap();
}

#[tokio::test]
async fn a_terminal_of_another_team_is_none() {
    let site = Site::start().await;
    let hive = &site.hive;
    let (ours, theirs) = (hive.new_team("ours").await, hive.new_team("theirs").await);
    let mut keys = Vec::new();
    for (name, team) in [("ours-user", "ours"), ("their-user", "theirs")] {
        hive.server_command(&["user", "create", "--username", name]).await;
        hive.server_command(&["team", "add", "--team", team, "--username", name, "--role", "admin"]).await;
        keys.push(hive.new_api_key(name).await);
    }
    let [our_key, their_key] = keys.try_into().unwrap();
    let options = SatelliteOptions { team_id: Some(ours), ..SatelliteOptions::default() };
    let satellite = hive.satellite_with("team-server-01", options).await;
    drop(theirs);

    let our_side = hive.anonymous().with("x-api-key", &our_key);
    let body = json!({"satellite_id": satellite.id(), "shell": SHELL});
    let session = our_side.post("/api/v1/sessions", &body).await.data();
    let path = format!("/api/v1/sessions/{}", text(&session["id"]));

    let their_side = hive.anonymous().with("x-api-key", &their_key);
    // `exit` and a newline: were it typed, the session would end.
    let typed = json!({"data": "ZXhpdAo="});
    for (method, path, body) in [
        ("GET", path.clone(), json!({})),
        ("DELETE", path.clone(), json!({})),
        ("POST", format!("{path}/input"), typed),
        ("POST", format!("{path}/resize"), json!({"cols": 10, "rows": 10})),
    ] {
        let answer = their_side.call(method, &path).json(&body).answer().await;
        assert_eq!(answer.refusal(), (404, "SESSION_NOT_FOUND".into()), "{method} {path}");
    }
    assert_eq!(their_side.post("/api/v1/sessions", &body).await.refusal(), (404, "SATELLITE_NOT_FOUND".into()));
    assert_eq!(their_side.get("/api/v1/sessions").await.data(), json!([]));
    let remote = hive_core::RemoteHive::connect(hive.url(), their_key.into()).unwrap();
    let id = text(&session["id"]).parse().unwrap();
    let attached = remote.sessions().attach(id, AttachRequest::default()).await;
    assert_eq!(attached.unwrap_err().code().as_str(), "SESSION_NOT_FOUND");
    assert_eq!(our_side.get(&path).await.data()["status"], "open");
}

#[tokio::test]
async fn without_a_link_there_is_no_terminal() {
    let mut site = Site::start().await;
    site.satellite.process().stop().await;
    site.hive.until_online(&site.satellite, false).await;
    let refused = site.remote().create(site.wanted()).await.unwrap_err();
    assert_eq!(refused.code().as_str(), "SATELLITE_OFFLINE");
    let all = site.hive.rest().get("/api/v1/sessions?ended=true").await.data();
    assert_eq!(all, json!([]), "nothing was stored");
}
