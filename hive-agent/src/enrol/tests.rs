//! Enrolling with a hive that refuses, fails and forgets.

use super::*;
use crate::fake_hive::{FakeHive, KEY, TOKEN, satellite_id};
use crate::http;
use tempfile::TempDir;

struct Rig {
    hive: FakeHive,
    dir: TempDir,
}

async fn rig() -> Rig {
    Rig { hive: FakeHive::start().await, dir: tempfile::tempdir().unwrap() }
}

impl Rig {
    async fn enrol(&self, token: Option<&str>) -> Result<Identity, Error> {
        let mut config = self.hive.config(self.dir.path());
        config.registration_token = token.map(Into::into);
        config.tags = vec!["blue".into()];
        config.satellite_url = Some("https://sat.example.com".into());
        let data = Arc::new(DataDir::open(&config.data_dir)?);
        let tls = http::tls_config(&config.server)?;
        Enrolment::new(&config, data, HiveApi::new(config.server.clone(), &tls)).enrol().await
    }

    fn has_key(&self) -> bool {
        self.dir.path().join("data/backend.key.json").exists()
    }
}

#[tokio::test]
async fn a_token_is_spent_once_and_a_restart_needs_none() {
    let rig = rig().await;
    let identity = rig.enrol(Some(TOKEN)).await.unwrap();
    assert_eq!(identity.satellite_id, satellite_id());
    assert_eq!(rig.hive.asked(), ["GET /api/health -".to_owned(), format!("POST /api/satellites/register {TOKEN}")]);
    let bodies = rig.hive.bodies();
    for told in
        ["\"name\":\"web-server-01\"", "\"tags\":[\"blue\"]", "https://sat.example.com", "\"memory_mb\":", "\"shell\""]
    {
        assert!(bodies.contains(told), "{told} is missing in {bodies}");
    }
    for token in [Some(TOKEN), None] {
        let again = rig.enrol(token).await.unwrap();
        assert_eq!(again.api_key.expose_secret(), KEY);
        assert!(again.last_verified.is_some());
    }
    assert_eq!(rig.hive.count("/register"), 1);
    assert_eq!(rig.hive.asked().last().unwrap(), &format!("POST /api/satellites/{}/heartbeat {KEY}", satellite_id()));
    assert!(!rig.hive.bodies().split_once("heartbeat").is_some_and(|(_, rest)| rest.contains("sat.example.com")));
}

#[tokio::test]
async fn only_a_401_clears_the_key() {
    let rig = rig().await;
    rig.enrol(Some(TOKEN)).await.unwrap();
    for status in [500, 429, 403, 404] {
        rig.hive.answer_once("/heartbeat", status, "");
    }
    rig.enrol(None).await.unwrap();
    assert!(rig.has_key());
    rig.hive.refuse_once("/heartbeat", 401, "invalid_key");
    assert!(matches!(rig.enrol(None).await, Err(Error::KeyRejected)));
    assert!(!rig.has_key());
    rig.enrol(Some(TOKEN)).await.unwrap();
    rig.hive.refuse_once("/heartbeat", 401, "invalid_key");
    rig.enrol(Some(TOKEN)).await.unwrap();
    assert_eq!(rig.hive.count("/register"), 3);
}

#[tokio::test]
async fn a_refusal_is_handed_on() {
    let rig = rig().await;
    for (status, code) in [
        (401, "registration_token_expired"),
        (401, "registration_token_used"),
        (401, "registration_token_revoked"),
        (401, "registration_token_invalid"),
        (409, "name_taken"),
    ] {
        rig.hive.refuse_once("/register", status, code);
        let error = rig.enrol(Some(TOKEN)).await.unwrap_err();
        assert!(matches!(&error, Error::Refused(refusal) if refusal.error == code), "{error}");
        assert_eq!(error.exit_code(), 3);
        let text = messages::explain(&error, Language::English);
        assert_eq!(text, format!("said {code}\nask again"));
    }
    assert!(!rig.has_key());
}

#[tokio::test]
async fn a_passing_failure_is_tried_again() {
    let rig = rig().await;
    rig.hive.answer_once("/api/health", 502, "");
    rig.hive.answer_once("/register", 500, "");
    rig.enrol(Some(TOKEN)).await.unwrap();
    assert_eq!(rig.hive.count("/register"), 2);
}

#[tokio::test]
async fn a_registration_that_is_sent_again_says_so() {
    let rig = rig().await;
    rig.hive.answer_once("/register", 500, "");
    rig.enrol(Some(TOKEN)).await.unwrap();
    let bodies = rig.hive.bodies();
    let attempts: Vec<_> = bodies.split("\"attempt\":").skip(1).map(|rest| &rest[..34]).collect();
    assert!(attempts.len() == 2 && attempts[0] == attempts[1], "{bodies}");
    assert!(!rig.dir.path().join("data/registration.attempt").exists());
}

#[tokio::test]
async fn something_that_is_no_hive_never_sees_the_token() {
    let rig = rig().await;
    rig.hive.answer_once("/api/health", 404, "<html>");
    let error = rig.enrol(Some(TOKEN)).await.unwrap_err();
    assert!(matches!(error, Error::NotAHive { status: 404, .. }), "{error}");
    assert_eq!(rig.hive.count("/register"), 0);
}

#[tokio::test]
async fn what_cannot_be_a_token_is_not_sent() {
    let check = async |token: Option<&str>, expected: &str| {
        let rig = rig().await;
        let error = rig.enrol(token).await.unwrap_err();
        assert_eq!(format!("{error:?}"), expected, "{token:?}");
        assert_eq!(error.exit_code(), 2);
        assert!(rig.hive.asked().is_empty());
    };
    check(None, "TokenMissing").await;
    check(Some(""), "TokenMissing").await;
    for placeholder in [
        "your-token-here",
        "<token>",
        "changeme",
        "${TOKEN}",
        "YOUR_TOKEN_HERE",
        "<paste here>",
        "hive_satellite_global_...",
    ] {
        check(Some(placeholder), "TokenPlaceholder").await;
    }
    for malformed in [
        "aaa.bbb.ccc",
        "hive_satellite_global_aaa.bbb",
        "hive_satellite_team_a.b.c d",
        "hive_key_x",
        "hive_satellite_global_",
    ] {
        check(Some(malformed), "TokenMalformed").await;
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_costs_no_token() {
    let rig = rig().await;
    std::fs::write(rig.dir.path().join("data"), "a file").unwrap();
    assert!(matches!(rig.enrol(Some(TOKEN)).await, Err(Error::DataDir { .. })));
    assert!(rig.hive.asked().is_empty());
}
