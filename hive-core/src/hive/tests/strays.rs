//! Satellites that speak of what was not given to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hive_wire::agent::{Channel, CommandResult, ErrorBody, Received, ToServer};
use hive_wire::api::{
    AuditEntry, AuditQuery, AuditResult, CommandStatus, EndReason, ExecCommand, PageRequest, SessionEnd,
};
use hive_wire::frame::StreamId;
use hive_wire::id::Seed;
use hive_wire::{CommandId, ErrorCode, SessionId};

use super::{connect, hive, register};
use crate::Error;
use crate::commands::ExecOptions;
use crate::hive::Hive;
use crate::store::{CommandRow, Database, Store, StoreLayer, StoreResult};

/// Counts reads of commands.
struct LookedUp {
    below: Arc<dyn Store>,
    commands: AtomicU64,
}

#[async_trait]
impl StoreLayer for LookedUp {
    fn below(&self) -> &dyn Store {
        self.below.as_ref()
    }

    async fn command_get(&self, id: CommandId) -> StoreResult<Option<CommandRow>> {
        self.commands.fetch_add(1, Ordering::SeqCst);
        self.below.command_get(id).await
    }
}

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
            let page = PageRequest::numbered(1, 100);
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
        rogue.send(message).await;
    }
    let found = foreign_messages(&hive, 3).await;
    assert_eq!(found.len(), 3);
    for entry in &found {
        assert_eq!((&entry.target.kind, &entry.target.id), (&"command".to_owned(), &id.to_string()));
        assert_eq!((&entry.actor.id, &entry.result), (&rogue.id.to_string(), &AuditResult::Failure));
    }
    // What was never there at all, and what has ended, is none of another's.
    rogue.send(result_of(CommandId::new(Seed { unix_millis: 1, random: [1; 10] }))).await;
    honest.finish(id, CommandStatus::Succeeded, 0, 0).await;
    honest.send(ToServer::CommandAck { id, journal_position: None }).await;
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
            match satellite.try_send(message.clone()).await {
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

#[tokio::test]
async fn a_flood_of_messages_about_an_ended_command_is_bounded_too() {
    // The reads are what a flood costs: they are counted below the hive.
    let below = Database::in_memory().open().await.unwrap();
    let looked_up = Arc::new(LookedUp { below, commands: AtomicU64::new(0) });
    let hive = Hive::builder().store(looked_up.clone()).build().await.unwrap();
    let registered = register(&hive, "web-server-01").await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let system = hive.as_system();
    let command = ExecCommand::shell("true");
    let id = system.commands().submit(satellite.id, command, ExecOptions::default()).await.unwrap();
    assert_eq!(satellite.command().await.id, id);
    satellite.finish(id, CommandStatus::Succeeded, 0, 0).await;

    let stream = StreamId(1);
    let flood = [
        ToServer::CommandAck { id, journal_position: None },
        ToServer::Busy { id },
        ToServer::StreamOpen { stream, command_id: id, channel: Channel::Stdout, offset: 0 },
        result_of(id),
    ];
    let before = looked_up.commands.load(Ordering::SeqCst);
    let mut ended = Ok(());
    for (taken, message) in flood.iter().cycle().enumerate() {
        assert!(taken < 20_000, "it goes on for ever");
        ended = satellite.try_send(message.clone()).await;
        if ended.is_err() {
            break;
        }
    }
    assert!(matches!(ended, Err(Error::InvalidInput { .. })), "{ended:?}");
    let count = looked_up.commands.load(Ordering::SeqCst) - before;
    assert!((5_000..=10_000).contains(&count), "commands that have just ended are many, and not without end: {count}");
    // A new link changes nothing in this minute.
    let mut again = connect(&hive, &registered, "journal-1").await;
    let before = looked_up.commands.load(Ordering::SeqCst);
    assert!(again.try_send(result_of(id)).await.is_err());
    assert_eq!(looked_up.commands.load(Ordering::SeqCst), before, "nothing is looked up for it");
}
