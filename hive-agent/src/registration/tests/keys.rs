//! Keys that a hive rejects, and how a satellite recovers.

use super::*;

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
