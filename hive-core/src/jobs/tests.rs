//! Jobs on satellites that are played over a `ChannelLink`.

use std::sync::Arc;
use std::time::Duration;

use hive_test_peers::FromHive;
use hive_wire::JobId;
use hive_wire::agent::{Command, Payload, ToAgent};
use hive_wire::api::{
    ApiKeyCreate, AuditEntry, AuditQuery, AuditResult, CommandStatus, ExecCommand, ExecEvent, Job, JobEvent, JobStatus,
    JobTarget, PageRequest, PlatformRole, RegistrationTokenCreate, SatelliteStatus, SatelliteUpdate, Target,
    TargetStatus, TeamCreate, TokenScope, UserCreate,
};
use hive_wire::satellite_api::RegisteredSatellite;

use crate::Error;
use crate::access::Role;
use crate::commands::ExecOptions;
use crate::error::KeyConflict;
use crate::hive::tests::{Satellite, connect, global, hive, is_given_nothing, register, request, token};
use crate::hive::{Hive, Settings};
use crate::identity::authentication::VerifyMode;
use crate::jobs::JobOptions;
use crate::keys::Keys;
use crate::store::Store;
use crate::store::sqlite;

/// Satellites that are registered and linked.
struct JobFleet {
    registered: Vec<RegisteredSatellite>,
    satellites: Vec<Satellite>,
}

async fn fleet(hive: &Hive, size: usize) -> JobFleet {
    let mut fleet = JobFleet { registered: Vec::new(), satellites: Vec::new() };
    for number in 0..size {
        let registered = register(hive, &format!("web-server-{number:02}")).await;
        fleet.satellites.push(connect(hive, &registered, &format!("journal-{number:02}")).await);
        fleet.registered.push(registered);
    }
    fleet
}

impl JobFleet {
    /// Links all of them anew.
    async fn reconnect(&mut self, hive: &Hive) {
        self.satellites.clear();
        for (number, registered) in self.registered.iter().enumerate() {
            self.satellites.push(connect(hive, registered, &format!("journal-{number:02}")).await);
        }
    }
}

async fn submit(hive: &Hive, concurrency: u32) -> JobId {
    let options = JobOptions { concurrency: Some(concurrency), ..JobOptions::default() };
    hive.as_system().jobs().submit(vec![Target::All], ExecCommand::shell("uptime"), options).await.unwrap().id
}

async fn job(hive: &Hive, id: JobId) -> Job {
    hive.as_system().jobs().get(id).await.unwrap().unwrap()
}

async fn targets(hive: &Hive, id: JobId) -> Vec<JobTarget> {
    hive.as_system().jobs().list_targets(id, PageRequest::default()).await.unwrap().items
}

/// Waits for the end of a job, and gives all that was told.
async fn ended(hive: &Hive, id: JobId) -> (Job, Vec<JobEvent>) {
    let mut events = hive.as_system().jobs().subscribe(id).await.unwrap();
    let mut received = Vec::new();
    loop {
        let event = tokio::time::timeout(Duration::from_secs(30), events.next()).await.expect("the job goes on");
        match event.expect("the end of the job is received") {
            JobEvent::Ended(job) => return (*job, received),
            event => received.push(event),
        }
    }
}

async fn records(hive: &Hive, action: &str) -> Vec<AuditEntry> {
    let query = AuditQuery { action: Some(action.into()), ..AuditQuery::default() };
    let mut records = hive.as_system().audit().query(query, PageRequest::default()).await.unwrap().items;
    records.reverse();
    records
}

fn results(records: &[AuditEntry]) -> Vec<AuditResult> {
    records.iter().map(|record| record.result.clone()).collect()
}

/// Runs the command that a satellite is given next.
async fn run(satellite: &mut Satellite, exit_code: i32) -> Command {
    let command = satellite.command().await;
    let status = if exit_code == 0 { CommandStatus::Succeeded } else { CommandStatus::Failed };
    satellite.finish(command.id, status, exit_code, 0).await;
    assert_eq!(satellite.acknowledged().await, command.id);
    command
}

#[tokio::test]
async fn a_job_runs_on_all_of_its_targets_and_says_how_each_ended() {
    let hive = hive().await;
    let mut fleet = fleet(&hive, 3).await;
    // Offline before the job begins, so that this target is not run at all.
    let away = fleet.satellites.pop().unwrap();
    drop(away);
    let id = submit(&hive, 64).await;
    for (satellite, exit_code) in fleet.satellites.iter_mut().zip([0, 3]) {
        let command = run(satellite, exit_code).await;
        assert!(matches!(command.payload, Payload::Exec(exec) if exec.command == "uptime"));
    }
    let (job, received) = ended(&hive, id).await;
    assert_eq!((job.status.clone(), job.counts.total(), job.counts.ended()), (JobStatus::Failed, 3, 3));
    assert!(job.finished_at.is_some());
    let expected = [
        TargetStatus::Command(CommandStatus::Succeeded),
        TargetStatus::Command(CommandStatus::Failed),
        TargetStatus::NotRun,
    ];
    let targets = targets(&hive, id).await;
    assert_eq!(targets.iter().map(|target| target.status.clone()).collect::<Vec<_>>(), expected);
    assert_eq!(targets[1].exit_code, Some(3));
    let reason = targets[2].error.as_ref().unwrap();
    assert!(reason.message.contains("web-server-02"), "{reason:?}");
    let is_end = |event: &&JobEvent| matches!(event, JobEvent::Target { .. });
    assert_eq!(received.iter().filter(is_end).count(), 3, "each end is received once: {received:?}");
    let again = ended(&hive, id).await;
    assert_eq!((&again.0, again.1.len()), (&job, 3), "and again to who comes later");
    let records = records(&hive, "satellite.exec_multi").await;
    assert_eq!(results(&records), [AuditResult::Intent, AuditResult::Failure]);
    assert_eq!(records[1].details["results"]["not_run"], 1);
}

#[tokio::test]
async fn a_target_in_maintenance_is_not_run_and_says_why() {
    let hive = hive().await;
    let mut fleet = fleet(&hive, 2).await;
    let maintenance = SatelliteUpdate { status: Some(SatelliteStatus::Maintenance), ..SatelliteUpdate::default() };
    hive.as_system().satellites().update(fleet.registered[0].id, maintenance).await.unwrap();
    for target in [Target::All, Target::Tag("web".into())] {
        let command = ExecCommand::shell("true");
        let id = hive.as_system().jobs().submit(vec![target], command, JobOptions::default()).await.unwrap().id;
        run(&mut fleet.satellites[1], 0).await;
        assert_eq!(ended(&hive, id).await.0.status, JobStatus::Failed);
        let targets = targets(&hive, id).await;
        let statuses: Vec<_> = targets.iter().map(|target| target.status.as_str()).collect();
        assert_eq!(statuses, ["not_run", "succeeded"]);
        let reason = targets[0].error.as_ref().unwrap();
        assert_eq!(reason.message, "satellite web-server-00 is in maintenance; an admin ends that");
    }
}

#[tokio::test]
async fn never_more_are_under_way_than_were_asked_for() {
    let hive = hive().await;
    let mut fleet = fleet(&hive, 3).await;
    let id = submit(&hive, 1).await;
    for number in 0..3 {
        let command = fleet.satellites[number].command().await;
        for other in number + 1..3 {
            assert!(is_given_nothing(&mut fleet.satellites[other]).await, "{other} before {number} has ended");
        }
        fleet.satellites[number].finish(command.id, CommandStatus::Succeeded, 0, 0).await;
    }
    assert_eq!(ended(&hive, id).await.0.status, JobStatus::Succeeded);
}

#[tokio::test]
async fn a_command_expires_counted_from_its_hand_over() {
    let hive = hive().await;
    let mut fleet = fleet(&hive, 2).await;
    let id = submit(&hive, 1).await;
    let first = fleet.satellites[0].command().await;
    assert!(first.expires_in_ms <= 300_000 && first.expires_in_ms > 290_000, "{}", first.expires_in_ms);
    let waiting = targets(&hive, id).await[1].command_id.unwrap();
    let acting = hive.as_system();
    let command = acting.commands().get(waiting, hive_wire::api::OutputEncoding::Lossy).await.unwrap().unwrap();
    assert_eq!(command.expires_at, job(&hive, id).await.deadline_at, "while it waits, only the job's deadline counts");
    fleet.satellites[0].finish(first.id, CommandStatus::Succeeded, 0, 0).await;
    let second = fleet.satellites[1].command().await;
    assert!(second.expires_in_ms <= 300_000, "{}", second.expires_in_ms);
}

#[tokio::test]
async fn a_link_that_comes_back_gets_no_turn_by_that() {
    let hive = hive().await;
    let mut fleet = fleet(&hive, 3).await;
    let id = submit(&hive, 1).await;
    let first = fleet.satellites[0].command().await;
    fleet.reconnect(&hive).await;
    assert_eq!(fleet.satellites[0].command().await.id, first.id, "what was handed over comes again");
    for number in [1, 2] {
        assert!(is_given_nothing(&mut fleet.satellites[number]).await);
    }
    fleet.satellites[0].finish(first.id, CommandStatus::Succeeded, 0, 0).await;
    for number in [1, 2] {
        run(&mut fleet.satellites[number], 0).await;
    }
    assert_eq!(ended(&hive, id).await.0.status, JobStatus::Succeeded);
}

#[tokio::test]
async fn one_that_left_before_its_turn_goes_when_it_is_back() {
    let hive = hive().await;
    let mut fleet = fleet(&hive, 2).await;
    let id = submit(&hive, 1).await;
    let first = fleet.satellites[0].command().await;
    drop(fleet.satellites.pop());
    fleet.satellites[0].finish(first.id, CommandStatus::Succeeded, 0, 0).await;
    let mut back = connect(&hive, &fleet.registered[1], "journal-01").await;
    run(&mut back, 0).await;
    assert_eq!(ended(&hive, id).await.0.status, JobStatus::Succeeded);
}

/// A hive that is started again on what another one left.
struct Lasting {
    store: Arc<dyn Store>,
    keys: tempfile::TempDir,
}

impl Lasting {
    async fn new() -> Self {
        Self { store: Arc::new(sqlite::in_memory().await.unwrap()), keys: tempfile::tempdir().unwrap() }
    }

    async fn start(&self) -> Hive {
        // Open jobs are resumed by housekeeping, at the first turn of its interval.
        let settings = Settings { sweep_interval: Duration::from_millis(20), ..Settings::default() };
        let keys = Keys::open(self.keys.path(), &crate::clock::ClockAndRng::default()).unwrap();
        let builder = Hive::builder().store(self.store.clone()).keys(keys);
        builder.settings(settings).build().await.unwrap()
    }
}

#[tokio::test]
async fn a_job_goes_on_after_a_restart_with_its_cap_and_every_target_once() {
    let lasting = Lasting::new().await;
    let before = lasting.start().await;
    // At the restart, one of the five has ended, two run, and two wait.
    let mut fleet = fleet(&before, 5).await;
    let id = submit(&before, 2).await;
    run(&mut fleet.satellites[0], 0).await;
    let under_way = [fleet.satellites[1].command().await.id, fleet.satellites[2].command().await.id];
    before.shutdown().await;

    let after = lasting.start().await;
    fleet.reconnect(&after).await;
    for (number, command) in [1, 2].into_iter().zip(under_way) {
        assert_eq!(fleet.satellites[number].command().await.id, command, "the same command again, not another");
    }
    for number in [0, 3, 4] {
        assert!(is_given_nothing(&mut fleet.satellites[number]).await, "{number} has no turn: two are under way");
    }
    fleet.satellites[1].finish(under_way[0], CommandStatus::Succeeded, 0, 0).await;
    run(&mut fleet.satellites[3], 0).await;
    run(&mut fleet.satellites[4], 0).await;
    fleet.satellites[2].finish(under_way[1], CommandStatus::Succeeded, 0, 0).await;
    let (job, _) = ended(&after, id).await;
    assert_eq!((job.status.clone(), job.counts.ended()), (JobStatus::Succeeded, 5));
    // One record for the intent and one for the end, also over a restart.
    let records = records(&after, "satellite.exec_multi").await;
    assert_eq!(results(&records), [AuditResult::Intent, AuditResult::Success]);
    assert_eq!(records[0].actor, records[1].actor);
}

#[tokio::test]
async fn a_cancelled_job_is_cancelled_after_a_restart_too() {
    let lasting = Lasting::new().await;
    let before = lasting.start().await;
    let mut fleet = fleet(&before, 2).await;
    let id = submit(&before, 1).await;
    let running = fleet.satellites[0].command().await.id;
    // Offline, so that the cancel reaches it only after the restart.
    fleet.satellites.clear();
    assert_eq!(before.as_system().jobs().cancel(id).await.unwrap().status, JobStatus::Cancelling);
    before.shutdown().await;

    let after = lasting.start().await;
    fleet.reconnect(&after).await;
    let satellite = &mut fleet.satellites[0];
    // In either order: a satellite that has ended it before it is given it again says its result once more.
    let (mut is_given, mut is_asked) = (false, false);
    while !(is_given && is_asked) {
        match satellite.next().await {
            FromHive::Control(ToAgent::Command(command)) => is_given |= command.id == running,
            message => is_asked |= message == FromHive::Control(ToAgent::CommandCancel { id: running }),
        }
    }
    satellite.finish(running, CommandStatus::Cancelled, 137, 0).await;
    assert_eq!(ended(&after, id).await.0.status, JobStatus::Cancelled);
}

#[tokio::test]
async fn a_cancel_ends_the_queue_at_once_and_what_runs_by_its_satellite() {
    let hive = hive().await;
    let mut fleet = fleet(&hive, 3).await;
    let id = submit(&hive, 1).await;
    let running = fleet.satellites[0].command().await.id;
    let job = hive.as_system().jobs().cancel(id).await.unwrap();
    assert_eq!((job.status.clone(), job.counts.queued(), job.counts.running()), (JobStatus::Cancelling, 0, 1));
    let target = fleet.satellites[0].next().await;
    assert_eq!(target, FromHive::Control(ToAgent::CommandCancel { id: running }));
    fleet.satellites[0].finish(running, CommandStatus::Cancelled, 137, 0).await;
    let (job, _) = ended(&hive, id).await;
    assert_eq!(job.status, JobStatus::Cancelled);
    assert_eq!(job.counts.of(&TargetStatus::Command(CommandStatus::Cancelled)), 3);
    for number in [1, 2] {
        assert!(is_given_nothing(&mut fleet.satellites[number]).await);
    }
    assert_eq!(hive.as_system().jobs().cancel(id).await.unwrap(), job, "one that has ended stays as it is");
    assert_eq!(results(&records(&hive, "job.cancel").await), [AuditResult::Intent]);
    assert_eq!(results(&records(&hive, "satellite.exec_multi").await), [AuditResult::Intent, AuditResult::Failure]);
}

#[tokio::test]
async fn the_same_key_is_the_same_job() {
    let hive = hive().await;
    let mut fleet = fleet(&hive, 1).await;
    let submit = async |line: &str| {
        let options = JobOptions { idempotency_key: Some("deploy-42".into()), ..JobOptions::default() };
        hive.as_system().jobs().submit(vec![Target::All], ExecCommand::shell(line), options).await
    };
    let first = submit("true").await.unwrap();
    run(&mut fleet.satellites[0], 0).await;
    ended(&hive, first.id).await;
    assert_eq!(submit("true").await.unwrap().id, first.id);
    assert!(matches!(submit("false").await, Err(Error::KeyConflict(KeyConflict::OtherRequest))));
    let options = || ExecOptions { idempotency_key: Some("again".into()), ..ExecOptions::default() };
    let all = || vec![Target::All];
    let acting = hive.as_system();
    let commands = acting.commands();
    let (one, _) = tokio::join!(
        commands.exec_multi(all(), ExecCommand::shell("true"), options()),
        run(&mut fleet.satellites[0], 0)
    );
    let other = acting.commands().exec_multi(all(), ExecCommand::shell("true"), options()).await.unwrap();
    assert_eq!(one.unwrap(), other, "the answer of a fan-out is there for a second asking");
    assert!(is_given_nothing(&mut fleet.satellites[0]).await);
}

#[tokio::test]
async fn a_removed_satellite_keeps_no_job_from_its_end() {
    let hive = hive().await;
    let mut fleet = fleet(&hive, 2).await;
    let id = submit(&hive, 1).await;
    fleet.satellites[0].command().await;
    hive.as_system().satellites().remove(fleet.registered[0].id).await.unwrap();
    run(&mut fleet.satellites[1], 0).await;
    let (job, _) = ended(&hive, id).await;
    assert_eq!(job.counts.of(&TargetStatus::Command(CommandStatus::OutcomeUnknown)), 1);
    assert_eq!(job.status, JobStatus::Failed);
}

#[tokio::test]
async fn a_job_with_a_hidden_satellite_is_hidden() {
    let hive = hive().await;
    let system = hive.as_system();
    let mut acting = Vec::new();
    for slug in ["blue", "red"] {
        let team = system.identity().team_create(TeamCreate { slug: slug.into() }).await.unwrap();
        let create = RegistrationTokenCreate { scope: TokenScope::Team, team_id: Some(team.id), ..global() };
        let secret = token(&system, create).await;
        hive.register_satellite(&secret, request(&format!("{slug}-server-01")), None, None).await.unwrap();
        let request = UserCreate { username: format!("{slug}-user"), role: PlatformRole::GlobalUser };
        system.identity().user_create(request).await.unwrap();
        system.team_member_add(slug, &format!("{slug}-user"), Role::Operator).await.unwrap();
        let key = system.api_key_create_for(&format!("{slug}-user"), ApiKeyCreate::default()).await.unwrap();
        acting.push(hive.acting_as(hive.authenticate_api_key(&key.api_key, None, VerifyMode::Full).await.unwrap()));
    }
    let named = |name: &str| Target::Name(name.try_into().unwrap());
    let submit = async |who: &crate::ActingHive, targets: Vec<Target>| {
        who.jobs().submit(targets, ExecCommand::shell("true"), JobOptions::default()).await
    };
    let blue = submit(&acting[0], vec![named("blue-server-01")]).await.unwrap().id;
    let both = submit(&system, vec![named("blue-server-01"), named("red-server-01")]).await.unwrap().id;
    assert!(submit(&acting[1], vec![named("blue-server-01")]).await.is_err());
    assert!(acting[0].jobs().get(blue).await.unwrap().is_some());
    for (who, id) in [(&acting[1], blue), (&acting[0], both), (&acting[1], both)] {
        assert!(who.jobs().get(id).await.unwrap().is_none());
        for refused in [who.jobs().cancel(id).await.err(), who.jobs().subscribe(id).await.err()] {
            assert!(matches!(refused, Some(Error::NotFound { what: "job", .. })), "{refused:?}");
        }
        assert!(who.jobs().list_targets(id, PageRequest::default()).await.is_err());
    }
    let list = acting[0].jobs().list(PageRequest::default()).await.unwrap();
    assert_eq!((list.total, list.items[0].id), (1, blue));
    assert_eq!(system.jobs().list(PageRequest::default()).await.unwrap().total, 2);
}

#[tokio::test]
async fn a_single_satellite_is_watched_without_a_job() {
    let hive = hive().await;
    let mut fleet = fleet(&hive, 1).await;
    let only = vec![Target::Id(fleet.registered[0].id)];
    let acting = hive.as_system();
    let mut events =
        acting.commands().exec_stream(only.clone(), ExecCommand::shell("true"), ExecOptions::default()).await.unwrap();
    run(&mut fleet.satellites[0], 0).await;
    assert!(matches!(events.next().await, Some(ExecEvent::Accepted { .. })));
    assert!(matches!(events.next().await, Some(ExecEvent::Exit(result)) if result.exit_code == Some(0)));
    assert!(events.next().await.is_none());
    fleet.satellites.clear();
    let mut events =
        acting.commands().exec_stream(only, ExecCommand::shell("true"), ExecOptions::default()).await.unwrap();
    assert!(matches!(events.next().await, Some(ExecEvent::Exit(result)) if result.status == TargetStatus::NotRun));
    assert_eq!(acting.jobs().list(PageRequest::default()).await.unwrap().total, 0);
}
