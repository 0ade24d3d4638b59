//! Commands: what a satellite and a caller may do to them, and how they end.

use bytes::Bytes;
use hive_test_peers::FromHive;
use hive_wire::CommandId;
use hive_wire::agent::{CommandResult, ErrorBody, Received, ToAgent, ToServer};
use hive_wire::api::{
    AuditQuery, AuditResult, CommandStatus, ExecCommand, ExecEvent, OutputEncoding, PageRequest, Target, TargetStatus,
};
use hive_wire::frame::{Frame, StreamId};
use hive_wire::{ErrorCode, SatelliteId};

use super::{NAME, connect, hive, register};
use crate::Error;
use crate::commands::ExecOptions;
use crate::hive::Hive;
use crate::link::ChannelLink;

/// Runs a command in the background, as a caller who waits.
fn exec(
    hive: &Hive,
    id: SatelliteId,
    line: &str,
) -> tokio::task::JoinHandle<crate::Result<hive_wire::api::ExecResult>> {
    let (hive, line) = (hive.as_system(), line.to_owned());
    let tasks = tokio_util::task::TaskTracker::new();
    tasks.spawn(async move { hive.commands().exec(id, ExecCommand::shell(line), ExecOptions::default()).await })
}

async fn status(hive: &Hive, id: CommandId) -> CommandStatus {
    hive.as_system().commands().get(id, OutputEncoding::Lossy).await.unwrap().unwrap().status
}

#[tokio::test]
async fn a_command_runs_and_its_caller_gets_the_output() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let waiting = exec(&hive, satellite.id, "echo hello");
    let command = satellite.command().await;
    satellite.send(ToServer::CommandAck { id: command.id, journal_position: None }).await;
    satellite.send_output(command.id, 0, b"hello\n").await;
    satellite.finish(command.id, CommandStatus::Succeeded, 0, 6).await;
    let result = waiting.await.unwrap().unwrap();
    assert_eq!((result.stdout.as_str(), result.exit_code), ("hello\n", Some(0)));
    assert_eq!(satellite.acknowledged().await, command.id);
    assert_eq!(status(&hive, command.id).await, CommandStatus::Succeeded);
    let about_exec = AuditQuery { action: Some("satellite.exec".into()), ..AuditQuery::default() };
    let audit_log = hive.as_system().audit().query(about_exec, PageRequest::default()).await.unwrap();
    let results: Vec<_> = audit_log.items.into_iter().map(|entry| entry.result).collect();
    assert_eq!(results, [AuditResult::Success, AuditResult::Intent]);
    assert!(hive.as_system().audit().verify().await.unwrap().valid);
}

#[tokio::test]
async fn a_redelivered_command_goes_on_where_its_output_stopped() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let waiting = exec(&hive, satellite.id, "slow");
    let command = satellite.command().await;
    satellite.send_output(command.id, 0, b"hel").await;
    drop(satellite);
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let again = satellite.command().await;
    assert_eq!((again.id, again.received.stdout), (command.id, 3));
    // It sends again what was on its way when the link broke: one byte overlaps.
    satellite.send_output(command.id, 1, b"ello").await;
    satellite.finish(command.id, CommandStatus::Succeeded, 0, 5).await;
    assert_eq!(waiting.await.unwrap().unwrap().stdout, "hello");
}

#[tokio::test]
async fn a_lost_journal_makes_the_outcome_unknown() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let waiting = exec(&hive, satellite.id, "pay the bill");
    let command = satellite.command().await;
    drop(satellite);
    // Another id of the journal: the satellite has lost its data directory.
    let _satellite = connect(&hive, &registered, "journal-2").await;
    let result = waiting.await.unwrap().unwrap();
    assert_eq!(result.status, TargetStatus::Command(CommandStatus::OutcomeUnknown));
    assert_eq!(status(&hive, command.id).await, CommandStatus::OutcomeUnknown);
}

#[tokio::test]
async fn a_result_is_taken_only_from_the_satellite_that_was_asked() {
    let hive = hive().await;
    let (one, two) = (register(&hive, NAME).await, register(&hive, "web-server-02").await);
    let mut satellite = connect(&hive, &one, "journal-1").await;
    let mut other = connect(&hive, &two, "journal-2").await;
    let waiting = exec(&hive, satellite.id, "true");
    let command = satellite.command().await;
    other.finish(command.id, CommandStatus::Succeeded, 0, 0).await;
    assert!(!status(&hive, command.id).await.is_terminal());
    satellite.finish(command.id, CommandStatus::Failed, 7, 0).await;
    assert_eq!(waiting.await.unwrap().unwrap().exit_code, Some(7));
}

#[tokio::test]
async fn the_first_end_of_a_command_wins() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let waiting = exec(&hive, satellite.id, "true");
    let command = satellite.command().await;
    satellite.finish(command.id, CommandStatus::Failed, 3, 0).await;
    waiting.await.unwrap().unwrap();
    satellite.finish(command.id, CommandStatus::Succeeded, 0, 0).await;
    assert_eq!(status(&hive, command.id).await, CommandStatus::Failed);
    assert_eq!(satellite.acknowledged().await, command.id);
    assert_eq!(satellite.acknowledged().await, command.id, "or the satellite would never forget it");
}

#[tokio::test]
async fn a_waiting_call_to_an_offline_satellite_stores_nothing() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    // Connected once, because a satellite that never was is inactive and gets no commands.
    drop(connect(&hive, &registered, "journal-1").await);
    let refused = exec(&hive, registered.id, "true").await.unwrap().unwrap_err();
    assert_eq!(refused.code(), ErrorCode::SatelliteOffline);
    assert_eq!(hive.as_system().commands().list(registered.id, PageRequest::default()).await.unwrap().total, 0);
}

#[tokio::test]
async fn a_queued_command_runs_when_its_satellite_is_there() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    drop(connect(&hive, &registered, "journal-1").await);
    let id = hive
        .as_system()
        .commands()
        .submit(registered.id, ExecCommand::shell("true"), ExecOptions::default())
        .await
        .unwrap();
    assert_eq!(status(&hive, id).await, CommandStatus::Queued);
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    assert_eq!(satellite.command().await.id, id);
}

#[tokio::test]
async fn more_commands_than_a_link_has_room_for_are_all_delivered() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    drop(connect(&hive, &registered, "journal-1").await);
    // More than the channel of the link holds: without waiting for capacity the link would be closed as too slow.
    let count = ChannelLink::CAPACITY + ChannelLink::CAPACITY / 2;
    for _ in 0..count {
        let acting = hive.as_system();
        acting.commands().submit(registered.id, ExecCommand::shell("true"), ExecOptions::default()).await.unwrap();
    }
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    for _ in 0..count {
        satellite.command().await;
    }
}

#[tokio::test]
async fn an_inactive_satellite_is_given_nothing() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let refused = exec(&hive, registered.id, "true").await.unwrap().unwrap_err();
    assert_eq!(refused.code(), ErrorCode::SatelliteInactive);
}

#[tokio::test]
async fn a_timeout_is_an_error_that_carries_the_output_so_far() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let waiting = exec(&hive, satellite.id, "sleep 100");
    let command = satellite.command().await;
    satellite.send_output(command.id, 0, b"so far").await;
    satellite.finish(command.id, CommandStatus::TimedOut, 137, 6).await;
    let Err(Error::CommandTimeout { command: id, result: Some(result) }) = waiting.await.unwrap() else { panic!() };
    assert_eq!((id, result.stdout.as_str()), (command.id, "so far"));
    assert_eq!(result.exit_code, None, "a program whose time was up has no exit code");
    assert_eq!(hive.as_system().commands().get(id, OutputEncoding::Lossy).await.unwrap().unwrap().exit_code, None);
}

#[tokio::test]
async fn a_refusal_by_the_satellites_policy_is_said() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let waiting = exec(&hive, satellite.id, "rm -rf /");
    let id = satellite.command().await.id;
    let result = CommandResult {
        id,
        status: CommandStatus::Failed,
        exit_code: None,
        duration_ms: 0,
        sent: Received::default(),
        truncated: false,
        error: Some(ErrorBody { code: ErrorCode::CommandBlocked, message: "rm is blocked here".into() }),
    };
    satellite.send(ToServer::CommandResult(result)).await;
    assert_eq!(waiting.await.unwrap().unwrap_err().code(), ErrorCode::CommandBlocked);
}

#[tokio::test]
async fn a_result_before_its_output_breaks_the_protocol() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let _waiting = exec(&hive, satellite.id, "true");
    let id = satellite.command().await.id;
    // It claims output that never came.
    let sent = Received { stdout: 10, stderr: 0 };
    let early = CommandResult {
        id,
        status: CommandStatus::Succeeded,
        exit_code: Some(0),
        duration_ms: 0,
        sent,
        truncated: false,
        error: None,
    };
    assert!(satellite.try_send(ToServer::CommandResult(early)).await.is_err());
    assert!(!status(&hive, id).await.is_terminal());
    // A stream that was never opened.
    let stray = Frame::data(StreamId(99), 0, Bytes::from_static(b"x"), false);
    assert!(satellite.try_send(stray).await.is_err());
}

#[tokio::test]
async fn the_same_key_is_the_same_command() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let _satellite = connect(&hive, &registered, "journal-1").await;
    let options = || ExecOptions { idempotency_key: Some("deploy-42".into()), ..ExecOptions::default() };
    let acting = hive.as_system();
    let first = acting.commands().submit(registered.id, ExecCommand::shell("true"), options()).await.unwrap();
    assert_eq!(acting.commands().submit(registered.id, ExecCommand::shell("true"), options()).await.unwrap(), first);
    let other = acting.commands().submit(registered.id, ExecCommand::shell("false"), options()).await.unwrap_err();
    assert_eq!(other.code(), ErrorCode::Conflict);
}

#[tokio::test]
async fn a_command_that_was_stored_without_an_answer_runs_when_it_is_asked_for_again() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let acting = hive.as_system();
    let submit = async || {
        let options = ExecOptions { idempotency_key: Some("again".into()), ..ExecOptions::default() };
        acting.commands().submit(registered.id, ExecCommand::shell("true"), options).await.unwrap()
    };
    let id = submit().await;
    assert_eq!(satellite.command().await.id, id);
    // What is left where the commit came through and its answer was lost: stored as delivered, and nobody works on it.
    hive.services().commands.in_flight().end(id, None);
    assert_eq!(submit().await, id);
    assert_eq!(submit().await, id);
    assert_eq!(satellite.command().await.id, id);
    satellite.finish(id, CommandStatus::Succeeded, 0, 0).await;
    assert_eq!(satellite.acknowledged().await, id, "it was not sent a third time");
}

#[tokio::test]
async fn a_cancel_ends_a_queued_command_at_once_and_a_running_one_by_its_satellite() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    drop(connect(&hive, &registered, "journal-1").await);
    let acting = hive.as_system();
    let queued =
        acting.commands().submit(registered.id, ExecCommand::shell("true"), ExecOptions::default()).await.unwrap();
    assert_eq!(acting.commands().cancel(queued).await.unwrap().status, CommandStatus::Cancelled);
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let waiting = exec(&hive, satellite.id, "sleep 100");
    let running = satellite.command().await.id;
    let cancelling = {
        let acting = hive.as_system();
        tokio_util::task::TaskTracker::new().spawn(async move { acting.commands().cancel(running).await })
    };
    assert_eq!(satellite.next().await, FromHive::Control(ToAgent::CommandCancel { id: running }));
    satellite.finish(running, CommandStatus::Cancelled, 137, 0).await;
    assert_eq!(cancelling.await.unwrap().unwrap().status, CommandStatus::Cancelled);
    assert_eq!(waiting.await.unwrap().unwrap().status, TargetStatus::Command(CommandStatus::Cancelled));
}

#[tokio::test]
async fn a_cancel_is_said_again_with_the_next_link() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let id = hive
        .as_system()
        .commands()
        .submit(satellite.id, ExecCommand::shell("sleep 60"), ExecOptions::default())
        .await
        .unwrap();
    assert_eq!(satellite.command().await.id, id);
    // The satellite says nothing, and the call gives up.
    hive.as_system().commands().cancel(id).await.unwrap();
    drop(satellite);
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    assert_eq!(satellite.command().await.id, id);
    assert_eq!(satellite.next().await, FromHive::Control(ToAgent::CommandCancel { id }));
}

#[tokio::test]
async fn a_fan_out_reaches_its_targets_by_tag_and_says_who_was_not_there() {
    let hive = hive().await;
    let (one, two) = (register(&hive, NAME).await, register(&hive, "web-server-02").await);
    drop(connect(&hive, &two, "journal-2").await);
    let mut satellite = connect(&hive, &one, "journal-1").await;
    let acting = hive.as_system();
    let mut events = acting
        .commands()
        .exec_stream(vec![Target::Tag("web".into())], ExecCommand::shell("true"), ExecOptions::default())
        .await
        .unwrap();
    let id = satellite.command().await.id;
    satellite.send_output(id, 0, b"out").await;
    satellite.finish(id, CommandStatus::Succeeded, 0, 3).await;
    let (mut output, mut exits) = (String::new(), Vec::new());
    while let Some(event) = events.next().await {
        match event {
            ExecEvent::Output { data, .. } => output.push_str(&data),
            ExecEvent::Exit(result) => exits.push((result.satellite_name.to_string(), result.status)),
            ExecEvent::Accepted { .. } | ExecEvent::Link { .. } | ExecEvent::Unknown(_) => {}
        }
    }
    exits.sort_by(|one, two| one.0.cmp(&two.0));
    assert_eq!(output, data_encoding::BASE64.encode(b"out"));
    let expected = [
        (NAME.to_owned(), TargetStatus::Command(CommandStatus::Succeeded)),
        ("web-server-02".into(), TargetStatus::NotRun),
    ];
    assert_eq!(exits, expected);
}

#[tokio::test]
async fn at_most_the_wanted_number_of_targets_is_under_way() {
    let hive = hive().await;
    let mut satellites = Vec::new();
    for n in 0..3 {
        let registered = register(&hive, &format!("web-server-0{n}")).await;
        satellites.push(connect(&hive, &registered, "journal-1").await);
    }
    let acting = hive.as_system();
    let options = ExecOptions { concurrency: Some(1), ..ExecOptions::default() };
    let run = tokio_util::task::TaskTracker::new().spawn(async move {
        acting.commands().exec_multi(vec![Target::All], ExecCommand::shell("true"), options).await
    });
    for satellite in &mut satellites {
        let id = satellite.command().await.id;
        let open = hive.as_system().commands().list(satellite.id, PageRequest::default()).await.unwrap();
        assert_eq!(open.items.first().map(|command| command.id), Some(id));
        satellite.finish(id, CommandStatus::Succeeded, 0, 0).await;
    }
    assert_eq!(run.await.unwrap().unwrap().len(), 3);
}

#[tokio::test]
async fn an_end_of_a_later_version_is_an_outcome_that_is_not_known() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let waiting = exec(&hive, satellite.id, "true");
    let id = satellite.command().await.id;
    satellite.finish(id, CommandStatus::from("half\u{1b}done"), 0, 0).await;
    let result = waiting.await.unwrap().unwrap();
    assert_eq!(result.status, TargetStatus::Command(CommandStatus::OutcomeUnknown));
    let stored = hive.as_system().commands().get(id, OutputEncoding::Lossy).await.unwrap().unwrap();
    assert_eq!((stored.status, &stored.error), (CommandStatus::OutcomeUnknown, &result.error));
    let message = stored.error.unwrap().message;
    assert!(message.contains("half\\u{1b}done"), "{message}");
    assert_eq!(satellite.acknowledged().await, id);
}

#[tokio::test]
async fn output_of_a_later_version_goes_nowhere_and_its_stream_goes_on() {
    let hive = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let waiting = exec(&hive, satellite.id, "echo hello");
    let id = satellite.command().await.id;
    // A third channel, which a later version may have.
    let (stream, channel) = (StreamId(9), "trace".into());
    let open = ToServer::StreamOpen { stream, command_id: id, channel, offset: 7 };
    satellite.send(open).await;
    satellite.send(Frame::data(stream, 7, Bytes::from_static(b"more"), true)).await;
    satellite.send_output(id, 0, b"hello\n").await;
    satellite.finish(id, CommandStatus::Succeeded, 0, 6).await;
    assert_eq!(waiting.await.unwrap().unwrap().stdout, "hello\n");
}
