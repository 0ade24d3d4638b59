//! Whatever goes wrong, `hive` says what to do next, and exits with a number for its kind.

use hive_testkit::{Finished, SatelliteOptions, TestHive};

use super::Home;
use super::other_servers::{tls_server, web_server};
use super::tls::TlsFront;

/// Checks how a call failed: its exit code, and words of what is said about it.
fn check(finished: &Finished, code: i32, words: &[&str]) {
    let Finished { stdout, stderr, .. } = finished;
    assert_eq!(finished.code, Some(code), "{stderr}");
    assert_eq!(stdout, "", "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{word:?} is not in\n{stderr}");
    }
    assert!(stderr.starts_with("hive: ") && stderr.lines().count() >= 2, "what is wrong, and what to do:\n{stderr}");
}

async fn whoami(home: &Home, url: &str) -> Finished {
    Finished::run({
        let mut command = home.command(["whoami", "--url", url]);
        command.env("HIVE_API_KEY", "hive_key_of_nobody");
        command
    })
    .await
}

#[tokio::test]
async fn a_hive_that_is_not_there_is_told_by_what_is_in_the_way() {
    let home = Home::new();
    check(&home.run(["satellites", "list"]).await, 78, &["which hive?", "`hive up`", "`hive login URL`"]);
    check(&home.run(["whoami", "--url", "http://127.0.0.1:1"]).await, 78, &["no key for", "HIVE_API_KEY"]);

    // Closed again at once: a port at which nothing listens.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = whoami(&home, &format!("http://{closed}")).await;
    check(&refused, 69, &["cannot reach http://127.0.0.1", "Connection refused", "`hive up`"]);
    check(&whoami(&home, "http://no-such-host.invalid").await, 69, &["cannot reach", "No such host"]);
    let wrong = whoami(&home, "localhost:3000").await;
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("must start with http"), "{}", wrong.stderr);

    let web = web_server().await;
    check(&whoami(&home, &web.url()).await, 76, &["not as a hive does", "address of a hive"]);
    let tls = tls_server().await;
    check(&whoami(&home, &tls.url()).await, 76, &["cannot reach", &tls.url().replace("http://", "try https://")]);
    assert!(!web.requests().is_empty() && !tls.requests().is_empty());
}

#[tokio::test]
async fn what_a_hive_refuses_comes_with_the_next_step() {
    let hive = TestHive::start().await;
    let mut satellite = hive.satellite("web-server-01").await;
    let home = Home::new();

    check(&whoami(&home, hive.url()).await, 67, &["HIVE_API_KEY", &format!("hive login {}", hive.url())]);
    let elsewhere = format!("{}/behind", hive.url());
    check(&whoami(&home, &elsewhere).await, 76, &["knows no /behind/api/v1/auth/me", "version"]);
    let https = hive.url().replace("http://", "https://");
    check(&whoami(&home, &https).await, 76, &["cannot reach", &format!("try {}", hive.url())]);

    check(&hive.cli(["satellites", "get", "web-sever-01"]).await, 68, &["Did you mean web-server-01?"]);
    check(&hive.cli(["exec", "web-server-1", "--", "true"]).await, 68, &["Did you mean web-server-01?"]);
    check(&hive.cli(["shell", "no-such-thing"]).await, 68, &["no satellite", "`hive satellites list`"]);
    check(&hive.cli(["jobs", "show", "job_01m7zr6n3tf0mb0g8n9t2k5c1d"]).await, 68, &["`hive jobs list`"]);

    let json = hive.cli(["-o", "json", "satellites", "get", "web-sever-01"]).await;
    let error: serde_json::Value = serde_json::from_str(&json.stderr).unwrap();
    assert_eq!((json.code, &error["error"]["code"]), (Some(68), &"SATELLITE_NOT_FOUND".into()));
    assert!(error["error"]["advice"].as_str().unwrap().contains("web-server-01"), "{error}");

    satellite.process().kill();
    hive.until_online(&satellite, false).await;
    check(&hive.cli(["exec", "web-server-01", "--", "true"]).await, 255, &["not_run", "is offline", "--no-wait"]);
    check(&hive.cli(["shell", "web-server-01"]).await, 75, &["is offline", "hive satellites get"]);
}

#[tokio::test]
async fn who_may_not_do_it_is_told_so() {
    let hive = TestHive::start().await;
    let team = hive.new_team("ops").await;
    let options = SatelliteOptions { team_id: Some(team), ..SatelliteOptions::default() };
    let _satellite = hive.satellite_with("web-server-01", options).await;
    hive.server_command(&["user", "create", "--username", "vera"]).await;
    hive.server_command(&["team", "add", "--team", "ops", "--username", "vera", "--role", "viewer"]).await;
    let mut command = Home::new().command(["exec", "web-server-01", "--", "true"]);
    command.current_dir("/").env("HIVE_URL", hive.url()).env("HIVE_API_KEY", hive.new_api_key("vera").await);
    check(&Finished::run(command).await, 77, &["not allowed", "`hive whoami`"]);
}

#[tokio::test]
async fn a_certificate_that_nobody_knows_is_named_and_can_be_trusted() {
    let hive = TestHive::start().await;
    let home = Home::new();
    let front = TlsFront::start(hive.url(), home.path()).await;
    check(&whoami(&home, &front.url).await, 76, &["certificate", "SSL_CERT_FILE"]);

    let mut command = home.command(["-o", "json", "whoami", "--url", &front.url]);
    command.env("HIVE_API_KEY", hive.api_key()).env("SSL_CERT_FILE", &front.certificate);
    assert_eq!(Finished::run(command).await.expect_success().json()["user"]["username"], "admin");
}
