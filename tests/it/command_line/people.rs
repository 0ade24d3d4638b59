//! Users, teams and keys.

use hive_testkit::TestHive;

use super::Home;

#[tokio::test]
async fn users_are_added_promoted_and_shut_out() {
    let hive = TestHive::start().await;
    let home = Home::new();
    let new = hive.cli(["-o", "json", "users", "create", "anna"]).await.expect_success().json();
    let log_in = async |password: &str| {
        home.run_with(&format!("{password}\n"), ["login", hive.url(), "--username", "anna"]).await
    };
    log_in(new["password"].as_str().unwrap()).await.expect_success();
    assert_eq!(home.run(["users", "list"]).await.code, Some(77), "she is no admin");

    hive.cli(["users", "role", "anna", "admin"]).await.expect_success();
    let list = home.run(["users", "list"]).await.expect_success();
    assert!(list.stdout.contains("anna") && list.stdout.contains("global_admin"), "{}", list.stdout);
    hive.cli(["users", "disable", "anna"]).await.expect_success();
    assert_eq!(home.run(["whoami"]).await.code, Some(67));
    let shown = hive.cli(["users", "get", "anna"]).await.expect_success();
    assert!(shown.stdout.contains("disabled"), "{}", shown.stdout);
    hive.cli(["users", "enable", "anna"]).await.expect_success();
    home.run(["whoami"]).await.expect_success();

    let reset = hive.cli(["-o", "json", "users", "reset-password", "anna"]).await.expect_success().json();
    let password = reset["password"].as_str().unwrap();
    assert_eq!(log_in(new["password"].as_str().unwrap()).await.code, Some(67), "the first one is not valid any more");
    log_in(password).await.expect_success();
    home.run_with(&format!("{password}\nher own long words\n"), ["passwd"]).await.expect_success();
    log_in("her own long words").await.expect_success();
    let unknown = hive.cli(["users", "disable", "ana"]).await;
    assert!(unknown.code == Some(68) && unknown.stderr.contains("hive users list"), "{}", unknown.stderr);
}

#[tokio::test]
async fn teams_are_filled_and_emptied() {
    let hive = TestHive::start().await;
    for name in ["anna", "ben"] {
        hive.cli(["users", "create", name]).await.expect_success();
    }
    hive.cli(["teams", "create", "ops"]).await.expect_success();
    hive.cli(["teams", "members", "add", "ops", "anna", "ben", "--role", "operator"]).await.expect_success();
    hive.cli(["teams", "members", "add", "ops", "ben", "--role", "admin"]).await.expect_success();
    let members = async || {
        let list = hive.cli(["-o", "json", "teams", "members", "list", "ops"]).await.expect_success().json();
        let words = |member: &serde_json::Value| format!("{} {}", member["username"], member["role"]).replace('"', "");
        list.as_array().unwrap().iter().map(words).collect::<Vec<_>>()
    };
    assert_eq!(members().await, ["anna operator", "ben admin"]);
    let unknown = hive.cli(["teams", "members", "remove", "ops", "anna", "carl"]).await;
    assert!(unknown.code == Some(68) && unknown.stderr.contains("teams members list ops"), "{}", unknown.stderr);
    assert_eq!(members().await.len(), 2, "all or none");
    hive.cli(["teams", "members", "remove", "ops", "anna"]).await.expect_success();
    assert_eq!(members().await, ["ben admin"]);

    let token = hive.cli(["tokens", "create", "--team", "ops"]).await.expect_success();
    assert!(token.stdout.starts_with("hive_satellite_team_"), "{}", token.stdout);
    let token = hive.cli(["tokens", "create"]).await.expect_success();
    assert!(token.stdout.starts_with("hive_satellite_global_"), "{}", token.stdout);
}

#[tokio::test]
async fn a_key_is_made_rotated_and_revoked() {
    let hive = TestHive::start().await;
    let made = hive.cli(["-o", "json", "api-keys", "create", "--name", "backup"]).await.expect_success().json();
    let id = made["info"]["id"].as_str().unwrap();
    let status = async |key: &str| hive.anonymous().with("x-api-key", key).get("/api/v1/auth/me").await.status;
    let first = made["api_key"].as_str().unwrap();
    assert_eq!(status(first).await, 200);
    let second = hive.cli(["api-keys", "rotate", id]).await.expect_success().stdout.trim().to_owned();
    assert_eq!((status(first).await, status(&second).await), (401, 200));
    hive.cli(["keys", "revoke", id]).await.expect_success();
    assert_eq!(status(&second).await, 401);
}
