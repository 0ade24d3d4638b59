//! Registering with a hive that refuses, fails and forgets.

mod keys;

use super::*;
use crate::http;
use crate::tests::config_for;
use hive_test_peers::FakeHive;
use hive_test_peers::hive::{KEY, TOKEN, hive_id, rejection, satellite_id};
use hive_wire::id::Seed;
use hive_wire::satellite_api::RejectionClass;
use secrecy::ExposeSecret as _;
use std::time::Duration;
use tempfile::TempDir;

struct RegistrationRig {
    hive: FakeHive,
    dir: TempDir,
}

async fn rig() -> RegistrationRig {
    RegistrationRig { hive: FakeHive::start().await, dir: tempfile::tempdir().unwrap() }
}

impl RegistrationRig {
    async fn identify(&self, token: Option<&str>) -> Result<AgentIdentity, Error> {
        self.registrar(token, KeyRejectionPolicy::Exit)?.identify().await
    }

    /// A registrar that retries rejected keys.
    fn patient(&self, token: Option<&str>) -> Registrar {
        self.registrar(token, KeyRejectionPolicy::Retry(Duration::from_millis(10))).unwrap()
    }

    fn registrar(&self, token: Option<&str>, key_rejection: KeyRejectionPolicy) -> Result<Registrar, Error> {
        let mut config = config_for(&self.hive, self.dir.path());
        config.registration_token = token.map(Into::into);
        config.key_rejection = key_rejection;
        config.tags = vec!["blue".into()];
        config.satellite_url = Some("https://sat.example.com".into());
        let data = Arc::new(DataDir::open(&config.data_dir)?);
        let tls = http::tls_config(&config.server)?;
        Ok(Registrar::new(&config, data, SatelliteApiClient::new(config.server.clone(), &tls)))
    }

    fn has_key(&self) -> bool {
        self.dir.path().join("data/backend.key.json").exists()
    }

    fn has_rejected_key(&self) -> bool {
        self.dir.path().join("data/backend.key.rejected.json").exists()
    }

    /// Stores these keys, the last one accepted last.
    fn store(&self, keys: &[&str]) {
        let data = DataDir::open(&self.dir.path().join("data")).unwrap();
        let mut identity = AgentIdentity {
            satellite_id: satellite_id(),
            satellite_name: "web-server-01".into(),
            hive_id: Some(hive_id()),
            keys: StoredKeys::with_candidate(keys[0].into(), clock::now()),
            registered_at: clock::now(),
            last_verified: None,
        };
        for key in keys {
            identity.keys.accept(&(*key).into(), clock::now());
        }
        data.keep(&identity).unwrap();
    }
}

#[tokio::test]
async fn a_token_is_spent_once_and_a_restart_needs_none() {
    let rig = rig().await;
    let identity = rig.identify(Some(TOKEN)).await.unwrap();
    assert_eq!(identity.satellite_id, satellite_id());
    // The health first and without a credential: what is no hive must not see the token.
    assert_eq!(rig.hive.requests(), ["GET /api/health -".to_owned(), format!("POST /api/satellites/register {TOKEN}")]);
    let bodies = rig.hive.bodies();
    for part in
        ["\"name\":\"web-server-01\"", "\"tags\":[\"blue\"]", "https://sat.example.com", "\"memory_mb\":", "\"shell\""]
    {
        assert!(bodies.contains(part), "{part} is missing in {bodies}");
    }
    // A token that is still in the configuration is not spent again.
    for token in [Some(TOKEN), None] {
        let again = rig.identify(token).await.unwrap();
        assert_eq!(again.keys.first().expose_secret(), KEY);
        assert!(again.last_verified.is_some());
    }
    assert_eq!(rig.hive.count("/register"), 1);
    assert_eq!(
        rig.hive.requests().last().unwrap(),
        &format!("POST /api/satellites/{}/heartbeat {KEY}", satellite_id())
    );
    assert!(!rig.hive.bodies().split_once("heartbeat").is_some_and(|(_, rest)| rest.contains("sat.example.com")));
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
        let error = rig.identify(Some(TOKEN)).await.unwrap_err();
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
    rig.identify(Some(TOKEN)).await.unwrap();
    assert_eq!(rig.hive.count("/register"), 2);
}

#[tokio::test]
async fn a_registration_that_is_sent_again_says_so() {
    let rig = rig().await;
    rig.hive.answer_once("/register", 500, "");
    rig.identify(Some(TOKEN)).await.unwrap();
    let bodies = rig.hive.bodies();
    // The id of the attempt is what lets the hive answer the second one with the same satellite.
    let attempts: Vec<_> = bodies.split("\"attempt\":").skip(1).map(|rest| &rest[..34]).collect();
    assert!(attempts.len() == 2 && attempts[0] == attempts[1], "{bodies}");
    assert!(!rig.dir.path().join("data/registration.attempt").exists());
}

#[tokio::test]
async fn something_that_is_no_hive_never_sees_the_token() {
    let rig = rig().await;
    // A web server at the address, which answers every path.
    rig.hive.answer_once("/api/health", 404, "<html>");
    let error = rig.identify(Some(TOKEN)).await.unwrap_err();
    assert!(matches!(error, Error::NotAHive { status: 404, .. }), "{error}");
    assert_eq!(rig.hive.count("/register"), 0);
}

#[tokio::test]
async fn what_cannot_be_a_token_is_not_sent() {
    let check = async |token: Option<&str>, expected: &str| {
        let rig = rig().await;
        let error = rig.identify(token).await.unwrap_err();
        assert_eq!(format!("{error:?}"), expected, "{token:?}");
        assert_eq!(error.exit_code(), 2);
        assert!(rig.hive.requests().is_empty());
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
    // A file in its place fails for root too, whom permissions do not stop.
    std::fs::write(rig.dir.path().join("data"), "a file").unwrap();
    assert!(matches!(rig.identify(Some(TOKEN)).await, Err(Error::DataDir { .. })));
    assert!(rig.hive.requests().is_empty());
}
