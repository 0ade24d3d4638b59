//! Commands whose satellite is not heard of any more: when they end, and what those who wait are told.

use std::sync::Arc;
use std::time::Duration;

use hive_wire::api::{CommandStatus, ExecCommand, ExecEvent, ExecResult, Target, TargetStatus};

use super::{NAME, connect, register};
use crate::clock::{Clock, ManualClock, Source, SystemClock};
use crate::hive::{Hive, Settings};
use crate::router::ExecOptions;
use crate::{CommandRouter, Subscription};

const UNKNOWN: TargetStatus = TargetStatus::Command(CommandStatus::OutcomeUnknown);

/// A hive whose time is moved by hand, and which looks for overdue commands all the time.
async fn hive() -> (Hive, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let source = Source { clock: clock.clone(), ..Source::default() };
    let settings = Settings { sweep_interval: Duration::from_millis(10), ..Settings::default() };
    (Hive::builder().in_memory().source(source).settings(settings).build().await.unwrap(), clock)
}

/// Watches a command that may run for five seconds.
async fn watch(hive: &Hive) -> Subscription<ExecEvent> {
    let command = ExecCommand { timeout_seconds: Some(5), ..ExecCommand::shell("sleep 4") };
    let target = Target::Name(NAME.try_into().unwrap());
    hive.as_system().exec_stream(vec![target], command, ExecOptions::default()).await.unwrap()
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
    satellite.command().await;
    drop(satellite);
    clock.advance(Duration::from_secs(66));
    assert_eq!(end(&mut events).await.status, UNKNOWN);
}
