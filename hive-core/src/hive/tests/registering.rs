//! Registration tokens: whose place they take, which labels they give, and what a second use of one gets.

use std::sync::Arc;
use std::time::Duration;

use hive_wire::agent::close;
use hive_wire::api::{
    AuditQuery, PageRequest, PlatformRole, RegistrationTokenCreate, Role, SatelliteEvent, TeamCreate, TeamMemberPut,
    UserCreate, UserUpdate,
};
use hive_wire::satellite_api::{HeartbeatRequest, RegisterRequest};
use secrecy::SecretString;

use super::{NAME, connect, global, hive, register, request, token};
use crate::Error;
use crate::access::{Credential, Principal};
use crate::clock::{Clock, ClockAndRng, ManualClock, SystemClock};
use crate::hive::{ClaimedTags, Hive, RegistrationError, Settings, TokenProblem};
use crate::identity::authentication::VerifyMode;

async fn clocked_hive() -> (Hive, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let source = ClockAndRng { clock: clock.clone(), ..ClockAndRng::default() };
    (Hive::builder().in_memory().source(source).build().await.unwrap(), clock)
}

async fn with_token(hive: &Hive, create: RegistrationTokenCreate) -> SecretString {
    token(&hive.as_system(), create).await
}

fn is_conflict<T>(result: &Result<T, RegistrationError>) -> bool {
    matches!(result, Err(RegistrationError::Other(Error::Conflict(_))))
}

async fn records(hive: &Hive, action: &str) -> u64 {
    let about = AuditQuery { action: Some(action.into()), ..AuditQuery::default() };
    hive.as_system().audit().query(about, PageRequest::default()).await.unwrap().total
}

#[tokio::test]
async fn a_token_does_not_take_the_place_of_a_satellite_that_is_there() {
    let (hive, clock) = clocked_hive().await;
    let registered = register(&hive, NAME).await;
    let satellite = connect(&hive, &registered, "journal-1").await;
    // A token for no satellite in particular.
    let plain = with_token(&hive, global()).await;
    assert!(is_conflict(&hive.register_satellite(&plain, request(NAME), None, None).await), "it is online");
    drop(satellite);
    assert!(is_conflict(&hive.register_satellite(&plain, request(NAME), None, None).await), "it was, a moment ago");
    // A satellite counts as present for the heartbeat timeout of 90 s.
    clock.advance(Duration::from_secs(91));
    let again = hive.register_satellite(&plain, request(NAME), None, None).await.unwrap();
    assert_eq!(again.id, registered.id);
    assert_eq!((records(&hive, "satellite.key_replace").await, records(&hive, "satellite.register").await), (1, 3));
}

#[tokio::test]
async fn a_heartbeat_is_a_sign_of_life() {
    let (hive, clock) = clocked_hive().await;
    let registered = register(&hive, NAME).await;
    let identity = hive.authenticate_satellite(&registered.api_key, None, VerifyMode::Full).await.unwrap();
    hive.satellite_heartbeat(&identity, registered.id, HeartbeatRequest::default()).await.unwrap();
    let plain = with_token(&hive, global()).await;
    assert!(is_conflict(&hive.register_satellite(&plain, request(NAME), None, None).await));
    clock.advance(Duration::from_secs(91));
    hive.register_satellite(&plain, request(NAME), None, None).await.unwrap();
}

#[tokio::test]
async fn a_token_made_for_a_satellite_takes_its_place_at_once() {
    let hive = hive().await;
    let (registered, other) = (register(&hive, NAME).await, register(&hive, "web-server-02").await);
    let mut events = hive.as_system().satellites().subscribe(None).await.unwrap();
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let create = RegistrationTokenCreate { for_satellite: Some(registered.id), ..global() };
    let made_for = with_token(&hive, create).await;
    for name in ["web-server-02", "web-server-03"] {
        assert!(is_conflict(&hive.register_satellite(&made_for, request(name), None, None).await), "{name}");
    }
    let again = hive.register_satellite(&made_for, request(NAME), None, None).await.unwrap();
    assert_eq!(again.id, registered.id);
    let closed = loop {
        if let Err(closed) = satellite.try_next().await {
            break closed;
        }
    };
    assert_eq!(closed.code, Some(close::AUTH_FAILED));
    assert!(hive.authenticate_satellite(&registered.api_key, None, VerifyMode::Full).await.is_err());
    hive.authenticate_satellite(&other.api_key, None, VerifyMode::Full).await.unwrap();
    assert_eq!(records(&hive, "satellite.key_replace").await, 1);
    loop {
        if let Some(SatelliteEvent::KeyReplaced { id, name, .. }) = events.next().await.unwrap().event() {
            break assert_eq!((*id, name.as_str()), (again.id, NAME));
        }
    }
}

#[tokio::test]
async fn a_token_is_made_for_a_satellite_of_its_team_and_without_labels() {
    let hive = hive().await;
    let system = hive.as_system();
    let registered = register(&hive, NAME).await;
    let team = system.identity().team_create(TeamCreate { slug: "blue".into() }).await.unwrap();
    let check = async |create: RegistrationTokenCreate| {
        let refused = system.identity().registration_token_create(create).await.map(|_| ());
        assert!(matches!(refused, Err(Error::InvalidInput { .. })), "{refused:?}");
    };
    let for_satellite = Some(registered.id);
    check(RegistrationTokenCreate { for_satellite, ..RegistrationTokenCreate::team(team.id) }).await;
    check(RegistrationTokenCreate { for_satellite, tags: vec!["web".into()], ..global() }).await;
    check(RegistrationTokenCreate { tags: vec!["a b".into()], ..global() }).await;
    check(RegistrationTokenCreate { allowed_tags: vec!["a,*".into()], ..global() }).await;
}

#[tokio::test]
async fn labels_come_from_the_token() {
    let claims = |name: &str| RegisterRequest { tags: vec!["prod".into(), "dc:fra1".into()], ..request(name) };
    let tags_of = async |hive: &Hive, create, name: &str| {
        let token = with_token(hive, create).await;
        let id = hive.register_satellite(&token, claims(name), None, None).await.unwrap().id;
        let shown = hive.as_system().satellites().get(id).await.unwrap().unwrap();
        (shown.tags, shown.claimed_tags)
    };
    let all = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let hive_of_facts = hive().await;
    let given = RegistrationTokenCreate { tags: all(&["web"]), allowed_tags: all(&["dc:*"]), ..global() };
    assert_eq!(tags_of(&hive_of_facts, given, NAME).await, (all(&["dc:fra1", "web"]), all(&["prod"])));
    assert_eq!(tags_of(&hive_of_facts, global(), "web-server-02").await, (all(&[]), all(&["dc:fra1", "prod"])));
    let system = hive_of_facts.as_system();
    assert!(system.satellites().get_by_tag("prod").await.unwrap().is_empty(), "a claim matches nothing");
    assert_eq!(system.satellites().get_by_tag("dc:fra1").await.unwrap().len(), 1);
    let settings = Settings { claimed_tags: ClaimedTags::Accept, ..Settings::default() };
    let trusting = Hive::builder().in_memory().settings(settings).build().await.unwrap();
    assert_eq!(tags_of(&trusting, global(), NAME).await, (all(&["dc:fra1", "prod"]), all(&[])));
}

#[tokio::test]
async fn a_registration_whose_answer_was_lost_is_answered_again() {
    let (hive, clock) = clocked_hive().await;
    let plain = with_token(&hive, global()).await;
    let attempt = |attempt: &str| RegisterRequest { attempt: Some(attempt.into()), ..request(NAME) };
    let first = hive.register_satellite(&plain, attempt("0123456789abcdef"), None, None).await.unwrap();
    let used = |result: Result<_, RegistrationError>| {
        let is_used = matches!(result, Err(RegistrationError::Token(TokenProblem::Used)));
        assert!(is_used, "{:?}", result.map(|_: hive_wire::satellite_api::RegisteredSatellite| ()));
    };
    used(hive.register_satellite(&plain, attempt("fedcba9876543210"), None, None).await);
    used(hive.register_satellite(&plain, request(NAME), None, None).await);
    let other_name = RegisterRequest { name: "web-server-02".into(), ..attempt("0123456789abcdef") };
    used(hive.register_satellite(&plain, other_name, None, None).await);
    // An attempt is answered again for 10 minutes.
    clock.advance(Duration::from_mins(9));
    let again = hive.register_satellite(&plain, attempt("0123456789abcdef"), None, None).await.unwrap();
    assert!(again.id == first.id && again.api_key != first.api_key);
    assert!(hive.authenticate_satellite(&first.api_key, None, VerifyMode::Full).await.is_err());
    let satellite = connect(&hive, &again, "journal-1").await;
    used(hive.register_satellite(&plain, attempt("0123456789abcdef"), None, None).await);
    drop(satellite);
    clock.advance(Duration::from_mins(2));
    used(hive.register_satellite(&plain, attempt("0123456789abcdef"), None, None).await);
    let malformed = hive.register_satellite(&plain, attempt("no"), None, None).await;
    assert!(matches!(malformed, Err(RegistrationError::Other(Error::InvalidInput { .. }))));
}

#[tokio::test]
async fn a_token_is_worth_no_more_than_its_maker() {
    let hive = hive().await;
    let system = hive.as_system();
    let team = system.identity().team_create(TeamCreate { slug: "blue".into() }).await.unwrap();
    let maker = |user: &hive_wire::api::User, teams: &[_]| Principal {
        credential: Credential::Login(user.id),
        name: user.username.clone(),
        role: user.role.clone(),
        teams: teams.iter().cloned().collect(),
        ..Principal::system()
    };
    let create = async |username: &str, role| {
        let request = UserCreate { username: username.into(), role };
        system.identity().user_create(request).await.unwrap().user
    };
    let refused = async |token: &SecretString, name: &str| {
        let result = hive.register_satellite(token, request(name), None, None).await;
        assert!(matches!(result, Err(RegistrationError::Token(TokenProblem::MakerGone))), "{name}");
    };
    let (anna, ben) = (create("anna", PlatformRole::GlobalAdmin).await, create("ben", PlatformRole::GlobalUser).await);
    let member = |role| TeamMemberPut { username: "ben".into(), role };
    system.identity().team_member_put(team.id, member(Role::Admin)).await.unwrap();
    let by_ben = hive.acting_as(maker(&ben, &[(team.id, Role::Admin)]));
    let of_team = token(&by_ben, RegistrationTokenCreate::team(team.id)).await;
    let by_anna = hive.acting_as(maker(&anna, &[]));
    let of_hive = token(&by_anna, global()).await;

    system.identity().team_member_put(team.id, member(Role::Operator)).await.unwrap();
    refused(&of_team, "web-server-02").await;
    system.identity().team_member_remove(team.id, ben.id).await.unwrap();
    refused(&of_team, "web-server-02").await;
    let disable = |disabled| UserUpdate { disabled: Some(disabled), ..UserUpdate::default() };
    // She is the last admin, who cannot be disabled.
    system.identity().user_update(anna.id, disable(true)).await.unwrap_err();
    create("carl", PlatformRole::GlobalAdmin).await;
    system.identity().user_update(anna.id, disable(true)).await.unwrap();
    refused(&of_hive, NAME).await;
    while records(&hive, "auth.failure").await < 3 {
        tokio::task::yield_now().await;
    }

    system.identity().user_update(anna.id, disable(false)).await.unwrap();
    let revoked = hive.register_satellite(&of_hive, request(NAME), None, None).await;
    assert!(matches!(revoked, Err(RegistrationError::Token(TokenProblem::Revoked))), "it was revoked with the rights");
}
