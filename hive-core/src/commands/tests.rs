use hive_test_peers::FromHive;
use hive_wire::agent::{Received, ToAgent};
use hive_wire::api::ExecCommand;
use hive_wire::{CommandId, Timestamp};

use super::dispatch::PreparedCommand;
use super::in_flight::CommandMeta;
use super::payload::Work;
use super::queue::CommandClass;
use crate::access::Principal;
use crate::hive::tests::{connect, hive, register};

#[tokio::test]
async fn a_cancel_that_overtakes_its_command_is_sent_behind_it() {
    let hive = hive().await;
    let registered = register(&hive, "web-server-01").await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let commands = &hive.services().commands;
    // The state of a call that is about to send its command.
    let id = CommandId::new(hive.source().seed());
    let work = Work::exec(ExecCommand::shell("sleep 60")).unwrap();
    let (command_type, class) = (work.command_type(), CommandClass::of(&work.command_type()));
    let actor = Principal::system().actor();
    let meta = CommandMeta { satellite: satellite.id, team: None, job: None, command_type, actor };
    commands.in_flight.begin(id, meta, Received::default());
    assert!(commands.in_flight.cancel(id).is_some());
    let link = commands.links.get(satellite.id).unwrap();
    let expires_at = Timestamp::from_micros(i64::MAX);
    let prepared =
        PreparedCommand { id, satellite: satellite.id, class, payload: work.payload, expires_at, started: false };
    commands.send(prepared, &link);
    assert_eq!(satellite.command().await.id, id);
    assert_eq!(satellite.next().await, FromHive::Control(ToAgent::CommandCancel { id }));
}
