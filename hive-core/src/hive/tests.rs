//! The promises of a hive, whatever a satellite does. The tests play the satellites over a `ChannelLink`.

mod access;
mod clones;
mod commands;
mod digests;
mod events;
mod groups;
mod lost;
mod queue;
mod reads;
mod registering;
mod removal;
mod slow_store;
mod strays;
mod teams;
mod unreadable;

use std::sync::Arc;
use std::time::Duration;

use hive_test_peers::satellite::{ClosedByHive, SatelliteLink};
use hive_test_peers::{FakeSatellite, FromHive, FromSatellite};
use hive_wire::agent::{Handshake, Metrics, ToAgent, ToServer};
use hive_wire::api::RegistrationTokenCreate;
use hive_wire::satellite_api::{RegisterRequest, RegisterSystemInfo, RegisteredSatellite};

use super::{ActingHive, AttachedSatellite, Hive, Services, Settings, VerifyMode};
use crate::access::SatelliteIdentity;
use crate::link::{ChannelLink, LinkEnd, Outgoing};
use crate::{Error, Result};

pub(crate) use hive_test_peers::satellite::{handshake, result_of};

const NAME: &str = "web-server-01";

pub(crate) async fn hive() -> Hive {
    // A call that waits for a satellite that never answers must not make a test wait for 15 s.
    let settings = Settings { result_grace: Duration::from_millis(200), ..Settings::default() };
    Hive::builder().in_memory().settings(settings).build().await.unwrap()
}

pub(crate) async fn token(acting: &ActingHive, create: RegistrationTokenCreate) -> secrecy::SecretString {
    acting.identity().registration_token_create(create).await.unwrap().token.into()
}

pub(crate) fn global() -> RegistrationTokenCreate {
    RegistrationTokenCreate::global()
}

pub(crate) fn request(name: &str) -> RegisterRequest {
    RegisterRequest {
        name: name.into(),
        capabilities: vec!["shell".into()],
        tags: vec!["web".into()],
        satellite_url: None,
        system_info: RegisterSystemInfo::default(),
        attempt: None,
    }
}

pub(crate) async fn register(hive: &Hive, name: &str) -> RegisteredSatellite {
    let create = RegistrationTokenCreate { allowed_tags: vec!["web".into()], ..global() };
    let token = token(&hive.as_system(), create).await;
    hive.register_satellite(&token, request(name), None, None).await.unwrap()
}

/// A satellite over a link in memory.
pub(crate) type Satellite = FakeSatellite<MemoryLink>;

/// The satellite's end of a [`ChannelLink`].
#[derive(Debug)]
pub(crate) struct MemoryLink {
    pub(crate) attached: AttachedSatellite,
    pub(crate) end: LinkEnd,
}

impl SatelliteLink for MemoryLink {
    type Refusal = Error;

    async fn feed(&mut self, message: FromSatellite) -> Result<()> {
        match message {
            FromSatellite::Control(message) => self.attached.on_control(message).await,
            FromSatellite::Frame(frame) => self.attached.on_frame(frame).await,
        }
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    async fn next(&mut self) -> std::result::Result<FromHive, ClosedByHive> {
        match self.end.next().await {
            Ok(Outgoing::Control(message)) => Ok(FromHive::Control(message)),
            Ok(Outgoing::Frame(frame)) => Ok(FromHive::Frame(frame)),
            Err(close) => Err(ClosedByHive { code: Some(close.code) }),
        }
    }
}

pub(crate) async fn connect(hive: &Hive, registered: &RegisteredSatellite, journal: &str) -> Satellite {
    connect_with(hive, registered, handshake(registered.id, journal)).await.unwrap()
}

/// Connects with the key of a registration.
pub(crate) async fn connect_with(
    hive: &Hive,
    registered: &RegisteredSatellite,
    handshake: Handshake,
) -> Result<Satellite> {
    let identity = hive.authenticate_satellite(&registered.api_key, None, VerifyMode::Full).await?;
    let link = attach(hive, identity, handshake).await?;
    let mut satellite = Satellite::new(registered.id, &registered.api_key).on(link);
    assert!(matches!(satellite.next_control().await, ToAgent::HandshakeAck(ack) if ack.success));
    Ok(satellite)
}

/// Attaches a link whose answer to the handshake is still to be read.
pub(crate) async fn attach(hive: &Hive, identity: SatelliteIdentity, handshake: Handshake) -> Result<MemoryLink> {
    let (link, end) = ChannelLink::pair();
    let attached = hive.attach(identity, handshake, link).await?;
    Ok(MemoryLink { attached, end })
}

/// Whether the satellite is given nothing for a while in which it would be.
pub(crate) async fn is_given_nothing(satellite: &mut Satellite) -> bool {
    tokio::time::timeout(Duration::from_millis(50), satellite.try_next()).await.is_err()
}

#[tokio::test]
async fn secrets_of_a_hive_are_not_printed() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let printed = format!(
        "{hive:?} {:?} {:?}",
        hive.as_system(),
        hive.authenticate_satellite(&registered.api_key, None, VerifyMode::Full).await
    );
    assert!(!printed.contains(&registered.api_key[registered.api_key.len() - 43..]));
}

#[tokio::test]
async fn a_hive_that_nobody_holds_is_gone() {
    let hive = hive().await;
    // Also none of its services: they must not hold each other.
    let Services { grants, auth_failures, satellites, commands, jobs, sessions, link_handler, .. } = hive.services();
    let weak: [std::sync::Weak<dyn std::any::Any>; 7] = [
        Arc::downgrade(grants) as _,
        Arc::downgrade(auth_failures) as _,
        Arc::downgrade(satellites) as _,
        Arc::downgrade(commands) as _,
        Arc::downgrade(jobs) as _,
        Arc::downgrade(sessions) as _,
        Arc::downgrade(link_handler) as _,
    ];
    let inner = Arc::downgrade(&hive.inner);
    drop(hive);
    assert!(inner.upgrade().is_none());
    for (number, service) in weak.iter().enumerate() {
        assert!(service.upgrade().is_none(), "service {number}");
    }
}

#[tokio::test]
async fn a_satellite_is_shown_as_it_has_told_from_its_first_moment() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let shown = hive.as_system().satellites().get(satellite.id).await.unwrap().unwrap();
    assert_eq!((shown.agent_version.as_deref(), shown.system.kernel.as_str()), (Some("0.1.0"), "6.1.0"));
    assert!(shown.last_seen.is_some());

    let problems_message = |problems: Vec<String>| {
        let metrics = Some(Metrics { problems, ..Metrics::default() });
        ToServer::HeartbeatPong { timestamp: hive.source().now(), metrics, capacity: None }
    };
    satellite.send(problems_message(vec!["no space is left".into()])).await;
    let problems = async || hive.as_system().satellites().get(registered.id).await.unwrap().unwrap().problems;
    assert_eq!(problems().await, ["no space is left"]);
    satellite.send(problems_message(Vec::new())).await;
    assert_eq!(problems().await, [""; 0]);
    satellite.send(problems_message(vec!["no space is left".into()])).await;
    drop(satellite);
    assert_eq!(problems().await, [""; 0], "what is wrong with one that is away is not known");
}
