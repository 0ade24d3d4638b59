//! What the audit log says of those who did not get in, and what it never says.

use std::time::Duration;

use hive_wire::api::{
    ApiKeyCreate, AuditEntry, AuditQuery, AuditTarget, LoginRequest, PageRequest, PasswordChange, PlatformRole,
    UserCreate,
};
use hive_wire::credential::Secret;
use secrecy::SecretString;

use super::*;
use crate::Error;
use crate::Hive;
use crate::hive::tests::{global, hive, register, request, token};
use crate::identity::authentication::VerifyMode;

const HERE: &str = "203.0.113.7";

/// The records of failures so far, oldest first, once all that was handed over is written.
async fn records(hive: &Hive) -> Vec<AuditEntry> {
    let is_idle = async || hive.services().auth_failures.queue.capacity() == QUEUE;
    tokio::time::timeout(Duration::from_secs(10), async {
        while !is_idle().await {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the records are written in time");
    // One that was taken out of the queue stands before this one in the store.
    let page = PageRequest::numbered(1, 1000);
    let target = AuditTarget { kind: "mark".into(), id: "mark".into() };
    hive.as_system().audit().log("mark".into(), target, json!({})).await.unwrap();
    let mut entries = hive.as_system().audit().query(AuditQuery::default(), page).await.unwrap().items;
    entries.retain(|entry| entry.action.starts_with("auth.failure"));
    entries.reverse();
    entries
}

/// What a record says: what was shown, its id, and why it failed.
fn summary_of(entry: &AuditEntry) -> (&str, &str, &str) {
    assert_eq!(entry.actor.ip.as_deref(), Some(HERE), "{entry:?}");
    (&entry.target.kind, &entry.target.id, entry.details["reason"].as_str().unwrap())
}

async fn user_with_key(hive: &Hive, name: &str) -> (String, hive_wire::api::NewApiKey) {
    let create = UserCreate { username: name.into(), role: PlatformRole::GlobalUser };
    let new = hive.as_system().identity().user_create(create).await.unwrap();
    (new.password.0, hive.as_system().api_key_create_for(name, ApiKeyCreate::default()).await.unwrap())
}

fn login(username: &str, password: &str) -> LoginRequest {
    LoginRequest { username: username.into(), password: password.into() }
}

#[tokio::test]
async fn each_kind_of_failure_is_recorded_with_its_public_id_and_no_secret() {
    let hive = hive().await;
    let (password, key) = user_with_key(&hive, "anna").await;
    let satellite = register(&hive, "web-server-01").await;
    let here = || Some(HERE.to_owned());

    let cut = &key.api_key[..key.api_key.len() - 1];
    let mut wrong = key.api_key.clone();
    wrong.replace_range(wrong.len() - 4.., "AAAA");
    for bad in [cut, &*wrong] {
        assert!(matches!(hive.authenticate_api_key(bad, here(), VerifyMode::Full).await, Err(Error::AuthInvalid)));
    }
    let opened = hive.login(login("anna", &password), here(), VerifyMode::Full).await.unwrap();
    let forged = format!("{}AAAA", &opened.token[..opened.token.len() - 4]);
    for bad in ["garbage", &*forged] {
        hive.authenticate_jwt(bad, here()).await.unwrap_err();
    }
    hive.login(login("anna", "a wrong secret"), here(), VerifyMode::Full).await.err().expect("it is refused");
    hive.login(login(&password, "a wrong secret"), here(), VerifyMode::Full).await.err().expect("it is refused");
    hive.login(login("anna", &"x".repeat(5000)), here(), VerifyMode::Full).await.err().expect("it is refused");
    hive.note_refused_satellite_key(&satellite.api_key, Some(HERE));
    let spent = token(&hive.as_system(), global()).await;
    let register =
        async |token: &SecretString| hive.register_satellite(token, request("web-server-02"), here(), None).await;
    register(&spent).await.unwrap();
    register(&spent).await.err().expect("it is spent");
    register(&"hive_satellite_global_x".to_owned().into()).await.err().expect("it is no token");

    let records = records(&hive).await;
    let (key_id, user_id, satellite_id) =
        (key.info.id.to_string(), opened.user.id.to_string(), satellite.id.to_string());
    let expected = [
        ("api_key", "unknown", "malformed"),
        ("api_key", &*key_id, "wrong"),
        ("login_token", "unknown", "malformed"),
        ("login_token", "unknown", "forged"),
        ("password", &*user_id, "wrong"),
        ("password", "unknown", "of an unknown user"),
        ("password", &*user_id, "wrong"),
        ("satellite_key", &*satellite_id, "refused"),
    ];
    let all: Vec<_> = records.iter().map(summary_of).collect();
    assert_eq!(all[..8], expected);
    assert_eq!((all[8].0, all[8].2), ("registration_token", "used"));
    assert!(all[8].1.starts_with("reg_"), "{:?}", all[8]);
    assert_eq!(all[9], ("registration_token", "unknown", "malformed"));
    assert_eq!(records[4].details["username"], "anna");
    assert_eq!(records[5].details["username_length"], password.len(), "what is typed as a name may be a password");
    let written = serde_json::to_string(&records).unwrap();
    let secrets = [&password, "a wrong secret", &key.api_key[key.api_key.len() - 43..], &opened.token, "garbage"];
    for secret in secrets.into_iter().chain([&satellite.api_key[satellite.api_key.len() - 43..], &forged]) {
        assert!(!written.contains(secret), "{secret} in {written}");
    }
}

#[tokio::test]
async fn a_flood_is_five_records_and_a_summary() {
    let hive = hive().await;
    for _ in 0..1000 {
        hive.authenticate_jwt("garbage", Some(HERE.into())).await.unwrap_err();
        hive.authenticate_api_key("hive_key_x", Some("2001:db8::1".into()), VerifyMode::CachedOnly).await.unwrap_err();
    }
    hive.services().auth_failures.summarise_rest().await;
    let records = records(&hive).await;
    let of = |action: &str| records.iter().filter(|entry| entry.action == action).collect::<Vec<_>>();
    let totals = hive.auth_failure_totals();
    // A minute may have ended meanwhile.
    assert!((10..=20).contains(&of("auth.failure").len()), "{records:?}");
    let summaries = of("auth.failure_summary");
    assert!((2..=4).contains(&summaries.len()), "{summaries:?}");
    let counted: u64 = summaries.iter().map(|entry| entry.details["failures"].as_u64().unwrap()).sum();
    assert_eq!(counted, 2000);
    assert_eq!(summaries[0].details["most"][0]["source"], "2001:db8::/64");
    assert_eq!(totals["api_key"].failures, 1000);
    assert_eq!(totals["api_key"].recorded + totals["api_key"].summarised, 1000);
}

#[tokio::test]
async fn failures_wait_for_nobody_and_are_counted_where_they_cannot_be_written() {
    let hive = hive().await;
    // Nothing else runs on this thread meanwhile, so that nothing is taken out of the queue.
    for number in 0..QUEUE as u32 {
        hive.note_malformed_credential(
            AuthFailureKind::ApiKey,
            Some(&std::net::Ipv4Addr::from_bits(number).to_string()),
        );
    }
    assert_eq!(hive.services().auth_failures.queue.capacity(), 0);
    hive.note_malformed_credential(AuthFailureKind::ApiKey, Some(HERE));
    let totals = hive.auth_failure_totals()["api_key"];
    assert_eq!((totals.failures, totals.recorded), (QUEUE as u64 + 1, QUEUE as u64));
    hive.services().auth_failures.summarise_rest().await;
    assert_eq!(hive.auth_failure_totals()["api_key"].summarised, 1);
}

#[tokio::test]
async fn who_guesses_the_password_that_is_to_be_changed_is_recorded() {
    let hive = hive().await;
    let (_, key) = user_with_key(&hive, "anna").await;
    let principal = hive.authenticate_api_key(&key.api_key, Some(HERE.into()), VerifyMode::Full).await.unwrap();
    let change = PasswordChange { current: Secret("a guess".into()), new: Secret("correct horse battery".into()) };
    hive.acting_as(principal).identity().password_change(change).await.unwrap_err();
    let records = records(&hive).await;
    assert_eq!((records.len(), &*records[0].target.kind), (1, "password"));
    assert_eq!(records[0].details["username"], "anna");
}
