use std::time::Duration;

use futures_util::future::join_all;
use hive_store::access::{Authority, VisibleScope};
use hive_store::{
    NamePolicy, NewRegistrationTokenRow, NewSatellite, RegisterOutcome, RegistrationRetry, RowRange, SatellitePatch,
    SatelliteQuery, TokenState,
};
use hive_wire::api::{SatelliteStatus, TokenScope};

use crate::CALLERS;
use crate::fixture::Fixture;

fn registered(outcomes: &[RegisterOutcome]) -> usize {
    outcomes.iter().filter(|outcome| matches!(outcome, RegisterOutcome::Registered(_))).count()
}

fn used(outcomes: &[RegisterOutcome]) -> usize {
    outcomes.iter().filter(|outcome| matches!(outcome, RegisterOutcome::TokenUnusable(TokenState::Used))).count()
}

pub(crate) async fn a_token_registers_one_satellite_of_many(on: &Fixture) {
    let (team, actor) = (Some(on.team().await), on.unique());
    let token = on.token(team).await;
    let register = async |_| {
        let satellite = on.new_satellite(&on.name(), team);
        on.store.satellite_register(token, satellite, on.draft_by(&actor)).await.unwrap()
    };
    // Each caller has a name of its own: only the token can stop the others.
    let outcomes = join_all((0..CALLERS).map(register)).await;
    assert_eq!((registered(&outcomes), used(&outcomes)), (1, CALLERS - 1));
    let visible = VisibleScope::of_teams(team);
    let (rows, _) = on.store.satellite_list(&SatelliteQuery::visible_to(visible), RowRange::ALL).await.unwrap();
    let records = on.records_by(&actor).await;
    assert_eq!((rows.len(), records.len()), (1, 1));
    assert_eq!(records[0].target.id, rows[0].id.to_string(), "the record names the satellite's final id");
    assert!(on.store.registration_token_get(token).await.unwrap().unwrap().used_at.is_some());
}

pub(crate) async fn a_token_registers_one_name_once(on: &Fixture) {
    let (token, name) = (on.token(None).await, on.name());
    let register =
        async |_| on.store.satellite_register(token, on.new_satellite(&name, None), on.draft()).await.unwrap();
    let outcomes = join_all((0..CALLERS).map(register)).await;
    assert_eq!((registered(&outcomes), used(&outcomes)), (1, CALLERS - 1));
}

pub(crate) async fn a_known_name_keeps_its_id_and_gets_a_new_key(on: &Fixture) {
    let (name, actor) = (on.name(), on.unique());
    let first = on.register(&name, None).await;
    let first_key = on.store.satellite_key(first.id).await.unwrap().unwrap();
    on.store.satellite_activate(first.id, on.now(), on.draft()).await.unwrap();
    // What an admin has set must survive the registration.
    let tags =
        SatellitePatch { tags: Some(vec!["kept".into()]), region: Some("eu".into()), ..SatellitePatch::default() };
    on.store.satellite_update(first.id, tags, on.draft()).await.unwrap();

    on.store.satellite_conflict(first.id, on.now(), on.draft()).await.unwrap();
    let claimed_tags = vec!["row-2".to_owned()];
    let again = NewSatellite { name_use: NamePolicy::Of(first.id), claimed_tags, ..on.new_satellite(&name, None) };
    let outcome = on.store.satellite_register(on.token(None).await, again.clone(), on.draft_by(&actor)).await.unwrap();
    let RegisterOutcome::Registered(second) = outcome else { panic!("{outcome:?}") };
    let second_key = on.store.satellite_key(first.id).await.unwrap().unwrap();
    assert_eq!((second.id, second.created_at), (first.id, first.created_at));
    assert_eq!(second.status, SatelliteStatus::Inactive);
    assert_eq!((&second.tags[..], second.region.as_deref()), (&["kept".to_owned()][..], Some("eu")));
    assert_eq!((&second.claimed_tags[..], second.conflict_at), (&["row-2".to_owned()][..], None));
    assert_eq!(second_key.hash, again.api_key_hash);
    assert!(second_key.generation > first_key.generation);
    assert_eq!(on.records_by(&actor).await[0].target.id, first.id.to_string());
}

pub(crate) async fn the_name_of_a_removed_satellite_is_free(on: &Fixture) {
    let (name, team, other) = (on.name(), Some(on.team().await), Some(on.team().await));
    let first = on.register(&name, team).await;
    assert!(on.store.satellite_remove(first.id, on.now(), on.draft()).await.unwrap());
    let second = on.register(&name, other).await;
    assert_ne!(second.id, first.id);
    assert_eq!(second.team_id, other);
    assert_eq!(on.store.satellite_find(&name).await.unwrap(), Some(second));
    assert_eq!(on.store.satellite_get(first.id).await.unwrap(), None);
}

pub(crate) async fn a_name_of_another_team_is_refused_and_consumes_no_token(on: &Fixture) {
    let (name, theirs, ours, actor) = (on.name(), Some(on.team().await), Some(on.team().await), on.unique());
    on.register(&name, theirs).await;
    for team in [ours, None] {
        let token = on.token(team).await;
        let satellite = on.new_satellite(&name, team);
        let outcome = on.store.satellite_register(token, satellite, on.draft_by(&actor)).await.unwrap();
        assert!(matches!(outcome, RegisterOutcome::NameTaken), "{outcome:?}");
        // The same token with a free name shows that it was not consumed.
        let other_name = on.new_satellite(&on.name(), team);
        let outcome = on.store.satellite_register(token, other_name, on.draft()).await.unwrap();
        assert!(matches!(outcome, RegisterOutcome::Registered(_)), "the token was spent: {outcome:?}");
    }
    assert!(on.records_by(&actor).await.is_empty(), "a refused registration left a record");
}

pub(crate) async fn a_name_is_taken_over_from_the_allowed_satellite_only(on: &Fixture) {
    let (name, other) = (on.name(), on.satellite().await);
    let first = on.register(&name, None).await;
    let token = on.token(None).await;
    for name_use in [NamePolicy::New, NamePolicy::Of(other.id), NamePolicy::None] {
        let again = NewSatellite { name_use, ..on.new_satellite(&name, None) };
        let outcome = on.store.satellite_register(token, again, on.draft()).await.unwrap();
        assert!(matches!(outcome, RegisterOutcome::NameTaken), "{name_use:?}: {outcome:?}");
    }
    // Refused although its name is free: the service has decided so.
    let refused = NewSatellite { name_use: NamePolicy::None, ..on.new_satellite(&on.name(), None) };
    let outcome = on.store.satellite_register(token, refused, on.draft()).await.unwrap();
    assert!(matches!(outcome, RegisterOutcome::NameTaken), "{outcome:?}");
    let again = NewSatellite { name_use: NamePolicy::Of(first.id), ..on.new_satellite(&name, None) };
    let outcome = on.store.satellite_register(token, again, on.draft()).await.unwrap();
    assert!(matches!(outcome, RegisterOutcome::Registered(row) if row.id == first.id));
}

pub(crate) async fn a_registration_can_be_repeated(on: &Fixture) {
    let (token, actor) = (on.token(None).await, on.unique());
    let attempt_hash = Some("attempt".to_owned());
    let satellite = NewSatellite { attempt_hash, ..on.new_satellite(&on.name(), None) };
    on.store.satellite_register(token, satellite.clone(), on.draft()).await.unwrap();
    let first = on.store.satellite_find(&satellite.name).await.unwrap().unwrap();
    let again = RegistrationRetry {
        attempt_hash: "attempt".into(),
        name: satellite.name.clone(),
        since: satellite.now.minus(Duration::from_secs(1)),
        api_key_hash: "another".into(),
        now: on.now(),
    };
    let ask = async |again: RegistrationRetry| {
        on.store.satellite_register_again(token, again, on.draft_by(&actor)).await.unwrap().map(|row| row.id)
    };
    // Another attempt, another name, and a token that was consumed too long ago.
    assert_eq!(ask(RegistrationRetry { attempt_hash: "other".into(), ..again.clone() }).await, None);
    assert_eq!(ask(RegistrationRetry { name: on.name(), ..again.clone() }).await, None);
    assert_eq!(ask(RegistrationRetry { since: satellite.now, ..again.clone() }).await, None, "too late");
    assert!(on.records_by(&actor).await.is_empty());
    assert_eq!(ask(again.clone()).await, Some(first.id));
    assert_eq!(on.store.satellite_key(first.id).await.unwrap().unwrap().hash, "another");
    assert_eq!(on.records_by(&actor).await[0].target.id, first.id.to_string());

    // After another token was consumed for the satellite, the repetition is refused.
    let later = satellite.now.plus(Duration::from_secs(1));
    let taken =
        NewSatellite { name_use: NamePolicy::Of(first.id), now: later, ..on.new_satellite(&satellite.name, None) };
    on.store.satellite_register(on.token(None).await, taken, on.draft()).await.unwrap();
    assert_eq!(ask(again).await, None);
}

pub(crate) async fn a_token_reads_back_as_it_was_stored(on: &Fixture) {
    let (satellite, id) = (on.satellite().await, hive_wire::RegistrationTokenId::new(on.seed()));
    let token = NewRegistrationTokenRow {
        id,
        scope: TokenScope::Team,
        team_id: satellite.team_id,
        description: None,
        actor: on.draft().actor,
        authorised_by: Authority::Role,
        tags: vec!["web".into()],
        allowed_tags: vec!["dc:*".into()],
        for_satellite: Some(satellite.id),
        created_at: on.now(),
        expires_at: on.now().plus(Duration::from_hours(1)),
    };
    on.store.registration_token_create(token.clone(), on.draft()).await.unwrap();
    let row = on.store.registration_token_row(id).await.unwrap().unwrap();
    assert_eq!((row.info.tags.clone(), row.info.allowed_tags.clone()), (token.tags, token.allowed_tags));
    assert_eq!((row.info.for_satellite, row.max_uses), (Some(satellite.id), 1));
    assert_eq!(row.actor, token.actor);
    assert_eq!(on.store.registration_token_get(id).await.unwrap(), Some(row.info));
    let nobody = hive_wire::RegistrationTokenId::new(on.seed());
    assert_eq!(on.store.registration_token_row(nobody).await.unwrap(), None);
}

pub(crate) async fn an_unusable_token_is_reported_before_a_taken_name(on: &Fixture) {
    let (taken, actor, now) = (on.satellite().await.name, on.unique(), on.now());
    let unknown = hive_wire::RegistrationTokenId::new(on.seed());
    let expired = on.token_until(None, now).await;
    let revoked = on.token(None).await;
    assert!(on.store.registration_token_revoke(revoked, now, on.draft()).await.unwrap());
    let used = on.token(None).await;
    on.store.satellite_register(used, on.new_satellite(&on.name(), None), on.draft()).await.unwrap();
    let cases = [
        (unknown, TokenState::Unknown),
        (expired, TokenState::Expired),
        (revoked, TokenState::Revoked),
        (used, TokenState::Used),
    ];
    for (token, state) in cases {
        // The outcome must be the same for a free and a taken name.
        for name in [&on.name(), &taken] {
            let satellite = on.new_satellite(name, None);
            let outcome = on.store.satellite_register(token, satellite, on.draft_by(&actor)).await.unwrap();
            assert!(matches!(&outcome, RegisterOutcome::TokenUnusable(why) if *why == state), "{state:?}: {outcome:?}");
        }
    }
    assert!(on.records_by(&actor).await.is_empty());
}

pub(crate) async fn a_token_is_revoked_or_consumed_and_never_both(on: &Fixture) {
    // One round may have no race, so there are several.
    for _ in 0..16 {
        let token = on.token(None).await;
        let register = on.store.satellite_register(token, on.new_satellite(&on.name(), None), on.draft());
        let revoke = on.store.registration_token_revoke(token, on.now(), on.draft());
        let (registered, revoked) = futures_util::join!(register, revoke);
        let is_registered = matches!(registered.unwrap(), RegisterOutcome::Registered(_));
        assert_ne!(is_registered, revoked.unwrap());
        let info = on.store.registration_token_get(token).await.unwrap().unwrap();
        assert_ne!(info.used_at.is_some(), info.revoked_at.is_some());
    }
}

pub(crate) async fn a_token_is_revoked_once(on: &Fixture) {
    let (token, actor) = (on.token(None).await, on.unique());
    let revoke = async |_| on.store.registration_token_revoke(token, on.now(), on.draft_by(&actor)).await.unwrap();
    let revoked = join_all((0..CALLERS).map(revoke)).await;
    assert_eq!(revoked.into_iter().filter(|done| *done).count(), 1);
    assert_eq!(on.records_by(&actor).await.len(), 1);
}

pub(crate) async fn tokens_are_listed_by_team(on: &Fixture) {
    let (ours, theirs) = (on.team().await, on.team().await);
    let (first, foreign, global, second) =
        (on.token(Some(ours)).await, on.token(Some(theirs)).await, on.token(None).await, on.token(Some(ours)).await);
    let list = async |visible| {
        let tokens = on.store.registration_token_list(&visible, RowRange::ALL).await.unwrap().0;
        tokens.into_iter().map(|token| token.token_id).collect::<Vec<_>>()
    };
    assert_eq!(list(VisibleScope::of_teams([ours])).await, [second, first], "newest first");
    assert_eq!(list(VisibleScope::of_teams([])).await, []);
    let all = list(VisibleScope::ALL).await;
    assert!([first, foreign, global, second].iter().all(|token| all.contains(token)));
}

pub(crate) async fn two_processes_take_a_token_once(one: &Fixture, other: &Fixture) {
    let token = one.token(None).await;
    let register = async |n: usize| {
        let on = if n.is_multiple_of(2) { one } else { other };
        on.store.satellite_register(token, on.new_satellite(&on.name(), None), on.draft()).await.unwrap()
    };
    let outcomes = join_all((0..CALLERS).map(register)).await;
    assert_eq!((registered(&outcomes), used(&outcomes)), (1, CALLERS - 1));
}
