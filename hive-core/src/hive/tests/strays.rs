//! Satellites that speak of what was not given to them.

use std::time::Duration;

use hive_wire::agent::{Channel, CommandResult, ErrorBody, Received, ToServer};
use hive_wire::api::{
    AuditEntry, AuditQuery, AuditResult, CommandStatus, EndReason, ExecCommand, PageRequest, SessionEnd,
};
use hive_wire::frame::StreamId;
use hive_wire::id::Seed;
use hive_wire::{CommandId, ErrorCode, SessionId};

use super::{connect, hive, register};
use crate::Error;
use crate::hive::Hive;
use crate::router::ExecOptions;

fn result_of(id: CommandId) -> ToServer {
    ToServer::CommandResult(CommandResult {
        id,
        status: CommandStatus::Succeeded,
        exit_code: Some(0),
        duration_ms: 1,
        sent: Received::default(),
        truncated: false,
        error: None,
    })
}

/// Waits until this many records of foreign messages are there.
async fn foreign_messages(hive: &Hive, count: usize) -> Vec<AuditEntry> {
    let query = || AuditQuery { action: Some("satellite.foreign_message".into()), ..AuditQuery::default() };
    tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let page = PageRequest { page: 1, per_page: 100 };
            let found = hive.as_system().audit().query(query(), page).await.unwrap().items;
            if found.len() >= count {
                return found;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the records come")
}

#[tokio::test]
async fn a_message_about_anothers_command_or_terminal_is_audited() {
    let hive = hive().await;
    let (honest, rogue) = (register(&hive, "web-server-01").await, register(&hive, "web-server-02").await);
    let mut honest = connect(&hive, &honest, "journal-1").await;
    let mut rogue = connect(&hive, &rogue, "journal-2").await;
    let id = hive
        .as_system()
        .commands()
        .submit(honest.id, ExecCommand::shell("true"), ExecOptions::default())
        .await
        .unwrap();
    assert_eq!(honest.command().await.id, id);
    let stream = StreamId(1);
    let output = ToServer::StreamOpen { stream, command_id: id, channel: Channel::Stdout, offset: 0 };
    for message in [ToServer::CommandAck { id, journal_position: None }, output, result_of(id)] {
        rogue.attached.on_control(message).await.unwrap();
    }
    let found = foreign_messages(&hive, 3).await;
    assert_eq!(found.len(), 3);
    for entry in &found {
        assert_eq!((&entry.target.kind, &entry.target.id), (&"command".to_owned(), &id.to_string()));
        assert_eq!((&entry.actor.id, &entry.result), (&rogue.id.to_string(), &AuditResult::Failure));
    }
    // What was never there at all, and what has ended, is none of another's.
    rogue.attached.on_control(result_of(CommandId::new(Seed { unix_millis: 1, random: [1; 10] }))).await.unwrap();
    honest.finish(id, CommandStatus::Succeeded, 0, 0).await;
    honest.attached.on_control(ToServer::CommandAck { id, journal_position: None }).await.unwrap();
    assert_eq!(hive.auth_failure_totals()["foreign_message"].failures, 3);
}

#[tokio::test]
async fn a_flood_of_messages_about_nothing_ends_the_link() {
    let hive = hive().await;
    let registered = register(&hive, "web-server-01").await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let session_id = SessionId::new(Seed { unix_millis: 1, random: [1; 10] });
    let end = SessionEnd { reason: EndReason::Exited, exit_code: None, error: None };
    let error = ErrorBody { code: ErrorCode::Internal, message: "odd".into() };
    for message in [
        result_of(CommandId::new(Seed { unix_millis: 1, random: [1; 10] })),
        ToServer::PtyEnded { session_id, end },
        ToServer::Error { error },
    ] {
        let mut taken = 0;
        let ended = loop {
            match satellite.attached.on_control(message.clone()).await {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
            assert!(taken < 10_000, "it goes on for ever: {message:?}");
        };
        assert!(matches!(ended, Error::InvalidInput { .. }), "{ended:?}");
        assert!(taken >= 1000, "some are tolerated: {taken}");
        satellite = connect(&hive, &registered, "journal-1").await;
    }
}
