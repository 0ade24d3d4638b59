//! Satellites are removed while others begin commands, jobs and terminals on them.

use std::time::Duration;

use futures_util::future::join_all;
use hive_wire::agent::ToAgent;
use hive_wire::api::{CommandStatus, ExecCommand, OutputEncoding, SessionCreate, Target, TargetStatus};
use hive_wire::{CommandId, ErrorCode, JobId, SatelliteId};
use tokio_util::task::TaskTracker;

use super::{Satellite, connect, hive, register};
use crate::Error;
use crate::commands::ExecOptions;
use crate::hive::{ActingHive, Hive};
use crate::jobs::JobOptions;
use crate::store::RowRange;

/// Satellites that are removed, each in a race with those who begin something on it.
const SATELLITES: usize = 30;
/// How long a removal may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads what a satellite is sent until its link ends, and answers nothing.
async fn read_and_be_silent(mut satellite: Satellite) {
    while satellite.try_next().await.is_ok() {}
}

/// Begins commands on a satellite until that is refused, and says which were accepted.
async fn begin_commands(acting: ActingHive, id: SatelliteId) -> Vec<CommandId> {
    let mut accepted = Vec::new();
    loop {
        match acting.commands().submit(id, ExecCommand::shell("sleep 600"), ExecOptions::default()).await {
            Ok(id) => accepted.push(id),
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::SatelliteNotFound, "{error}");
                return accepted;
            }
        }
    }
}

/// Begins jobs on a satellite until that is refused, and says which were accepted.
async fn begin_jobs(acting: ActingHive, id: SatelliteId) -> Vec<JobId> {
    let mut accepted = Vec::new();
    loop {
        let options = JobOptions::default();
        // Named by id: a removed satellite is an error there, and not a target that is left out.
        match acting.jobs().submit(vec![Target::Id(id)], ExecCommand::shell("sleep 600"), options).await {
            Ok(job) => accepted.push(job.id),
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::SatelliteNotFound, "{error}");
                return accepted;
            }
        }
    }
}

async fn fleet(hive: &Hive, tasks: &TaskTracker) -> Vec<SatelliteId> {
    let mut ids = Vec::new();
    for number in 0..SATELLITES {
        let registered = register(hive, &format!("web-server-{number:02}")).await;
        let satellite = connect(hive, &registered, &format!("journal-{number:02}")).await;
        ids.push(satellite.id);
        tasks.spawn(read_and_be_silent(satellite));
    }
    ids
}

async fn until_no_job_is_open(hive: &Hive) {
    let none = async {
        while !hive.services().store.job_list_open().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), none).await.expect("all jobs end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_stays_open_for_satellites_that_are_removed() {
    let hive = hive().await;
    let tasks = TaskTracker::new();
    let ids = fleet(&hive, &tasks).await;
    let acting = || hive.as_system();
    let (system, options) = (acting(), JobOptions::default());
    let everywhere =
        system.jobs().submit(vec![Target::All], ExecCommand::shell("sleep 600"), options).await.unwrap().id;
    let (mut commands, mut jobs, mut terminals, mut removals) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (number, id) in ids.iter().copied().enumerate() {
        commands.push(tasks.spawn(begin_commands(acting(), id)));
        jobs.push(tasks.spawn(begin_jobs(acting(), id)));
        let opening = acting();
        terminals.push(tasks.spawn(async move { opening.sessions().create(SessionCreate::on(id)).await }));
        let removing = acting();
        removals.push(tasks.spawn(async move {
            // At another point of what the others do each time.
            tokio::time::sleep(Duration::from_millis(number as u64 * 3)).await;
            let begin = tokio::time::Instant::now();
            removing.satellites().remove(id).await.unwrap();
            begin.elapsed()
        }));
    }
    for took in join_all(removals).await {
        assert!(took.as_ref().unwrap() < &PATIENCE, "a removal took {took:?}");
    }
    let commands: Vec<_> = join_all(commands).await.into_iter().flat_map(Result::unwrap).collect();
    let jobs: Vec<_> = join_all(jobs).await.into_iter().flat_map(Result::unwrap).collect();
    drop(join_all(terminals).await);
    assert!(!commands.is_empty() && !jobs.is_empty(), "nothing raced");
    until_no_job_is_open(&hive).await;
    for id in &ids {
        assert_eq!(hive.services().store.command_list_open(*id).await.unwrap(), []);
        assert_eq!(hive.services().store.session_list_open(Some(*id)).await.unwrap(), []);
        assert!(!hive.services().links.is_online(*id));
    }
    for id in commands {
        let row = hive.services().store.command_get(id).await.unwrap().unwrap();
        assert!(matches!(row.status, CommandStatus::Cancelled | CommandStatus::OutcomeUnknown), "{row:?}");
    }
    for job in jobs.into_iter().chain([everywhere]) {
        let (targets, _) = hive.services().store.job_target_list(job, RowRange::ALL).await.unwrap();
        let is_over = |status: &TargetStatus| match status {
            TargetStatus::Command(status) => status.is_terminal(),
            TargetStatus::NotRun => true,
        };
        assert!(targets.iter().all(|target| is_over(&target.status)), "{targets:?}");
    }
    assert_eq!(hive.services().commands.in_flight().count(), 0, "somebody waits for a command that nobody runs");
    tasks.close();
    tasks.wait().await;
}

#[tokio::test]
async fn a_removal_is_carried_out_even_if_nobody_waits_for_it() {
    let hive = hive().await;
    let registered = register(&hive, "web-server-01").await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let (system, id) = (hive.as_system(), satellite.id);
    system.commands().submit(id, ExecCommand::shell("sleep 600"), ExecOptions::default()).await.unwrap();
    for turns in 1..10_000 {
        // Given up at another point of its way each time.
        let give_up = async {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
        };
        let satellites = system.satellites();
        tokio::select! {
            biased;
            removed = satellites.remove(id) => removed.unwrap(),
            () = give_up => {}
        }
        if hive.services().store.satellite_get(id).await.unwrap().is_none() {
            break;
        }
    }
    let closed = async { satellite.closed().await };
    tokio::time::timeout(Duration::from_secs(5), closed).await.expect("the link is closed");
    assert_eq!(hive.services().commands.in_flight().count(), 0);
}

#[tokio::test]
async fn who_waits_for_a_command_hears_that_its_satellite_was_removed() {
    let hive = hive().await;
    let registered = register(&hive, "web-server-01").await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let (acting, id) = (hive.as_system(), satellite.id);
    let waiting = TaskTracker::new().spawn(async move {
        acting.commands().exec(id, ExecCommand::shell("sleep 600"), ExecOptions::default()).await
    });
    let command = satellite.command().await.id;
    satellite.send_output(command, 0, b"so far").await;
    hive.as_system().satellites().remove(id).await.unwrap();
    let ended = waiting.await.unwrap().unwrap();
    assert_eq!((ended.status, ended.stdout.as_str()), (TargetStatus::Command(CommandStatus::OutcomeUnknown), "so far"));
    assert_eq!(ended.error.unwrap().message, "the satellite was removed");
    assert_eq!(satellite.next_message().await, ToAgent::CommandCancel { id: command });
    satellite.try_next().await.expect_err("its link is closed");
    let found = hive.as_system().commands().get(command, OutputEncoding::Lossy).await.unwrap().unwrap();
    assert_eq!(found.stdout, "so far");
    let again = hive.as_system().commands().submit(id, ExecCommand::shell("true"), ExecOptions::default()).await;
    assert!(matches!(again, Err(Error::SatelliteNotFound(_))), "{again:?}");
}
