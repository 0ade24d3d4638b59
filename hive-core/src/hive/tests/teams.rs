//! A satellite goes from one team to another: what was given to it before stays with the team that gave it.

use std::time::Duration;

use hive_wire::agent::{Channel, ToAgent, ToServer};
use hive_wire::api::{
    ApiKeyCreate, CommandStatus, ExecCommand, ExecEvent, OutputEncoding, PageRequest, PlatformRole,
    RegistrationTokenCreate, SatelliteEvent, SatelliteUpdate, SessionFilter, Target, TargetStatus, TeamCreate,
    TokenScope, UserCreate,
};
use hive_wire::{ErrorCode, SatelliteId, TeamId};

use super::{NAME, Satellite, attach, connect, global, handshake, hive, request, token};
use crate::access::{Role, SatelliteIdentity};
use crate::commands::ExecOptions;
use crate::hive::{ActingHive, Hive};
use crate::identity::authentication::VerifyMode;
use crate::jobs::JobOptions;
use crate::{EventItem, Subscription};

/// Two teams with an operator each, and a satellite of the first.
pub(super) struct Teams {
    pub(super) hive: Hive,
    pub(super) red: TeamId,
    pub(super) anna: ActingHive,
    pub(super) bert: ActingHive,
    pub(super) satellite: Satellite,
}

pub(super) async fn two_teams() -> Teams {
    let hive = hive().await;
    let system = hive.as_system();
    let blue = system.identity().team_create(TeamCreate { slug: "blue".into() }).await.unwrap().id;
    let red = system.identity().team_create(TeamCreate { slug: "red".into() }).await.unwrap().id;
    let mut people = Vec::new();
    for (name, slug) in [("anna", "blue"), ("bert", "red")] {
        system
            .identity()
            .user_create(UserCreate { username: name.into(), role: PlatformRole::GlobalUser })
            .await
            .unwrap();
        system.team_member_add(slug, name, Role::Operator).await.unwrap();
        people.push(operator(&hive, name).await);
    }
    let create = RegistrationTokenCreate { scope: TokenScope::Team, team_id: Some(blue), ..global() };
    let token = token(&system, create).await;
    let registered = hive.register_satellite(&token, request(NAME), None, None).await.unwrap();
    let satellite = connect(&hive, &registered, "journal-1").await;
    let (bert, anna) = (people.pop().unwrap(), people.pop().unwrap());
    Teams { hive, red, anna, bert, satellite }
}

/// Somebody with the teams they have now.
async fn operator(hive: &Hive, name: &str) -> ActingHive {
    let key = hive.as_system().api_key_create_for(name, ApiKeyCreate::default()).await.unwrap().api_key;
    hive.acting_as(hive.authenticate_api_key(&key, None, VerifyMode::Full).await.unwrap())
}

impl Teams {
    async fn move_to_red(&self) {
        let update = SatelliteUpdate { team_id: Some(Some(self.red)), ..SatelliteUpdate::default() };
        self.hive.as_system().satellites().update(self.satellite.id, update).await.unwrap();
    }

    async fn total(&self, who: &ActingHive) -> u64 {
        who.commands().list(self.satellite.id, PageRequest::default()).await.unwrap().total
    }
}

/// The satellite with the key of now.
async fn connect_again(hive: &Hive, id: SatelliteId) -> Satellite {
    let key_generation = hive.services().store.satellite_key(id).await.unwrap().unwrap().generation;
    let link =
        attach(hive, SatelliteIdentity { id, key_generation, ip: None }, handshake(id, "journal-1")).await.unwrap();
    let mut satellite = Satellite::new(id, "").on(link);
    assert!(matches!(satellite.next_control().await, ToAgent::HandshakeAck(_)));
    satellite
}

#[tokio::test]
async fn commands_stay_with_the_team_they_were_given_in() {
    let mut teams = two_teams().await;
    let id = teams.satellite.id;
    let of_blue = teams.anna.commands().submit(id, ExecCommand::shell("true"), ExecOptions::default()).await.unwrap();
    assert_eq!(teams.satellite.command().await.id, of_blue);
    teams.satellite.send_output(of_blue, 0, b"of blue").await;
    teams.satellite.finish(of_blue, CommandStatus::Succeeded, 0, 7).await;
    teams.move_to_red().await;
    teams.satellite = connect_again(&teams.hive, id).await;
    let of_red = teams.bert.commands().submit(id, ExecCommand::shell("false"), ExecOptions::default()).await.unwrap();
    let (anna, bert) = (&teams.anna, &teams.bert);
    let seen = anna.commands().get(of_blue, OutputEncoding::Lossy).await.unwrap().unwrap();
    assert_eq!(seen.stdout, "of blue");
    assert!(bert.commands().get(of_blue, OutputEncoding::Lossy).await.unwrap().is_none());
    assert!(anna.commands().get(of_red, OutputEncoding::Lossy).await.unwrap().is_none());
    assert_eq!(bert.commands().output(of_blue, Channel::Stdout, 0).await.unwrap_err().code(), ErrorCode::NotFound);
    for who in [anna, bert] {
        assert_eq!(teams.total(who).await, 1, "each team has its own command");
    }
    assert_eq!(teams.total(&teams.hive.as_system()).await, 2);
    assert!(anna.satellites().get(id).await.unwrap().is_none(), "the satellite itself is of the other team");
    let listed = anna.sessions().list(SessionFilter { satellite_id: Some(id), ..SessionFilter::default() }).await;
    assert_eq!(listed.unwrap_err().code(), ErrorCode::SatelliteNotFound, "there never was one");
}

#[tokio::test]
async fn what_runs_ends_with_the_change_of_team() {
    let mut teams = two_teams().await;
    let id = teams.satellite.id;
    let targets = vec![Target::Id(id)];
    let mut events = teams
        .anna
        .commands()
        .exec_stream(targets, ExecCommand::shell("tail -f"), ExecOptions::default())
        .await
        .unwrap();
    let command = teams.satellite.command().await.id;
    teams.satellite.send_output(command, 0, b"before").await;
    teams.move_to_red().await;
    // The cancel comes before the new key: the link of the old key closes behind it.
    assert_eq!(teams.satellite.next_message().await, ToAgent::CommandCancel { id: command });
    assert!(matches!(teams.satellite.next_control().await, ToAgent::RotateKey { .. }));
    teams.satellite.try_next().await.expect_err("the link of the old key is closed");
    let stream = hive_wire::frame::StreamId(3);
    // What the satellite sent before it read the cancel.
    let open = ToServer::StreamOpen { stream, command_id: command, channel: Channel::Stdout, offset: 6 };
    teams.satellite.send(open).await;
    let frame = hive_wire::frame::Frame::data(stream, 6, bytes::Bytes::from_static(b"after"), false);
    teams.satellite.send(frame).await;
    let (mut output, mut ends) = (Vec::new(), Vec::new());
    while let Some(event) = events.next().await {
        match event {
            ExecEvent::Output { data, .. } => output.extend(data_encoding::BASE64.decode(data.as_bytes()).unwrap()),
            ExecEvent::Exit(result) => ends.push(result),
            ExecEvent::Accepted { .. } | ExecEvent::Link { .. } | ExecEvent::Unknown(_) => {}
        }
    }
    assert_eq!(output, b"before");
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0].status, TargetStatus::Command(CommandStatus::Cancelled));
    assert_eq!(ends[0].error.as_ref().unwrap().code, ErrorCode::SatelliteNotFound);
    let stored = teams.anna.commands().get(command, OutputEncoding::Lossy).await.unwrap().unwrap();
    assert_eq!((stored.status, stored.stdout.as_str()), (CommandStatus::Cancelled, "before"));
    teams.satellite.finish(command, CommandStatus::Cancelled, 137, 11).await;
    let stored = teams.anna.commands().get(command, OutputEncoding::Lossy).await.unwrap().unwrap();
    assert_eq!(stored.stdout, "before", "the satellite's word comes too late");
}

#[tokio::test]
async fn what_is_queued_is_cancelled_with_the_change_of_team() {
    let mut teams = two_teams().await;
    let id = teams.satellite.id;
    let running =
        teams.anna.commands().submit(id, ExecCommand::shell("sleep 60"), ExecOptions::default()).await.unwrap();
    assert_eq!(teams.satellite.command().await.id, running);
    teams.satellite.cut();
    let queued = teams.anna.commands().submit(id, ExecCommand::shell("true"), ExecOptions::default()).await.unwrap();
    let update = SatelliteUpdate { team_id: Some(None), ..SatelliteUpdate::default() };
    teams.hive.as_system().satellites().update(id, update).await.unwrap();
    for command in [queued, running] {
        let found = teams.anna.commands().get(command, OutputEncoding::Lossy).await.unwrap().unwrap();
        assert_eq!(found.status, CommandStatus::Cancelled);
    }
    // It was away at the change, and may run the command still.
    let mut satellite = connect_again(&teams.hive, id).await;
    assert_eq!(satellite.next_message().await, ToAgent::CommandCancel { id: running });
    let nothing = tokio::time::timeout(Duration::from_millis(50), satellite.try_next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
}

/// Returns the next event.
pub(super) async fn event(events: &mut Subscription<EventItem>) -> SatelliteEvent {
    let next = async {
        loop {
            if let Some(event) = events.next().await.expect("the stream goes on").event() {
                return event.clone();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), next).await.expect("an event comes")
}

#[tokio::test]
async fn who_sees_a_satellite_no_more_is_told_that_it_is_gone() {
    let teams = two_teams().await;
    let (id, system) = (teams.satellite.id, teams.hive.as_system());
    let mut of_blue = teams.anna.satellites().subscribe(None).await.unwrap();
    let mut of_red = teams.bert.satellites().subscribe(None).await.unwrap();
    teams.move_to_red().await;
    assert!(matches!(event(&mut of_blue).await, SatelliteEvent::Removed { id: gone, .. } if gone == id));
    assert!(matches!(event(&mut of_red).await, SatelliteEvent::Updated { id: new, .. } if new == id));
    drop(teams.satellite);
    assert!(matches!(event(&mut of_red).await, SatelliteEvent::Offline { .. }));
    system.satellites().remove(id).await.unwrap();
    assert!(matches!(event(&mut of_red).await, SatelliteEvent::Removed { id: gone, .. } if gone == id));
    let nothing = tokio::time::timeout(Duration::from_millis(20), event(&mut of_blue)).await;
    assert!(nothing.is_err(), "{nothing:?}");
}

#[tokio::test]
async fn a_job_ends_where_its_satellite_goes_to_another_team() {
    let mut teams = two_teams().await;
    let id = teams.satellite.id;
    let targets = vec![Target::Id(id)];
    let job =
        teams.anna.jobs().submit(targets, ExecCommand::shell("sleep 60"), JobOptions::default()).await.unwrap().id;
    teams.satellite.command().await;
    teams.move_to_red().await;
    let ended = async {
        loop {
            let job = teams.anna.jobs().get(job).await.unwrap().unwrap();
            if job.finished_at.is_some() {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(10), ended).await.expect("the job ends");
    assert_eq!(ended.counts.ended(), 1);
    assert!(teams.bert.jobs().get(job).await.unwrap().is_none());
}

#[tokio::test]
async fn a_key_of_before_gives_nothing_to_one_who_left_the_team() {
    let mut teams = two_teams().await;
    let (id, system) = (teams.satellite.id, teams.hive.as_system());
    let options = || ExecOptions { idempotency_key: Some("deploy".into()), ..ExecOptions::default() };
    let of_blue = teams.anna.commands().submit(id, ExecCommand::shell("secret"), options()).await.unwrap();
    teams.satellite.command().await;
    let job_options = || JobOptions { idempotency_key: Some("job".into()), ..JobOptions::default() };
    let targets = || vec![Target::Id(id)];
    teams.anna.jobs().submit(targets(), ExecCommand::shell("secret"), job_options()).await.unwrap();
    teams.move_to_red().await;
    system.team_member_add("red", "anna", Role::Operator).await.unwrap();
    let of_both = operator(&teams.hive, "anna").await;
    assert_eq!(
        of_both.commands().submit(id, ExecCommand::shell("secret"), options()).await.unwrap(),
        of_blue,
        "the same command"
    );
    let blue = system.identity().team_list().await.unwrap().into_iter().find(|team| team.slug == "blue").unwrap();
    system.identity().team_member_remove(blue.id, teams.anna.principal().user().unwrap()).await.unwrap();
    let of_red = operator(&teams.hive, "anna").await;
    let refused = of_red.commands().submit(id, ExecCommand::shell("secret"), options()).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Conflict);
    let refused = of_red.jobs().submit(targets(), ExecCommand::shell("secret"), job_options()).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Conflict);
}
