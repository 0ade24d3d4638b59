//! Commands whose satellite is not heard of any more: when they end, and what those who wait are told.

use std::sync::Arc;
use std::time::Duration;

use hive_wire::api::{CommandStatus, ExecCommand, ExecEvent, ExecResult, JobEvent, Target, TargetStatus};
use hive_wire::satellite_api::RegisteredSatellite;

use super::{NAME, connect, register};
use crate::Subscription;
use crate::clock::{Clock, ClockAndRng, ManualClock, SystemClock};
use crate::commands::ExecOptions;
use crate::hive::{Hive, Settings};
use crate::jobs::JobOptions;

const UNKNOWN: TargetStatus = TargetStatus::Command(CommandStatus::OutcomeUnknown);

/// A hive whose time is moved by hand, and which looks for overdue commands all the time.
async fn hive() -> (Hive, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let source = ClockAndRng { clock: clock.clone(), ..ClockAndRng::default() };
    let settings = Settings { sweep_interval: Duration::from_millis(10), ..Settings::default() };
    (Hive::builder().in_memory().source(source).settings(settings).build().await.unwrap(), clock)
}

/// Watches a command that may run for five seconds.
async fn watch(hive: &Hive) -> Subscription<ExecEvent> {
    let command = ExecCommand { timeout_seconds: Some(5), ..ExecCommand::shell("sleep 4") };
    let target = Target::Name(NAME.try_into().unwrap());
    hive.as_system().commands().exec_stream(vec![target], command, ExecOptions::default()).await.unwrap()
}

fn link(of: &RegisteredSatellite, online: bool, seconds_left: Option<u64>) -> ExecEvent {
    ExecEvent::Link { satellite_id: of.id, online, seconds_left }
}

async fn next(events: &mut Subscription<ExecEvent>) -> ExecEvent {
    let event = tokio::time::timeout(Duration::from_secs(10), events.next()).await;
    event.expect("something is told").expect("the end is told")
}

async fn end(events: &mut Subscription<ExecEvent>) -> ExecResult {
    loop {
        if let ExecEvent::Exit(result) = next(events).await {
            return *result;
        }
    }
}

#[tokio::test]
async fn a_command_whose_satellite_is_lost_ends_a_minute_after_its_timeout() {
    let (hive, clock) = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let mut events = watch(&hive).await;
    let id = satellite.command().await.id;
    drop(satellite);
    assert!(matches!(next(&mut events).await, ExecEvent::Accepted { command_id, .. } if command_id == id));
    // 5 s of timeout and 60 s of grace.
    assert_eq!(next(&mut events).await, link(&registered, false, Some(65)));
    clock.advance(Duration::from_secs(64));
    assert!(tokio::time::timeout(Duration::from_millis(60), events.next()).await.is_err(), "it is still waited for");
    clock.advance(Duration::from_secs(2));
    let result = end(&mut events).await;
    assert_eq!(result.status, UNKNOWN);
    assert_eq!(result.error.unwrap().message, "nothing was heard of it until 60 s after its timeout");
}

#[tokio::test]
async fn a_job_ends_with_its_lost_satellite() {
    let (hive, clock) = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let command = ExecCommand { timeout_seconds: Some(5), ..ExecCommand::shell("sleep 4") };
    let job = hive.as_system().jobs().submit(vec![Target::All], command, JobOptions::default()).await.unwrap();
    let mut events = hive.as_system().jobs().subscribe(job.id).await.unwrap();
    satellite.command().await;
    drop(satellite);
    clock.advance(Duration::from_secs(66));
    loop {
        let event = tokio::time::timeout(Duration::from_secs(10), events.next()).await.unwrap().unwrap();
        if let JobEvent::Target { status, .. } = event {
            assert_eq!(status, UNKNOWN);
            break;
        }
    }
}

#[tokio::test]
async fn a_satellite_that_comes_back_in_time_tells_the_end() {
    let (hive, clock) = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let mut events = watch(&hive).await;
    satellite.command().await;
    drop(satellite);
    while next(&mut events).await != link(&registered, false, Some(65)) {}
    clock.advance(Duration::from_mins(1));
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let id = satellite.command().await.id;
    assert_eq!(next(&mut events).await, link(&registered, true, None));
    // It may have begun only now, so that its time counts from here.
    clock.advance(Duration::from_secs(30));
    satellite.finish(id, CommandStatus::Succeeded, 0, 0).await;
    assert_eq!(end(&mut events).await.exit_code, Some(0));
}

#[tokio::test]
async fn a_long_output_is_waited_for() {
    let (hive, clock) = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let mut events = watch(&hive).await;
    let id = satellite.command().await.id;
    clock.advance(Duration::from_secs(50));
    satellite.send_output(id, 0, b"out").await;
    clock.advance(Duration::from_secs(50));
    // Real time for several rounds of the sweep, which must leave the command alone.
    tokio::time::sleep(Duration::from_millis(60)).await;
    satellite.finish(id, CommandStatus::TimedOut, 0, 3).await;
    assert_eq!(end(&mut events).await.status, TargetStatus::Command(CommandStatus::TimedOut));
}
