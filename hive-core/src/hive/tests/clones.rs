//! Copies of a satellite, satellites that were rolled back, and keys that die while their satellite connects.

use std::time::Duration;

use hive_test_peers::satellite::SatelliteLink as _;
use hive_wire::agent::{Handshake, ToServer};
use hive_wire::api::{
    AuditQuery, CommandStatus, ExecCommand, OutputEncoding, PageRequest, RegistrationTokenCreate, SatelliteEvent,
    SatelliteUpdate, TeamCreate,
};
use hive_wire::satellite_api::RegisteredSatellite;
use hive_wire::{CommandId, SatelliteId};

use super::{NAME, Satellite, attach, connect_with, global, handshake, hive, register, request, token};
use crate::commands::ExecOptions;
use crate::hive::{Hive, Settings};
use crate::identity::authentication::VerifyMode;
use crate::{Error, Result};

/// A process of an agent, as its handshake tells it.
#[derive(Clone, Copy)]
struct CloneProcess {
    start_id: &'static str,
    earlier: &'static [&'static str],
    position: u64,
}

const FIRST: CloneProcess = CloneProcess { start_id: "process-1", earlier: &[], position: 10 };

async fn impatient_hive() -> Hive {
    let settings = Settings { answer_time: Duration::from_millis(200), ..Settings::default() };
    Hive::builder().in_memory().settings(settings).build().await.unwrap()
}

fn handshake_of(id: SatelliteId, process: CloneProcess) -> Handshake {
    Handshake {
        journal_position: Some(process.position),
        start_id: Some(process.start_id.into()),
        earlier_start_ids: process.earlier.iter().map(|&id| id.into()).collect(),
        ..handshake(id, "journal-1")
    }
}

async fn try_as(hive: &Hive, registered: &RegisteredSatellite, process: CloneProcess) -> Result<Satellite> {
    connect_with(hive, registered, handshake_of(registered.id, process)).await
}

async fn connect_as(hive: &Hive, registered: &RegisteredSatellite, process: CloneProcess) -> Satellite {
    try_as(hive, registered, process).await.unwrap()
}

async fn start(satellite: &mut Satellite, id: CommandId, position: u64) {
    satellite.send(ToServer::CommandAck { id, journal_position: Some(position) }).await;
}

async fn submit(hive: &Hive, id: SatelliteId) -> CommandId {
    hive.as_system().commands().submit(id, ExecCommand::shell("true"), ExecOptions::default()).await.unwrap()
}

async fn status(hive: &Hive, id: CommandId) -> CommandStatus {
    hive.as_system().commands().get(id, OutputEncoding::Lossy).await.unwrap().unwrap().status
}

async fn until(hive: &Hive, id: CommandId, expected: CommandStatus) {
    while status(hive, id).await != expected {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_copy_beside_a_satellite_that_answers_is_refused() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let mut events = hive.as_system().satellites().subscribe(None).await.unwrap();
    let mut satellite = connect_as(&hive, &registered, FIRST).await;
    let copy = CloneProcess { start_id: "process-2", earlier: &["process-1"], ..FIRST };
    for _ in 0..2 {
        let refused = tokio::select! {
            refused = try_as(&hive, &registered, copy) => refused,
            // The first process must answer the ping, or the copy takes its place.
            () = satellite.serve() => unreachable!(),
        };
        let error = refused.map(|_| ()).unwrap_err();
        assert!(matches!(&error, Error::Conflict(text) if text.contains("identity_conflict")), "{error}");
    }
    // It stays, and gets what is asked for.
    let command = submit(&hive, registered.id).await;
    assert_eq!(satellite.command().await.id, command);
    let shown = hive.as_system().satellites().get(registered.id).await.unwrap().unwrap();
    assert!(shown.online && shown.conflict_at.is_some());
    let about = AuditQuery { action: Some("satellite.conflict".into()), ..AuditQuery::default() };
    let audit_log = hive.as_system().audit().query(about, PageRequest::default()).await.unwrap();
    assert_eq!(audit_log.total, 1, "once an hour for each process");
    let mut conflicts = 0;
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(20), events.next()).await {
        let is_conflict = matches!(event.event(), Some(SatelliteEvent::Conflict { id, .. }) if *id == registered.id);
        conflicts += usize::from(is_conflict);
    }
    assert_eq!(conflicts, 1);
}

#[tokio::test]
async fn a_restarted_satellite_does_not_wait_for_a_link_that_is_dead() {
    let hive = impatient_hive().await;
    let registered = register(&hive, NAME).await;
    let mut silent = connect_as(&hive, &registered, FIRST).await;
    let restarted = CloneProcess { start_id: "process-2", earlier: &["process-1"], ..FIRST };
    let _satellite = connect_as(&hive, &registered, restarted).await;
    // Nobody answers the ping: the process of this link is gone.
    silent.closed().await;
    let shown = hive.as_system().satellites().get(registered.id).await.unwrap().unwrap();
    assert!(shown.online && shown.conflict_at.is_none());
}

#[tokio::test]
async fn what_a_rolled_back_satellite_was_given_is_not_given_again() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect_as(&hive, &registered, FIRST).await;
    let command = submit(&hive, registered.id).await;
    assert_eq!(satellite.command().await.id, command);
    // The acknowledgement moves the known position to 11, so that a return to 10 shows.
    start(&mut satellite, command, 11).await;
    // Gone before the other one connects, so that nobody answers for the identity.
    drop(satellite);
    let rolled_back = CloneProcess { start_id: "process-2", earlier: &["process-1"], ..FIRST };
    let mut satellite = connect_as(&hive, &registered, rolled_back).await;
    until(&hive, command, CommandStatus::OutcomeUnknown).await;

    // From here on it is known, by what it has now.
    let next = submit(&hive, registered.id).await;
    assert_eq!(satellite.command().await.id, next);
    start(&mut satellite, next, 11).await;
    until(&hive, next, CommandStatus::Started).await;
    drop(satellite);
    let restarted = CloneProcess { start_id: "process-3", earlier: &["process-1", "process-2"], position: 11 };
    let mut satellite = connect_as(&hive, &registered, restarted).await;
    let again = satellite.command().await;
    assert_eq!((again.id, again.started), (next, true), "it is the same journal, which must know it");

    // The process that was there before the return knows nothing of it, however far it has come.
    drop(satellite);
    let before = CloneProcess { position: 99, ..FIRST };
    let copied = CloneProcess { earlier: &["process-0"], ..before };
    let mut satellite = connect_as(&hive, &registered, copied).await;
    until(&hive, next, CommandStatus::OutcomeUnknown).await;
    let last = submit(&hive, registered.id).await;
    assert_eq!(satellite.command().await.id, last);
}

#[tokio::test]
async fn a_machine_that_goes_back_under_its_process_is_noticed_each_time() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    for _ in 0..3 {
        let mut satellite = connect_as(&hive, &registered, FIRST).await;
        let command = submit(&hive, registered.id).await;
        assert_eq!(satellite.command().await.id, command);
        start(&mut satellite, command, 11).await;
        drop(satellite);
        let _satellite = connect_as(&hive, &registered, FIRST).await;
        until(&hive, command, CommandStatus::OutcomeUnknown).await;
    }
}

#[tokio::test]
async fn how_far_a_journal_has_come_outlives_the_hive() {
    let dir = tempfile::tempdir().unwrap();
    let build = async || Hive::builder().data_dir(dir.path()).build().await.unwrap();
    let hive = build().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect_as(&hive, &registered, FIRST).await;
    let command = submit(&hive, registered.id).await;
    satellite.command().await;
    start(&mut satellite, command, 11).await;
    drop(satellite);
    hive.shutdown().await;
    let hive = build().await;
    let rolled_back = CloneProcess { start_id: "process-2", earlier: &["process-1"], ..FIRST };
    let _satellite = connect_as(&hive, &registered, rolled_back).await;
    until(&hive, command, CommandStatus::OutcomeUnknown).await;
    hive.shutdown().await;
}

/// How a key dies.
#[derive(Clone, Copy, Debug)]
enum Death {
    Replaced,
    Removed,
    GivenAway,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_dies_while_its_satellite_connects_leaves_no_link() {
    let hive = hive().await;
    let system = hive.as_system();
    let team = system.identity().team_create(TeamCreate { slug: "blue".into() }).await.unwrap();
    for round in 0..60 {
        let death = [Death::Replaced, Death::Removed, Death::GivenAway][round % 3];
        let name = format!("web-server-{round:02}");
        let registered = register(&hive, &name).await;
        // Made before the race: only its use races with the handshake.
        let made_for = RegistrationTokenCreate { for_satellite: Some(registered.id), ..global() };
        let spare = token(&system, made_for).await;
        let identity = hive.authenticate_satellite(&registered.api_key, None, VerifyMode::Full).await.unwrap();
        let attach = attach(&hive, identity, handshake(registered.id, "journal-1"));
        let kill = async {
            match death {
                Death::Replaced => drop(hive.register_satellite(&spare, request(&name), None, None).await.unwrap()),
                Death::Removed => system.satellites().remove(registered.id).await.unwrap(),
                Death::GivenAway => {
                    let update = SatelliteUpdate { team_id: Some(Some(team.id)), ..SatelliteUpdate::default() };
                    drop(system.satellites().update(registered.id, update).await.unwrap());
                }
            }
        };
        // The one that begins first rarely loses.
        let mut attached = if round % 2 == 0 { tokio::join!(attach, kill).0 } else { tokio::join!(kill, attach).1 };
        if let Ok(link) = &mut attached {
            let ended = async { while link.next().await.is_ok() {} };
            tokio::time::timeout(Duration::from_secs(5), ended).await.unwrap_or_else(|_| {
                panic!("a link of a dead key is left, in round {round}: {death:?}");
            });
        }
        drop(attached);
        assert!(!hive.services().links.is_online(registered.id), "{death:?}");
    }
}
