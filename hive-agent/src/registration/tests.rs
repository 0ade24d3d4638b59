//! Registering with a hive that refuses, fails and forgets.

use super::*;
use crate::http;
use crate::tests::scripted_hive::{KEY, ScriptedHive, TOKEN, hive_id, rejection, satellite_id};
use hive_wire::id::Seed;
use hive_wire::satellite_api::RejectionClass;
use std::time::Duration;
use tempfile::TempDir;

struct RegistrationRig {
    hive: ScriptedHive,
    dir: TempDir,
}

async fn rig() -> RegistrationRig {
    RegistrationRig { hive: ScriptedHive::start().await, dir: tempfile::tempdir().unwrap() }
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
        let mut config = self.hive.config(self.dir.path());
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
    assert_eq!(rig.hive.requests(), ["GET /api/health -".to_owned(), format!("POST /api/satellites/register {TOKEN}")]);
    let bodies = rig.hive.bodies();
    for part in
        ["\"name\":\"web-server-01\"", "\"tags\":[\"blue\"]", "https://sat.example.com", "\"memory_mb\":", "\"shell\""]
    {
        assert!(bodies.contains(part), "{part} is missing in {bodies}");
    }
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
async fn only_a_rejection_by_the_own_hive_sets_the_key_aside() {
    let rig = rig().await;
    rig.identify(Some(TOKEN)).await.unwrap();
    for status in [500, 429, 403, 404] {
        rig.hive.answer_once("/heartbeat", status, "");
    }
    let other = HiveId::new(Seed { unix_millis: 1, random: [1; 10] });
    for outage in [
        "<html>a proxy</html>".to_owned(),
        rejection(other, RejectionClass::OtherHive),
        rejection(other, RejectionClass::UnknownKey),
        rejection(hive_id(), RejectionClass::Unknown("of_a_later_version".into())),
    ] {
        rig.hive.answer_once("/heartbeat", 401, outage);
    }
    rig.hive.refuse_once("/heartbeat", 401, "auth_invalid");
    rig.patient(Some(TOKEN)).identify().await.unwrap();
    assert!(rig.has_key() && !rig.has_rejected_key());
    assert_eq!(rig.hive.count("/register"), 1);
    rig.hive.reject_once("/heartbeat", RejectionClass::UnknownKey);
    assert!(matches!(rig.identify(None).await, Err(Error::KeyRejected)));
    assert!(!rig.has_key() && rig.has_rejected_key());
}

#[tokio::test]
async fn a_satellite_whose_keys_are_rejected_registers_with_a_token_and_keeps_them() {
    let rig = rig().await;
    rig.store(&["old", "new"]);
    rig.hive.accept_only(&[KEY]);
    let identity = rig.patient(Some(TOKEN)).identify().await.unwrap();
    let keys: Vec<_> = identity.keys.offer_order().iter().map(|key| key.expose_secret().to_owned()).collect();
    assert_eq!(keys, [KEY, "new", "old"], "the hive may be restored once more");
    assert!(rig.has_key() && rig.has_rejected_key());
    rig.hive.accept_only(&["old"]);
    assert_eq!(rig.identify(None).await.unwrap().keys.first().expose_secret(), "old");
    assert_eq!(rig.hive.count("/register"), 1);
}

#[tokio::test]
async fn older_keys_are_offered_to_a_hive_that_does_not_know_the_newest() {
    let rig = rig().await;
    rig.store(&["first", "second", "third"]);
    rig.hive.accept_only(&["first"]);
    let identity = rig.identify(None).await.unwrap();
    assert_eq!(identity.keys.first().expose_secret(), "first");
    rig.identify(None).await.unwrap();
    let path = format!("POST /api/satellites/{}/heartbeat", satellite_id());
    let expected = ["third", "second", "first", "first"].map(|key| format!("{path} {key}"));
    assert_eq!(rig.hive.requests(), expected, "the one that was accepted is the first to be offered");
    assert!(rig.hive.hive_id_headers().iter().all(|named| *named == hive_id().to_string()));
}

#[tokio::test]
async fn rejected_keys_are_offered_again_until_the_hive_knows_one() {
    let rig = rig().await;
    rig.store(&["first", "second"]);
    rig.hive.accept_only(&[]);
    let registrar = rig.patient(None);
    let recovered = async {
        while rig.hive.count("/heartbeat") < 5 {
            tokio::task::yield_now().await;
        }
        assert!(!rig.has_key() && rig.has_rejected_key());
        rig.hive.accept_only(&["first"]);
    };
    let (identity, ()) = tokio::join!(registrar.identify(), recovered);
    assert_eq!(identity.unwrap().keys.first().expose_secret(), "first");
    assert!(rig.has_key() && !rig.has_rejected_key());
}

#[tokio::test]
async fn a_restart_with_rejected_keys_offers_them_before_it_spends_a_token() {
    let rig = rig().await;
    rig.store(&["first"]);
    rig.hive.accept_only(&[]);
    assert!(matches!(rig.identify(None).await, Err(Error::KeyRejected)));
    rig.hive.accept_only(&["first"]);
    rig.identify(Some(TOKEN)).await.unwrap();
    assert_eq!(rig.hive.count("/register"), 0);
    assert!(rig.has_key() && !rig.has_rejected_key());
}

#[tokio::test]
async fn a_token_that_is_refused_does_not_end_the_search() {
    let rig = rig().await;
    rig.store(&["first"]);
    rig.hive.accept_only(&[]);
    rig.hive.refuse_once("/register", 401, "registration_token_used");
    let registrar = rig.patient(Some(TOKEN));
    let recovered = async {
        while rig.hive.count("/heartbeat") < 4 {
            tokio::task::yield_now().await;
        }
        rig.hive.accept_only(&["first"]);
    };
    let (identity, ()) = tokio::join!(registrar.identify(), recovered);
    identity.unwrap();
    assert_eq!(rig.hive.count("/register"), 1, "a refused token is not shown again");
}

#[tokio::test]
async fn rejected_keys_do_not_keep_a_machine_from_another_hive() {
    let rig = rig().await;
    rig.store(&["first"]);
    rig.hive.reject_once("/heartbeat", RejectionClass::Superseded);
    assert!(matches!(rig.identify(None).await, Err(Error::KeyRejected)));
    let other = HiveId::new(Seed { unix_millis: 1, random: [1; 10] });
    rig.hive.answer_once("/heartbeat", 401, rejection(other, RejectionClass::OtherHive));
    let identity = rig.patient(Some(TOKEN)).identify().await.unwrap();
    assert_eq!(identity.keys.first().expose_secret(), KEY);
    assert_eq!(rig.hive.hive_id_headers().last().unwrap(), "-", "the token is for whichever hive is there");
    assert!(rig.has_rejected_key());
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
    let attempts: Vec<_> = bodies.split("\"attempt\":").skip(1).map(|rest| &rest[..34]).collect();
    assert!(attempts.len() == 2 && attempts[0] == attempts[1], "{bodies}");
    assert!(!rig.dir.path().join("data/registration.attempt").exists());
}

#[tokio::test]
async fn something_that_is_no_hive_never_sees_the_token() {
    let rig = rig().await;
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
async fn a_new_key_is_kept_beside_the_old_one_until_it_is_accepted() {
    let rig = rig().await;
    rig.store(&["old"]);
    let registrar = rig.patient(None);
    let mut identity = registrar.identify().await.unwrap();
    registrar.keep_new_key(&mut identity, "new".into());
    drop(registrar);
    rig.hive.accept_only(&["old"]);
    let identity = rig.identify(None).await.unwrap();
    assert_eq!(identity.keys.first().expose_secret(), "old", "a crash of the server has lost the new one");
    rig.hive.accept_only(&["new"]);
    let identity = rig.identify(None).await.unwrap();
    assert_eq!(identity.keys.first().expose_secret(), "new");
    assert_eq!(identity.keys.accepted().len(), 2);
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_costs_no_token() {
    let rig = rig().await;
    std::fs::write(rig.dir.path().join("data"), "a file").unwrap();
    assert!(matches!(rig.identify(Some(TOKEN)).await, Err(Error::DataDir { .. })));
    assert!(rig.hive.requests().is_empty());
}
