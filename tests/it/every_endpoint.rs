//! Every path, called by the wrong caller.

use hive_testkit::TestHive;
use serde_json::json;

/// All paths that want to know who is calling.
const PATHS: [(&str, &str); 60] = [
    ("GET", "/api/v1/auth/me"),
    ("GET", "/api/v1/satellites"),
    ("GET", "/api/v1/satellites/SAT"),
    ("PUT", "/api/v1/satellites/SAT"),
    ("DELETE", "/api/v1/satellites/SAT"),
    ("GET", "/api/v1/satellites/by-tag/web"),
    ("POST", "/api/v1/satellites/SAT/disconnect"),
    ("POST", "/api/v1/satellites/SAT/exec"),
    ("POST", "/api/v1/satellites/SAT/exec?wait=false"),
    ("POST", "/api/v1/satellites/SAT/power"),
    ("GET", "/api/v1/satellites/SAT/commands"),
    ("GET", "/api/v1/events"),
    ("POST", "/api/v1/exec"),
    ("GET", "/api/v1/commands/CMD"),
    ("POST", "/api/v1/commands/CMD/cancel"),
    ("GET", "/api/v1/commands/CMD/output"),
    ("POST", "/api/v1/jobs"),
    ("GET", "/api/v1/jobs"),
    ("GET", "/api/v1/jobs/JOB"),
    ("GET", "/api/v1/jobs/JOB/targets"),
    ("GET", "/api/v1/jobs/JOB/events"),
    ("POST", "/api/v1/jobs/JOB/cancel"),
    ("GET", "/api/v1/sessions"),
    ("POST", "/api/v1/sessions"),
    ("GET", "/api/v1/sessions/SESS"),
    ("DELETE", "/api/v1/sessions/SESS"),
    ("POST", "/api/v1/sessions/SESS/input"),
    ("POST", "/api/v1/sessions/SESS/resize"),
    ("GET", "/api/v1/sessions/SESS/attach"),
    ("GET", "/api/v1/satellites/SAT/sessions"),
    ("GET", "/api/v1/registration-tokens"),
    ("POST", "/api/v1/registration-tokens"),
    ("DELETE", "/api/v1/registration-tokens/REG"),
    ("POST", "/api/v1/auth/password"),
    ("GET", "/api/v1/users"),
    ("POST", "/api/v1/users"),
    ("GET", "/api/v1/users/USR"),
    ("PUT", "/api/v1/users/USR"),
    ("POST", "/api/v1/users/USR/password"),
    ("GET", "/api/v1/teams"),
    ("POST", "/api/v1/teams"),
    ("GET", "/api/v1/teams/TEAM/members"),
    ("PUT", "/api/v1/teams/TEAM/members"),
    ("DELETE", "/api/v1/teams/TEAM/members/USR"),
    ("GET", "/api/v1/api-keys"),
    ("POST", "/api/v1/api-keys"),
    ("DELETE", "/api/v1/api-keys/KEY"),
    ("POST", "/api/v1/api-keys/KEY/rotate"),
    ("GET", "/api/v1/audit/logs"),
    ("POST", "/api/v1/audit/logs"),
    ("GET", "/api/v1/audit/logs/AUD"),
    ("GET", "/api/v1/audit/export"),
    ("GET", "/api/v1/audit/verify"),
    ("POST", "/api/satellites/SAT/heartbeat"),
    ("POST", "/api/satellites/register"),
    ("GET", "/api/satellites/global/registration-tokens"),
    ("POST", "/api/satellites/global/registration-tokens"),
    ("GET", "/api/teams/TEAM/satellites/registration-tokens"),
    ("POST", "/api/teams/TEAM/satellites/registration-tokens"),
    ("DELETE", "/api/teams/TEAM/satellites/registration-tokens/REG"),
];

/// Paths for everybody.
const OPEN_PATHS: [&str; 5] =
    ["/health", "/health/live", "/health/ready", "/api/health", "/api/satellites/register/status"];

/// Puts ids of the right shape, of nothing, where the path wants one.
fn fill(path: &str) -> String {
    let id = "01kge3h900e41861050r3gg28a";
    let words = [
        ("SESS", "sess"),
        ("SAT", "sat"),
        ("CMD", "cmd"),
        ("JOB", "job"),
        ("REG", "reg"),
        ("KEY", "key"),
        ("USR", "usr"),
        ("AUD", "aud"),
        ("TEAM", "team"),
    ];
    words.iter().fold(path.to_owned(), |path, (word, prefix)| path.replace(word, &format!("{prefix}_{id}")))
}

#[tokio::test]
async fn who_does_not_say_who_they_are_gets_nothing() {
    let hive = TestHive::start().await;
    let satellite = hive.satellite("web-server-01").await;
    let callers = [
        hive.anonymous(),
        hive.anonymous().with("x-api-key", ""),
        hive.anonymous()
            // A key of the right form that was never made.
            .with("x-api-key", "hive_key_01kge3h900e41861050r3gg28a_0123456789012345678901234567890123456789012"),
        // A valid key, of the wrong kind.
        hive.anonymous().with("x-api-key", satellite.api_key()),
        // A JWT with the algorithm `none` (RFC 8725, section 2.1).
        hive.anonymous().bearer("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."),
    ];
    for (method, path) in PATHS {
        for caller in &callers {
            let answer = caller.call(method, &fill(path)).json(&json!({"name": "web-server-02"})).answer().await;
            assert_eq!(answer.status, 401, "{method} {path}: {}", answer.text());
            assert_eq!(answer.json()["success"], false, "{method} {path}");
        }
    }
    for path in OPEN_PATHS {
        assert!(hive.anonymous().get(path).await.is_success(), "{path}");
    }
    let socket = hive.anonymous().get("/ws/agent").await;
    assert!(matches!(socket.status, 401 | 426), "{}", socket.text());
    assert!(hive.rest().get("/api/v1/satellites").await.is_success(), "nobody was locked out");
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let hive = TestHive::start().await;
    for (method, path) in PATHS {
        // Without an upgrade there is nothing to attach to, whatever it is.
        if path.ends_with("/attach") {
            continue;
        }
        let is_about_one = ["SESS", "SAT", "CMD", "JOB", "REG", "KEY", "AUD", "USR", "/TEAM/members"]
            .iter()
            .any(|word| path.contains(word));
        if !is_about_one || path.starts_with("/api/satellites") {
            continue;
        }
        let body = match path {
            _ if path.contains("exec") => json!({"command": "true"}),
            _ if path.ends_with("power") => json!({"action": "reboot"}),
            _ if path.ends_with("input") => json!({"data": "ZXhpdAo="}),
            _ if path.ends_with("members") => json!({"username": "admin", "role": "viewer"}),
            _ if path.ends_with("resize") => json!({"cols": 100, "rows": 30}),
            _ => json!({}),
        };
        let answer = hive.rest().call(method, &fill(path)).json(&body).answer().await;
        assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text());
    }
    assert_eq!(hive.rest().get("/api/v1/nothing").await.status, 404);
    assert_eq!(hive.rest().delete("/api/v1/auth/me").await.status, 405);
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused() {
    let hive = TestHive::start().await;
    let satellite = hive.satellite("web-server-01").await;
    let command = json!({"command": "x".repeat(2 * 1024 * 1024)});
    let answer = hive.rest().post(&satellite.path("/exec"), &command).await;
    assert_eq!(answer.refusal(), (413, "PAYLOAD_TOO_LARGE".into()));
    let garbage = hive.rest().call("POST", &satellite.path("/exec")).body("{").with("content-type", "application/json");
    assert_eq!(garbage.answer().await.refusal().1, "INVALID_INPUT");
}
