//! `hive login`, `logout` and `profiles`.

use std::os::unix::fs::PermissionsExt;

use hive_testkit::{Finished, TestHive};
use serde_json::{Value, json};

use super::Home;

/// What is kept of the logins, and the file's mode.
pub(super) fn stored(home: &Home) -> (String, u32) {
    let path = home.path().join(".config/satellite-hive/profiles.json");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    (std::fs::read_to_string(path).unwrap(), mode)
}

async fn url_in_use(home: &Home, args: &[&str]) -> Value {
    home.run(["-o", "json", "whoami"].iter().chain(args)).await.expect_success().json()["url"].clone()
}

#[tokio::test]
async fn logins_to_several_hives_are_kept_and_chosen_by_name() {
    let (first, second) = (TestHive::start().await, TestHive::start().await);
    let home = Home::new();
    let said = home.log_in(&first, &["--profile", "first"]).await.expect_success();
    assert!(said.stdout.contains("admin is logged in to") && said.stdout.contains("profiles.json"), "{}", said.stdout);
    let (text, mode) = stored(&home);
    let stored: Value = serde_json::from_str(&text).unwrap();
    let key = stored["profiles"]["first"]["api_key"].as_str().expect("there is no keyring here");
    assert_eq!(mode, 0o600);
    assert!(!format!("{}{}", said.stdout, said.stderr).contains(key), "a key is never shown");

    // Without a name it is the host's.
    home.log_in(&second, &[]).await.expect_success();
    let host = second.url().strip_prefix("http://").unwrap();
    let list = home.run(["-o", "json", "profiles", "list"]).await.expect_success().json();
    let names: Vec<_> =
        list.as_array().unwrap().iter().map(|profile| (&profile["name"], &profile["current"])).collect();
    assert_eq!(names, [(&json!(host), &json!(true)), (&json!("first"), &json!(false))]);

    assert_eq!(url_in_use(&home, &[]).await, second.url());
    assert_eq!(url_in_use(&home, &["--profile", "first"]).await, first.url());
    assert_eq!(url_in_use(&home, &["--url", first.url()]).await, first.url());
    let mut by_variable = home.command(["-o", "json", "whoami"]);
    by_variable.env("HIVE_PROFILE", "first");
    assert_eq!(Finished::run(by_variable).await.expect_success().json()["profile"], "first");
    home.run(["profiles", "use", "first"]).await.expect_success();
    assert_eq!(url_in_use(&home, &[]).await, first.url());
    let unknown = home.run(["whoami", "--profile", "frist"]).await;
    assert!(unknown.code == Some(2) && unknown.stderr.contains("first"), "{}", unknown.stderr);

    home.run(["profiles", "remove", "first"]).await.expect_success();
    assert_eq!(url_in_use(&home, &[]).await, second.url(), "the only one left is used");
    assert_eq!(first.rest().with("x-api-key", key).get("/api/v1/auth/me").await.status, 200, "the key is still valid");
}

#[tokio::test]
async fn who_logs_out_leaves_no_valid_key() {
    let mut hive = TestHive::start().await;
    let home = Home::new();
    home.log_in(&hive, &[]).await.expect_success();
    home.log_in(&hive, &[]).await.expect_success();
    let keys = hive.rest().get("/api/v1/api-keys").await.data();
    let of_logins: Vec<_> =
        keys.as_array().unwrap().iter().filter(|key| key["name"].as_str().unwrap().contains("login")).collect();
    let open = of_logins.iter().filter(|key| key["revoked_at"].is_null()).count();
    assert_eq!((of_logins.len(), open), (2, 1), "the key of the login before is revoked");

    // Without the hive the key cannot be revoked, so that the logout must fail.
    hive.kill_server();
    let away = home.run(["logout"]).await;
    assert_eq!(away.code, Some(69));
    assert!(away.stderr.contains("hive profiles remove"), "{}", away.stderr);
    hive.restart_server().await;
    let key: Value = serde_json::from_str(&stored(&home).0).unwrap();
    let key = key["profiles"].as_object().unwrap().values().next().unwrap()["api_key"].as_str().unwrap().to_owned();
    home.run(["logout"]).await.expect_success();
    assert_eq!(hive.anonymous().with("x-api-key", &key).get("/api/v1/auth/me").await.status, 401);
    assert_eq!(home.run(["whoami"]).await.code, Some(78));
    assert_eq!(home.run(["logout"]).await.code, Some(78));
}

#[tokio::test]
async fn a_password_is_asked_for_and_never_seen() {
    let hive = TestHive::start().await;
    let home = Home::new();
    let mut console = home.console(["login", hive.url()]);
    console.until_text("Username:").await;
    console.type_keys("admin\r").await;
    console.until_text("Password:").await;
    assert!(!console.echoes(), "it is asked for once nothing is shown any more");
    console.type_keys(format!("{}\r", hive.password())).await;
    assert_eq!(console.exit_code().await, 0, "{}", console.text());
    assert!(console.text().contains("is logged in"), "{}", console.text());
    assert!(!String::from_utf8_lossy(&console.bytes()).contains(hive.password()));

    let wrong = home.run_with("wrong-password\n", ["login", hive.url(), "--username", "admin"]).await;
    assert!(wrong.code == Some(67) && wrong.stderr.contains("reset-password admin"), "{}", wrong.stderr);
    let nobody = home.run_with("x\n", ["login", hive.url()]).await;
    assert!(nobody.code == Some(2) && nobody.stderr.contains("--username"), "{}", nobody.stderr);
}

#[tokio::test]
async fn a_key_that_somebody_has_is_kept_as_a_login() {
    let hive = TestHive::start().await;
    let home = Home::new();
    let args = ["login", hive.url(), "--with-key", "--profile", "robot"];
    home.run_with(&format!("{}\n", hive.api_key()), args).await.expect_success();
    assert_eq!(url_in_use(&home, &[]).await, hive.url());
    let refused = home.run_with("hive_key_of_nobody\n", ["login", hive.url(), "--with-key"]).await;
    assert_eq!(refused.code, Some(67), "{}", refused.stderr);
}

#[tokio::test]
async fn the_profile_of_an_earlier_version_is_found() {
    let hive = TestHive::start().await;
    let home = Home::new();
    let directory = home.path().join(".config/satellite-hive");
    std::fs::create_dir_all(&directory).unwrap();
    let old = directory.join("profile.json");
    std::fs::write(&old, json!({"url": hive.url(), "api_key": hive.api_key()}).to_string()).unwrap();
    std::fs::set_permissions(&old, PermissionsExt::from_mode(0o600)).unwrap();
    let me = home.run(["-o", "json", "whoami"]).await.expect_success().json();
    assert_eq!(me["profile"], "default");
    home.log_in(&hive, &["--profile", "new"]).await.expect_success();
    assert!(!old.exists(), "the key lies in one place");
    assert_eq!(url_in_use(&home, &["--profile", "default"]).await, hive.url());
}
