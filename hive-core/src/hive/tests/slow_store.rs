//! What a link does while the store does not answer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hive_test_peers::FromHive;
use hive_wire::CommandId;
use hive_wire::agent::{Channel, PtyStarted, ToAgent, ToServer};
use hive_wire::api::{CommandStatus, ExecCommand, OutputEncoding, SessionCreate};
use hive_wire::frame::{Frame, MAX_PAYLOAD, StreamId};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::{NAME, Satellite, connect, register, result_of};
use crate::commands::ExecOptions;
use crate::hive::Hive;
use crate::sessions::SessionEvent;
use crate::store::audit::AuditDraft;
use crate::store::{CommandOutcome, CommandRow, Database, Store, StoreLayer, StoreResult};

/// The session's stream.
const TERMINAL: StreamId = StreamId(1);
/// The stream of a command's output.
const OUTPUT: StreamId = StreamId(3);

/// A store that stops to answer about commands.
struct FrozenStore {
    below: Arc<dyn Store>,
    frozen: watch::Sender<bool>,
    /// What was stored, in its order.
    stored: Mutex<Vec<&'static str>>,
}

impl FrozenStore {
    async fn wait(&self) {
        self.frozen.subscribe().wait_for(|frozen| !*frozen).await.expect("the sender is here");
    }

    fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    fn thaw(&self) {
        self.frozen.send_replace(false);
    }

    fn stored(&self) -> Vec<&'static str> {
        self.stored.lock().unwrap().clone()
    }
}

#[async_trait]
impl StoreLayer for FrozenStore {
    fn below(&self) -> &dyn Store {
        self.below.as_ref()
    }

    async fn command_get(&self, id: CommandId) -> StoreResult<Option<CommandRow>> {
        self.wait().await;
        self.below.command_get(id).await
    }

    async fn command_output_append(
        &self,
        id: CommandId,
        channel: Channel,
        offset: u64,
        bytes: Bytes,
    ) -> StoreResult<()> {
        self.wait().await;
        self.stored.lock().unwrap().push("output");
        self.below.command_output_append(id, channel, offset, bytes).await
    }

    async fn command_finish(
        &self,
        id: CommandId,
        outcome: CommandOutcome,
        audit: Vec<AuditDraft>,
    ) -> StoreResult<bool> {
        self.wait().await;
        self.stored.lock().unwrap().push("end");
        self.below.command_finish(id, outcome, audit).await
    }
}

async fn hive() -> (Hive, Arc<FrozenStore>) {
    let below = Database::in_memory().open().await.unwrap();
    let store = Arc::new(FrozenStore { below, frozen: watch::Sender::new(false), stored: Mutex::default() });
    (Hive::builder().store(store.clone()).build().await.unwrap(), store)
}

async fn submit(hive: &Hive, satellite: &mut Satellite) -> CommandId {
    let commands = hive.as_system();
    let id =
        commands.commands().submit(satellite.id, ExecCommand::shell("true"), ExecOptions::default()).await.unwrap();
    while !matches!(satellite.next_control().await, ToAgent::Command(command) if command.id == id) {}
    id
}

async fn status(hive: &Hive, id: CommandId) -> CommandStatus {
    hive.as_system().commands().get(id, OutputEncoding::Lossy).await.unwrap().unwrap().status
}

fn report_end(satellite: &mut Satellite, id: CommandId, stdout: u64) {
    let result = result_of(id, CommandStatus::Succeeded, 0, stdout);
    satellite.link().attached.accept_control(ToServer::CommandResult(result)).unwrap();
}

fn open_output(satellite: &mut Satellite, command_id: CommandId) {
    let open = ToServer::StreamOpen { stream: OUTPUT, command_id, channel: Channel::Stdout, offset: 0 };
    satellite.link().attached.accept_control(open).unwrap();
}

fn send_frame(satellite: &mut Satellite, stream: StreamId, offset: usize, len: usize) -> crate::Result<()> {
    let frame = Frame::data(stream, offset as u64, vec![b'x'; len].into(), false);
    satellite.link().attached.accept_frame(frame)
}

#[tokio::test]
async fn echo_arrives_while_the_store_is_frozen_and_ends_are_acknowledged_after_it() {
    let (hive, store) = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let acting = hive.as_system();
    let id = satellite.id;
    let creating = TaskTracker::new().spawn(async move { acting.sessions().create(SessionCreate::on(id)).await });
    let size = loop {
        if let ToAgent::PtyStart(spec) = satellite.next_control().await {
            break (spec.session_id, spec.size);
        }
    };
    let (session_id, size) = size;
    let started = PtyStarted { session_id, stream: TERMINAL, output: 0, input: 0, keep: None, writer: None, size };
    satellite.send(ToServer::PtyStarted(started)).await;
    creating.await.unwrap().unwrap();
    let mut events = hive.as_system().sessions().subscribe(session_id).await.unwrap();
    let ids = [submit(&hive, &mut satellite).await, submit(&hive, &mut satellite).await];

    store.freeze();
    for id in ids {
        report_end(&mut satellite, id, 0);
    }
    for offset in 0..20 {
        send_frame(&mut satellite, TERMINAL, offset, 1).unwrap();
        let read = async {
            loop {
                match events.next().await.expect("the session stays") {
                    SessionEvent::Output { data, .. } if !data.is_empty() => return,
                    _ => {}
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), read).await.expect("the echo does not wait for the store");
    }
    let sent = satellite.sent_so_far().await;
    assert!(!sent.iter().any(|message| matches!(message, FromHive::Control(ToAgent::ResultAck { .. }))), "{sent:?}");
    assert_eq!(store.stored(), [""; 0]);

    store.thaw();
    let mut acknowledged = Vec::new();
    while acknowledged.len() < ids.len() {
        if let ToAgent::ResultAck { id } = satellite.next_control().await {
            assert_eq!(status(&hive, id).await, CommandStatus::Succeeded, "it is stored before");
            acknowledged.push(id);
        }
    }
    assert_eq!(acknowledged, ids);
}

#[tokio::test]
async fn output_is_stored_before_the_end_and_credit_follows_what_is_stored() {
    let (hive, store) = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let id = submit(&hive, &mut satellite).await;
    store.freeze();
    open_output(&mut satellite, id);
    // All the credit that a new stream has.
    for frame in 0..4 {
        send_frame(&mut satellite, OUTPUT, frame * MAX_PAYLOAD, MAX_PAYLOAD).unwrap();
    }
    let sent = satellite.sent_so_far().await;
    assert!(!sent.iter().any(|message| matches!(message, FromHive::Control(ToAgent::StreamCredit { .. }))), "{sent:?}");
    report_end(&mut satellite, id, 4 * MAX_PAYLOAD as u64);
    assert_eq!(store.stored(), [""; 0]);
    store.thaw();
    while !matches!(satellite.next_control().await, ToAgent::ResultAck { .. }) {}
    assert_eq!(store.stored(), ["output", "end"]);
    let command = hive.as_system().commands().get(id, OutputEncoding::Lossy).await.unwrap().unwrap();
    assert_eq!((command.status, command.stdout.len()), (CommandStatus::Succeeded, 4 * MAX_PAYLOAD));
}

#[tokio::test]
async fn a_satellite_that_ignores_its_credit_is_refused() {
    let (hive, store) = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let id = submit(&hive, &mut satellite).await;
    store.freeze();
    open_output(&mut satellite, id);
    for frame in 0..4 {
        send_frame(&mut satellite, OUTPUT, frame * MAX_PAYLOAD, MAX_PAYLOAD).unwrap();
    }
    assert!(send_frame(&mut satellite, OUTPUT, 4 * MAX_PAYLOAD, 1).is_err());
    store.thaw();
}

#[tokio::test]
async fn what_was_received_is_stored_where_the_link_ends_meanwhile() {
    let (hive, store) = hive().await;
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let ids = [submit(&hive, &mut satellite).await, submit(&hive, &mut satellite).await];
    store.freeze();
    for id in ids {
        report_end(&mut satellite, id, 0);
    }
    drop(satellite);
    store.thaw();
    tokio::time::timeout(Duration::from_secs(10), async {
        while store.stored().len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("both ends are stored");
    // The acknowledgements were lost with the link, so that the satellite reports again.
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    for id in ids {
        report_end(&mut satellite, id, 0);
        while !matches!(satellite.next_control().await, ToAgent::ResultAck { id: acknowledged } if acknowledged == id) {
        }
        assert_eq!(status(&hive, id).await, CommandStatus::Succeeded);
    }
}
