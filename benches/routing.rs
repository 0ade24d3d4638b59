//! What the hive itself takes for a command, without a network and without a disk: who is meant, who may, and the way from the
//! call to the satellite's link and back.
//!
//! The store is SQLite in memory, and the satellite a task that answers each command at once.

mod support {
    pub(crate) mod figure;
    pub(crate) mod measured;
    pub(crate) mod samples;
}

use std::hint::black_box;

use anyhow::Context;
use hive_core::access::{Credential, Permission, Principal, ResourceScope, Role, may};
use hive_core::clock::ClockAndRng;
use hive_core::commands::ExecOptions;
use hive_core::hive::{AttachedSatellite, VerifyMode};
use hive_core::jobs::JobOptions;
use hive_core::link::{ChannelLink, LinkEnd, Outgoing};
use hive_core::wire::agent::{CommandResult, Handshake, PROTOCOL_VERSION, Received, SystemInfo, ToAgent, ToServer};
use hive_core::wire::api::{CommandStatus, ExecCommand, PlatformRole, RegistrationTokenCreate, Target};
use hive_core::wire::satellite_api::{RegisterRequest, RegisterSystemInfo, RegisteredSatellite};
use hive_core::wire::{CommandId, SatelliteId, TeamId, UserId};
use hive_core::{ActingHive, Hive};
use support::figure::is_asked_for;
use support::measured::{Unit, criterion, report};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const NANOSECONDS: Unit = ("ns", 1.0);
const MICROSECONDS: Unit = ("µs", 1e3);
/// How many teams somebody is in.
const TEAMS: usize = 50;
/// How many satellites a job is for.
const TARGETS: usize = 1_000;

fn main() -> anyhow::Result<()> {
    if !is_asked_for() {
        return Ok(());
    }
    measure()?;
    report("routing", "target_read", None, NANOSECONDS, "`tag:web` to a Target")?;
    report("routing", "may", None, NANOSECONDS, "may somebody in 50 teams run commands in one of them")?;
    report(
        "routing",
        "exec",
        None,
        MICROSECONDS,
        "ActingHive::exec on a satellite that answers at once, SQLite in memory",
    )?;
    let settled = format!("a job for {TARGETS} satellites by id: all settled and stored, none of them active");
    report("routing", "settle", None, MICROSECONDS, &settled)
}

fn measure() -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let hive = runtime.block_on(Hive::builder().in_memory().build())?;
    let system = hive.as_system();
    let mut criterion = criterion();
    let mut group = criterion.benchmark_group("routing");

    group.bench_function("target_read", |bencher| bencher.iter(|| black_box("tag:web").parse::<Target>()));
    let (operator, team) = operator(hive.source());
    group.bench_function("may", |bencher| {
        bencher.iter(|| may(black_box(&operator), &Permission::SatellitesExec, ResourceScope::Team(black_box(team))));
    });

    // Dropped, the satellite would not answer any more.
    let (satellite, _playing) = runtime.block_on(play(&hive))?;
    group.bench_function("exec", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            system
                .commands()
                .exec(satellite, ExecCommand::shell("true"), ExecOptions::default())
                .await
                .expect("it answers")
        });
    });

    // Registered and not activated, so that nothing is sent and only the settling is measured.
    let targets = runtime.block_on(register_many(&system))?;
    group.bench_function("settle", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            let job = system.jobs().submit(targets.clone(), ExecCommand::shell("true"), JobOptions::default()).await;
            assert_eq!(job.expect("it is stored").counts.total(), TARGETS as u64);
        });
    });
    group.finish();
    runtime.block_on(hive.shutdown());
    Ok(())
}

/// Somebody who is in many teams, and one of them.
fn operator(source: &ClockAndRng) -> (Principal, TeamId) {
    let teams: Vec<TeamId> = (0..TEAMS).map(|_| TeamId::new(source.seed())).collect();
    let credential = Credential::Login(UserId::new(source.seed()));
    let principal = Principal::new(credential, "anna", PlatformRole::GlobalUser)
        .teams(teams.iter().map(|team| (*team, Role::Operator)).collect());
    (principal, teams[TEAMS / 2])
}

async fn register(system: &ActingHive, name: &str) -> anyhow::Result<RegisteredSatellite> {
    let token = system.identity().registration_token_create(RegistrationTokenCreate::global()).await?.token;
    let request = RegisterRequest {
        name: name.into(),
        capabilities: Vec::new(),
        tags: Vec::new(),
        satellite_url: None,
        system_info: RegisterSystemInfo::default(),
        attempt: None,
    };
    Ok(system.satellites().register(token.into(), request).await?)
}

async fn register_many(system: &ActingHive) -> anyhow::Result<Vec<Target>> {
    let mut targets = Vec::new();
    for number in 0..TARGETS {
        let registered = register(system, &format!("satellite-{number:05}")).await?;
        targets.push(Target::Id(registered.id));
    }
    Ok(targets)
}

/// Plays a satellite that is online and answers each command at once.
async fn play(hive: &Hive) -> anyhow::Result<(SatelliteId, JoinSet<anyhow::Result<()>>)> {
    let registered = register(&hive.as_system(), "answering-satellite").await?;
    let identity = hive.authenticate_satellite(&registered.api_key, None, VerifyMode::Full).await?;
    let (link, end) = ChannelLink::pair();
    let handshake = Handshake {
        agent_id: registered.id,
        version: "0".into(),
        protocol_version: PROTOCOL_VERSION.into(),
        capabilities: Vec::new(),
        features: Vec::new(),
        capacity: None,
        journal_id: "a-journal".into(),
        journal_position: None,
        start_id: None,
        earlier_start_ids: Vec::new(),
        boot_id: None,
        sessions: Vec::new(),
        system: SystemInfo::default(),
    };
    let attached = hive.attach(identity, handshake, link).await?;
    let mut playing = JoinSet::new();
    playing.spawn(answer(attached, end));
    Ok((registered.id, playing))
}

async fn answer(mut attached: AttachedSatellite, mut end: LinkEnd) -> anyhow::Result<()> {
    while let Ok(outgoing) = end.next().await {
        if let Outgoing::Control(ToAgent::Command(command)) = outgoing {
            attached.on_control(ToServer::CommandAck { id: command.id, journal_position: None }).await?;
            attached.on_control(ToServer::CommandResult(succeeded(command.id))).await.context("the result is taken")?;
        }
    }
    Ok(())
}

fn succeeded(id: CommandId) -> CommandResult {
    CommandResult {
        id,
        status: CommandStatus::Succeeded,
        exit_code: Some(0),
        duration_ms: 0,
        sent: Received::default(),
        truncated: false,
        error: None,
    }
}
