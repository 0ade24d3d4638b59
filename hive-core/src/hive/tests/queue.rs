//! Commands that wait for a place at their satellite.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hive_test_peers::FromHive;
use hive_wire::agent::{Command, CommandResult, ErrorBody, Handshake, Received, ToAgent, ToServer};
use hive_wire::api::{
    CommandStatus, ExecCommand, JobStatus, OutputEncoding, PowerAction, PowerRequest, Priority, Target,
};
use hive_wire::satellite_api::RegisteredSatellite;
use hive_wire::{CommandId, ErrorCode, SatelliteId, Timestamp};
use tokio_util::task::TaskTracker;

use super::{NAME, Satellite, connect, connect_with, handshake, hive, is_given_nothing, register};
use crate::Error;
use crate::access::VisibleScope;
use crate::clock::{ClockAndRng, ManualClock};
use crate::commands::ExecOptions;
use crate::hive::{Hive, Settings};
use crate::jobs::JobOptions;
use crate::link::ChannelLink;
use crate::store::{RowRange, Store, sqlite};

/// A satellite that takes so many commands at the same time. Half of a few places are for immediate ones.
async fn connect_for(hive: &Hive, registered: &RegisteredSatellite, capacity: u32) -> Satellite {
    let handshake = Handshake { capacity: Some(capacity), ..handshake(registered.id, "journal-1") };
    connect_with(hive, registered, handshake).await.unwrap()
}

async fn submit(hive: &Hive, id: SatelliteId, line: &str) -> CommandId {
    hive.as_system().commands().submit(id, ExecCommand::shell(line), ExecOptions::default()).await.unwrap()
}

async fn submit_with(hive: &Hive, id: SatelliteId, priority: Priority) -> CommandId {
    let command = ExecCommand { priority: Some(priority), ..ExecCommand::shell("true") };
    hive.as_system().commands().submit(id, command, ExecOptions::default()).await.unwrap()
}

/// A call that waits for its end.
fn exec(hive: &Hive, id: SatelliteId, line: &str) -> tokio::task::JoinHandle<crate::Result<CommandStatus>> {
    let (acting, line) = (hive.as_system(), line.to_owned());
    TaskTracker::new().spawn(async move {
        let result = acting.commands().exec(id, ExecCommand::shell(line), ExecOptions::default()).await?;
        match result.status {
            hive_wire::api::TargetStatus::Command(status) => Ok(status),
            other @ hive_wire::api::TargetStatus::NotRun => panic!("{other:?}"),
        }
    })
}

async fn status(hive: &Hive, id: CommandId) -> CommandStatus {
    hive.as_system().commands().get(id, OutputEncoding::Lossy).await.unwrap().unwrap().status
}

/// Waits until a command has come so far.
async fn until(hive: &Hive, id: CommandId, expected: CommandStatus) {
    let reached = async {
        while status(hive, id).await != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let is_reached = tokio::time::timeout(Duration::from_secs(20), reached).await.is_ok();
    assert!(is_reached, "{:?} instead of {expected:?}", status(hive, id).await);
}

async fn succeed(satellite: &mut Satellite, id: CommandId) {
    satellite.finish(id, CommandStatus::Succeeded, 0, 0).await;
    assert_eq!(acknowledged_only(satellite).await, id);
}

/// The next acknowledgement, before which nothing comes.
async fn acknowledged_only(satellite: &mut Satellite) -> CommandId {
    match satellite.next_control().await {
        ToAgent::ResultAck { id } => id,
        other => panic!("not an acknowledgement: {other:?}"),
    }
}

/// Runs everything a satellite is given; how often each command came.
fn run_all(mut satellite: Satellite) -> tokio::task::JoinHandle<BTreeMap<CommandId, usize>> {
    TaskTracker::new().spawn(async move {
        let mut runs = BTreeMap::new();
        while let Ok(message) = satellite.try_next().await {
            let FromHive::Control(ToAgent::Command(command)) = message else { continue };
            let Command { id, .. } = *command;
            *runs.entry(id).or_default() += 1;
            satellite.send(ToServer::CommandAck { id, journal_position: None }).await;
            satellite.finish(id, CommandStatus::Succeeded, 0, 0).await;
        }
        runs
    })
}

#[tokio::test]
async fn what_exceeds_the_capacity_waits_and_goes_in_its_order() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect_for(&hive, &registered, 8).await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(submit(&hive, satellite.id, "true").await);
    }
    let mut running = Vec::new();
    for id in &ids[..4] {
        assert_eq!(satellite.command().await.id, *id);
        running.push(*id);
    }
    assert!(is_given_nothing(&mut satellite).await, "four places are for immediate commands");
    assert_eq!(status(&hive, ids[4]).await, CommandStatus::Queued);
    for id in &ids[4..] {
        satellite.finish(running.remove(0), CommandStatus::Succeeded, 0, 0).await;
        let next = loop {
            match satellite.next().await {
                FromHive::Control(ToAgent::Command(command)) => break command.id,
                FromHive::Control(ToAgent::ResultAck { .. }) => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(next, *id);
        running.push(next);
    }
}

#[tokio::test]
async fn a_satellite_that_does_not_read_holds_no_caller_up_and_keeps_its_link() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    // More than the channel of the link holds, and nothing reads it.
    let count = ChannelLink::CAPACITY + ChannelLink::CAPACITY / 2;
    for _ in 0..count {
        submit(&hive, satellite.id, "true").await;
    }
    for _ in 0..count {
        satellite.command().await;
    }
}

#[tokio::test]
async fn an_immediate_command_overtakes_those_that_wait() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect_for(&hive, &registered, 4).await;
    for _ in 0..500 {
        submit(&hive, satellite.id, "true").await;
    }
    let first = satellite.command().await.id;
    satellite.command().await;
    assert!(is_given_nothing(&mut satellite).await);
    let waiting = exec(&hive, satellite.id, "true");
    let immediate = satellite.command().await.id;
    satellite.finish(immediate, CommandStatus::Succeeded, 0, 0).await;
    assert_eq!(waiting.await.unwrap().unwrap(), CommandStatus::Succeeded);
    assert_eq!(acknowledged_only(&mut satellite).await, immediate);
    let (low, high) =
        (submit_with(&hive, satellite.id, Priority::Low).await, submit_with(&hive, satellite.id, Priority::High).await);
    satellite.finish(first, CommandStatus::Succeeded, 0, 0).await;
    let next = loop {
        if let FromHive::Control(ToAgent::Command(command)) = satellite.next().await {
            break command.id;
        }
    };
    assert_eq!(next, high);
    assert_eq!(status(&hive, low).await, CommandStatus::Queued);
}

#[tokio::test]
async fn a_satellite_full_of_programs_takes_a_change_of_power() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect_for(&hive, &registered, 1).await;
    submit(&hive, satellite.id, "sleep 60").await;
    satellite.command().await;
    submit(&hive, satellite.id, "true").await;
    let acting = hive.as_system();
    let reboot =
        PowerRequest { action: PowerAction::Reboot, delay_seconds: 0, message: None, priority: Some(Priority::Low) };
    let id = satellite.id;
    let changing =
        TaskTracker::new().spawn(async move { acting.commands().power(id, reboot, ExecOptions::default()).await });
    let command = satellite.command().await;
    assert_eq!(command.payload.command_type(), hive_wire::api::CommandType::Power);
    satellite.finish(command.id, CommandStatus::Succeeded, 0, 0).await;
    changing.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_command_that_is_sent_back_is_queued_again_and_runs() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect_for(&hive, &registered, 8).await;
    let (one, two) = (submit(&hive, satellite.id, "one").await, submit(&hive, satellite.id, "two").await);
    assert_eq!((satellite.command().await.id, satellite.command().await.id), (one, two));
    satellite.send(ToServer::Busy { id: two }).await;
    until(&hive, two, CommandStatus::Queued).await;
    let three = submit(&hive, satellite.id, "three").await;
    assert!(is_given_nothing(&mut satellite).await, "it cannot take more now");
    // One that ends makes room.
    satellite.finish(one, CommandStatus::Succeeded, 0, 0).await;
    let mut given = Vec::new();
    while given.len() < 2 {
        if let FromHive::Control(ToAgent::Command(command)) = satellite.next().await {
            given.push(command.id);
        }
    }
    assert_eq!(given, [two, three]);
    satellite.finish(two, CommandStatus::Succeeded, 0, 0).await;
    until(&hive, two, CommandStatus::Succeeded).await;
}

#[tokio::test]
async fn a_command_that_is_sent_back_too_late_has_expired() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_700_000_000_000_000)));
    let source = ClockAndRng { clock: clock.clone(), ..ClockAndRng::default() };
    let hive = Hive::builder().in_memory().source(source).build().await.unwrap();
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let command = ExecCommand { expires_in_seconds: Some(3), ..ExecCommand::shell("true") };
    let id = hive.as_system().commands().submit(satellite.id, command, ExecOptions::default()).await.unwrap();
    assert_eq!(satellite.command().await.id, id);
    // The expiry of 3 s passes while the satellite has the command.
    clock.advance(Duration::from_secs(8));
    satellite.send(ToServer::Busy { id }).await;
    until(&hive, id, CommandStatus::Expired).await;
    assert!(is_given_nothing(&mut satellite).await);
}

#[tokio::test]
async fn an_older_satellites_refusal_for_want_of_room_is_no_end() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let id = submit(&hive, satellite.id, "true").await;
    assert_eq!(satellite.command().await.id, id);
    let message = "512 commands run on this satellite already".to_owned();
    let refused = CommandResult {
        id,
        status: CommandStatus::Failed,
        exit_code: None,
        duration_ms: 0,
        sent: Received::default(),
        truncated: false,
        error: Some(ErrorBody { code: ErrorCode::RateLimited, message }),
    };
    satellite.send(ToServer::CommandResult(refused)).await;
    assert_eq!(acknowledged_only(&mut satellite).await, id, "or it would say the same again");
    until(&hive, id, CommandStatus::Queued).await;
    assert_eq!(satellite.command().await.id, id);
    succeed(&mut satellite, id).await;
    assert_eq!(status(&hive, id).await, CommandStatus::Succeeded);
}

#[tokio::test]
async fn a_cancel_reaches_a_command_that_is_sent_back() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let id = submit(&hive, satellite.id, "true").await;
    assert_eq!(satellite.command().await.id, id);
    let acting = hive.as_system();
    let cancelling = TaskTracker::new().spawn(async move { acting.commands().cancel(id).await });
    assert_eq!(satellite.next().await, FromHive::Control(ToAgent::CommandCancel { id }));
    satellite.send(ToServer::Busy { id }).await;
    assert_eq!(cancelling.await.unwrap().unwrap().status, CommandStatus::Cancelled);
}

#[tokio::test]
async fn a_queue_that_is_full_takes_no_more_and_says_so() {
    let settings = Settings { max_queue_per_satellite: 3, max_open_per_caller: 5, ..Settings::default() };
    let store: Arc<dyn Store> = Arc::new(sqlite::in_memory().await.unwrap());
    let hive = Hive::builder().in_memory().settings(settings.clone()).store(store.clone()).build().await.unwrap();
    let (one, two) = (register(&hive, NAME).await, register(&hive, "web-server-02").await);
    for satellite in [&one, &two] {
        drop(connect(&hive, satellite, "journal-1").await);
    }
    for _ in 0..3 {
        submit(&hive, one.id, "true").await;
    }
    let check = async |hive: &Hive, id, expected: Error| {
        let refused = hive.as_system().commands().submit(id, ExecCommand::shell("true"), ExecOptions::default()).await;
        assert_eq!(refused.unwrap_err().to_wire(), expected.to_wire());
    };
    let of_the_satellite = || Error::QueueFull { satellite: Some(NAME.into()), limit: 3 };
    let of_the_caller = || Error::QueueFull { satellite: None, limit: 5 };
    check(&hive, one.id, of_the_satellite()).await;
    let first = submit(&hive, two.id, "true").await;
    submit(&hive, two.id, "true").await;
    check(&hive, two.id, of_the_caller()).await;
    let (_, total) = hive.services().store.command_list(two.id, &VisibleScope::ALL, RowRange::ALL).await.unwrap();
    assert_eq!(total, 2, "what was refused is not stored");
    hive.shutdown().await;

    // A restart: the counts have to be those of the store from the start.
    let hive = Hive::builder().in_memory().settings(settings).store(store).build().await.unwrap();
    check(&hive, one.id, of_the_satellite()).await;
    check(&hive, two.id, of_the_caller()).await;
    hive.as_system().commands().cancel(first).await.unwrap();
    submit(&hive, two.id, "true").await;
}

#[tokio::test]
async fn a_job_waits_for_a_place_like_everybody() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    // One place of the two is for immediate commands, so that the first command fills the other.
    let mut satellite = connect_for(&hive, &registered, 2).await;
    let first = submit(&hive, satellite.id, "true").await;
    assert_eq!(satellite.command().await.id, first);
    let (acting, command) = (hive.as_system(), ExecCommand::shell("of a job"));
    let job = acting.jobs().submit(vec![Target::All], command, JobOptions::default()).await.unwrap().id;
    assert!(is_given_nothing(&mut satellite).await);
    // What was in the satellite's queue comes back to the job with the end of the link.
    drop(satellite);
    let mut satellite = connect_for(&hive, &registered, 2).await;
    assert_eq!(satellite.command().await.id, first);
    satellite.finish(first, CommandStatus::Succeeded, 0, 0).await;
    let id = loop {
        match satellite.next().await {
            FromHive::Control(ToAgent::Command(command)) if command.id != first => break command.id,
            FromHive::Control(_) => {}
            other @ FromHive::Frame(_) => panic!("{other:?}"),
        }
    };
    satellite.finish(id, CommandStatus::Succeeded, 0, 0).await;
    let mut events = hive.as_system().jobs().subscribe(job).await.unwrap();
    let ended = async { while events.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
    assert_eq!(hive.as_system().jobs().get(job).await.unwrap().unwrap().status, JobStatus::Succeeded);
}

/// Numbers that look random and are the same each time.
fn numbers() -> impl FnMut(u64) -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    }
}

#[tokio::test]
async fn a_caller_who_hangs_up_leaves_a_command_that_ends_or_none() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let running = run_all(connect_for(&hive, &registered, 8).await);
    let (acting, mut number) = (hive.as_system(), numbers());
    for round in 0..1000 {
        let options = ExecOptions::default();
        let call = async {
            if round % 2 == 0 {
                drop(acting.commands().exec(registered.id, ExecCommand::shell("true"), options).await);
            } else {
                drop(acting.commands().submit(registered.id, ExecCommand::shell("true"), options).await);
            }
        };
        let mut call = pin!(call);
        let mut polls_left = number(12);
        // Dropped at its nth stop, or a little later.
        poll_fn(|context| {
            if polls_left == 0 || call.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            polls_left -= 1;
            Poll::Pending
        })
        .await;
        if number(4) == 0 {
            tokio::task::yield_now().await;
        }
    }
    let all_ended = async {
        loop {
            let (rows, _) =
                hive.services().store.command_list(registered.id, &VisibleScope::ALL, RowRange::ALL).await.unwrap();
            if rows.iter().all(|row| row.status.is_terminal()) {
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let rows = tokio::time::timeout(Duration::from_mins(1), all_ended).await.expect("a command is stuck");
    assert!(rows.len() > 100 && rows.iter().all(|row| row.status == CommandStatus::Succeeded), "{}", rows.len());
    hive.shutdown().await;
    let runs = running.await.unwrap();
    assert_eq!(runs.len(), rows.len());
    assert!(runs.values().all(|count| *count == 1), "one was sent twice");
}

#[tokio::test]
async fn three_thousand_commands_of_two_callers_all_run_once() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let running = run_all(connect_for(&hive, &registered, 32).await);
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let (hive, id) = (hive.clone(), registered.id);
            TaskTracker::new().spawn(async move {
                let mut ids = Vec::new();
                for _ in 0..1500 {
                    ids.push(submit(&hive, id, "true").await);
                }
                ids
            })
        })
        .collect();
    let mut ids = Vec::new();
    for caller in callers {
        ids.extend(caller.await.unwrap());
    }
    for id in &ids {
        until(&hive, *id, CommandStatus::Succeeded).await;
    }
    hive.shutdown().await;
    let runs = running.await.unwrap();
    assert!(ids.iter().all(|id| runs[id] == 1) && runs.len() == ids.len());
}
