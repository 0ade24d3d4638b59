//! Tests of sessions with a fake satellite over a `ChannelLink`.

mod ending;
mod looker;
mod opening;
mod resuming;
mod sharing;

use std::time::Duration;

use hive_wire::api::{
    AuditQuery, PageRequest, PlatformRole, RegistrationTokenCreate, Session, SessionCreate, TeamCreate, TokenScope,
    UserCreate,
};
use hive_wire::satellite_api::RegisteredSatellite;
use hive_wire::{ErrorCode, SessionId};

use crate::access::Role;
use crate::hive::tests::{Satellite, attach, global, register, request, token};
use crate::hive::{ActingHive, Hive, Settings};
use crate::identity::authentication::VerifyMode;

use looker::Looker;

const NAME: &str = "web-server-01";

/// Settings with short timeouts for claims.
fn hasty() -> Settings {
    Settings {
        claim_stall: Duration::from_millis(200),
        claim_linger: Duration::from_millis(200),
        ..Settings::default()
    }
}

async fn hive_with(settings: Settings) -> Hive {
    Hive::builder().in_memory().settings(settings).build().await.unwrap()
}

/// Registers a satellite and opens a link.
async fn online(hive: &Hive, name: &str) -> Satellite {
    linked(hive, register(hive, name).await).await
}

async fn linked(hive: &Hive, registered: RegisteredSatellite) -> Satellite {
    let mut satellite = Satellite::new(registered.id, registered.api_key);
    connect(hive, &mut satellite).await;
    satellite
}

/// Opens a link. An earlier one may still be open.
async fn connect(hive: &Hive, satellite: &mut Satellite) {
    let identity = hive.authenticate_satellite(&satellite.key, None, VerifyMode::Full).await.unwrap();
    let link = attach(hive, identity, satellite.handshake("journal-1")).await.unwrap();
    satellite.relink(link).await;
}

/// A hive with a satellite.
async fn a_machine() -> (Hive, Satellite) {
    let hive = hive_with(Settings::default()).await;
    let machine = online(&hive, NAME).await;
    (hive, machine)
}

/// Opens a session on a satellite.
async fn open(hive: &Hive, machine: &mut Satellite) -> Session {
    let acting = hive.as_system();
    let session = machine.during(acting.sessions().create(SessionCreate::on(machine.id))).await.unwrap();
    // The first credit was sent with the request, and may not be read yet.
    machine.wait_until_idle().await;
    session
}

/// A hive, a satellite, a session on it, and the viewer with its keyboard.
async fn a_terminal() -> (Hive, Satellite, SessionId, Looker) {
    let (hive, mut machine) = a_machine().await;
    let id = open(&hive, &mut machine).await.id;
    let looker = Looker::typing(&hive.as_system(), id).await;
    (hive, machine, id, looker)
}

/// Returns the audit records of an action, the latest first.
async fn audit_log(hive: &Hive, action: &str) -> Vec<hive_wire::api::AuditEntry> {
    let query = AuditQuery { action: Some(action.into()), ..AuditQuery::default() };
    hive.as_system().audit().query(query, PageRequest::default()).await.unwrap().items
}

/// Two users of two teams, and a satellite of the first one's team.
async fn two_teams(hive: &Hive) -> (ActingHive, ActingHive, Satellite) {
    let system = hive.as_system();
    let mut acting = Vec::new();
    let mut teams = Vec::new();
    for (name, slug) in [("anna", "blue"), ("bert", "red")] {
        let team = system.identity().team_create(TeamCreate { slug: slug.into() }).await.unwrap();
        teams.push(team.id);
        let request = UserCreate { username: name.into(), role: PlatformRole::GlobalUser };
        system.identity().user_create(request).await.unwrap();
        system.team_member_add(slug, name, Role::Operator).await.unwrap();
        let key = system.api_key_create_for(name, hive_wire::api::ApiKeyCreate::default()).await.unwrap().api_key;
        acting.push(hive.acting_as(hive.authenticate_api_key(&key, None, VerifyMode::Full).await.unwrap()));
    }
    let create = RegistrationTokenCreate { scope: TokenScope::Team, team_id: Some(teams[0]), ..global() };
    let blue = token(&system, create).await;
    let registered = hive.register_satellite(&blue, request(NAME), None, None).await.unwrap();
    let machine = linked(hive, registered).await;
    let [anna, bert] = acting.try_into().expect("two");
    (anna, bert, machine)
}

/// Returns pseudo-random bytes, in which a byte at a wrong offset is noticed.
fn noise(len: usize) -> Vec<u8> {
    // The same sequence in every run: a test that fails is repeatable.
    let mut state = 7u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}
