//! The promises of a hive, whatever a satellite does. The tests play the satellites over a `ChannelLink`.

mod access;
mod clones;
mod commands;
mod digests;
mod events;
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

use bytes::Bytes;
use hive_wire::agent::{
    Channel, Command, CommandResult, Handshake, Metrics, PROTOCOL_VERSION, Received, SystemInfo, ToAgent, ToServer,
};
use hive_wire::api::{CommandStatus, RegistrationTokenCreate};
use hive_wire::frame::{Frame, StreamId};
use hive_wire::satellite_api::{RegisterRequest, RegisterSystemInfo, RegisteredSatellite};
use hive_wire::{CommandId, SatelliteId};

use super::{ActingHive, AttachedSatellite, Hive, Services, Settings, VerifyMode};
use crate::link::{ChannelLink, LinkEnd, Outgoing};

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

/// A satellite as the hive sees it: its end of a link.
pub(crate) struct Satellite {
    pub(crate) id: SatelliteId,
    pub(crate) attached: AttachedSatellite,
    pub(crate) end: LinkEnd,
}

pub(crate) async fn connect(hive: &Hive, registered: &RegisteredSatellite, journal: &str) -> Satellite {
    let identity = hive.authenticate_satellite(&registered.api_key, VerifyMode::Full).await.unwrap();
    let (link, mut end) = ChannelLink::pair();
    let attached = hive.attach(identity, handshake(registered.id, journal), link).await.unwrap();
    assert!(matches!(end.next().await.unwrap(), Outgoing::Control(ToAgent::HandshakeAck(ack)) if ack.success));
    Satellite { id: registered.id, attached, end }
}

pub(crate) fn handshake(id: SatelliteId, journal: &str) -> Handshake {
    Handshake {
        agent_id: id,
        version: "0.1.0".into(),
        protocol_version: PROTOCOL_VERSION.into(),
        capabilities: Vec::new(),
        features: Vec::new(),
        capacity: None,
        journal_id: journal.into(),
        journal_position: None,
        start_id: None,
        earlier_start_ids: Vec::new(),
        sessions: Vec::new(),
        boot_id: None,
        system: SystemInfo { kernel: "6.1.0".into(), ..SystemInfo::default() },
    }
}

impl Satellite {
    pub(crate) async fn command(&mut self) -> Command {
        match self.end.next().await.unwrap() {
            Outgoing::Control(ToAgent::Command(command)) => *command,
            other => panic!("not a command: {other:?}"),
        }
    }

    pub(crate) async fn send_output(&mut self, id: CommandId, offset: u64, bytes: &'static [u8]) {
        let stream = StreamId(1);
        let open = ToServer::StreamOpen { stream, command_id: id, channel: Channel::Stdout, offset };
        self.attached.on_control(open).await.unwrap();
        let frame = Frame::data(stream, offset, Bytes::from_static(bytes), true);
        self.attached.on_frame(frame).await.unwrap();
    }

    pub(crate) async fn finish(&mut self, id: CommandId, status: CommandStatus, exit_code: i32, stdout: u64) {
        let result = result_of(id, status, exit_code, stdout);
        self.attached.on_control(ToServer::CommandResult(result)).await.unwrap();
    }

    /// What it is told beside commands, which around the opening of a link may come twice.
    pub(crate) async fn next_message(&mut self) -> ToAgent {
        loop {
            match self.end.next().await.unwrap() {
                Outgoing::Control(ToAgent::Command(_)) => {}
                Outgoing::Control(message) => return message,
                Outgoing::Frame(frame) => panic!("a frame: {frame:?}"),
            }
        }
    }

    /// What it is told of its results. Around the opening of a link a command may come twice.
    pub(crate) async fn acknowledged(&mut self) -> CommandId {
        loop {
            match self.end.next().await.unwrap() {
                Outgoing::Control(ToAgent::Command(_)) => {}
                Outgoing::Control(ToAgent::ResultAck { id }) => return id,
                other => panic!("not an acknowledgement: {other:?}"),
            }
        }
    }
}

pub(crate) fn result_of(id: CommandId, status: CommandStatus, exit_code: i32, stdout: u64) -> CommandResult {
    CommandResult {
        id,
        status,
        exit_code: Some(exit_code),
        duration_ms: 3,
        sent: Received { stdout, stderr: 0 },
        truncated: false,
        error: None,
    }
}

#[tokio::test]
async fn secrets_of_a_hive_are_not_printed() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let printed = format!(
        "{hive:?} {:?} {:?}",
        hive.as_system(),
        hive.authenticate_satellite(&registered.api_key, VerifyMode::Full).await
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
    satellite.attached.on_control(problems_message(vec!["no space is left".into()])).await.unwrap();
    let problems = async || hive.as_system().satellites().get(registered.id).await.unwrap().unwrap().problems;
    assert_eq!(problems().await, ["no space is left"]);
    satellite.attached.on_control(problems_message(Vec::new())).await.unwrap();
    assert_eq!(problems().await, [""; 0]);
    satellite.attached.on_control(problems_message(vec!["no space is left".into()])).await.unwrap();
    drop(satellite);
    assert_eq!(problems().await, [""; 0], "what is wrong with one that is away is not known");
}
