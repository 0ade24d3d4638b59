//! What is open ends: with the right to it, and with the hive.

use std::time::Duration;

use hive_core::Subscription;
use hive_core::access::Role;
use hive_core::commands::ExecOptions;
use hive_core::jobs::JobOptions;
use hive_core::sessions::SessionEvent;
use hive_core::wire::ErrorCode;
use hive_core::wire::api::{CommandStatus, ExecCommand, ExecEvent, OutputEncoding, SessionCreate, Target, UserUpdate};
use hive_core::wire::session::{AttachRequest, ToViewer};
use hive_testkit::{PATIENCE, SatelliteOptions, until};
use tokio::time::timeout;

use super::world::NAME;
use super::{BehaviourWorld, claims};
use crate::support::{unique_seconds, until_sleeping};

claims!(
    what_is_open_ends_with_the_right_to_it,
    a_lower_role_ends_what_is_open,
    who_looks_away_leaves_no_task,
    the_hive_ends_though_nobody_reads,
);

/// More rounds than the client keeps idle connections, so that a task that each round leaves behind shows.
const ROUNDS: usize = 12;

async fn until_over<T>(stream: &mut Subscription<T>) {
    let over = async { while stream.next().await.is_some() {} };
    timeout(PATIENCE, over).await.expect("the stream ends");
}

fn wanted(satellite: hive_core::wire::SatelliteId) -> SessionCreate {
    SessionCreate { shell: Some("/bin/sh".into()), ..SessionCreate::on(satellite) }
}

async fn what_is_open_ends_with_the_right_to_it(world: BehaviourWorld) {
    let team = world.team("ops").await;
    let options = SatelliteOptions { team_id: Some(team.to_string()), ..SatelliteOptions::default() };
    let machine = world.satellite_with(NAME, options).await;
    let olga = world.somebody("olga", &[(team, Role::Operator)]).await;
    let (api, seconds) = (olga.api.as_ref(), unique_seconds());
    let command = || ExecCommand::shell(format!("echo begun; sleep {seconds}"));

    let mut events = api.satellites().subscribe(None).await.unwrap();
    let target = || vec![Target::Id(machine.id)];
    let mut stream = api.commands().exec_stream(target(), command(), ExecOptions::default()).await.unwrap();
    let Some(ExecEvent::Accepted { command_id, .. }) = stream.next().await else { panic!("not accepted") };
    let job = api.jobs().submit(target(), command(), JobOptions::default()).await.unwrap();
    let mut watch = api.jobs().subscribe(job.id).await.unwrap();
    let session = api.sessions().create(wanted(machine.id)).await.unwrap();
    let mut viewer = api.sessions().attach(session.id, AttachRequest::default()).await.unwrap();
    let mut bystander = world.api().sessions().attach(session.id, AttachRequest::default()).await.unwrap();
    until_sleeping(&seconds, 2).await;

    let disabled = UserUpdate { role: None, disabled: Some(true) };
    world.hive.as_system().identity().user_update(olga.user, disabled).await.unwrap();
    until_over(&mut events).await;
    until_over(&mut stream).await;
    until_over(&mut watch).await;
    let told = async {
        loop {
            match viewer.output.next().await {
                Some(SessionEvent::Message(ToViewer::Error { error })) => return error.code,
                Some(_) => {}
                None => panic!("over without a word"),
            }
        }
    };
    assert_eq!(timeout(PATIENCE, told).await.expect("it is told"), ErrorCode::AuthInvalid);
    assert_eq!(timeout(PATIENCE, viewer.output.next()).await.expect("it is over"), None);
    until("only the bystander looks on", async || {
        world.api().sessions().get(session.id).await.unwrap().unwrap().viewers == 1
    })
    .await;
    let found = world.api().commands().get(command_id, OutputEncoding::Lossy).await.unwrap().unwrap();
    assert!(!found.status.is_terminal(), "what was begun goes on: {found:?}");
    assert!(matches!(timeout(PATIENCE, bystander.output.next()).await, Ok(Some(_))));
    world.api().commands().cancel(command_id).await.unwrap();
    world.api().jobs().cancel(job.id).await.unwrap();
    until_sleeping(&seconds, 0).await;
    world.end().await;
}

async fn a_lower_role_ends_what_is_open(world: BehaviourWorld) {
    let team = world.team("ops").await;
    let olga = world.somebody("olga", &[(team, Role::Operator)]).await;
    let mut events = olga.api.satellites().subscribe(None).await.unwrap();
    world.hive.as_system().identity().team_member_remove(team, olga.user).await.unwrap();
    until_over(&mut events).await;
    world.end().await;
}

/// Hive, server and client run on the test's own runtime, which counts its tasks.
async fn who_looks_away_leaves_no_task(world: BehaviourWorld) {
    let machine = world.satellite().await;
    let api = world.api();
    let session = api.sessions().create(wanted(machine.id)).await.unwrap();
    let seconds = unique_seconds();
    let sleep = || ExecCommand::shell(format!("sleep {seconds}"));
    let job = api.jobs().submit(vec![Target::All], sleep(), JobOptions::default()).await.unwrap();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for _ in 0..ROUNDS {
        let mut stream = api.commands().exec_stream(vec![Target::All], sleep(), ExecOptions::default()).await.unwrap();
        let Some(ExecEvent::Accepted { command_id, .. }) = stream.next().await else { panic!("not accepted") };
        let open = (
            api.satellites().subscribe(None).await.unwrap(),
            api.jobs().subscribe(job.id).await.unwrap(),
            api.audit().export().await.unwrap(),
            api.sessions().attach(session.id, AttachRequest::default()).await.unwrap(),
        );
        drop((open, stream));
        // Also where the command is just being handed over.
        let cancelled = api.commands().cancel(command_id).await.unwrap();
        assert_eq!(cancelled.status, CommandStatus::Cancelled);
    }
    // Some are those of connections that are kept for the next call.
    until("nothing is left of it", async || tasks() < before + ROUNDS).await;
    api.jobs().cancel(job.id).await.unwrap();
    until_sleeping(&seconds, 0).await;
    world.end().await;
}

async fn the_hive_ends_though_nobody_reads(world: BehaviourWorld) {
    let machine = world.satellite().await;
    let api = world.api();
    super::audit::write_many(&world).await;
    // 23 MB: more than all buffers on the way hold, so that the writers of the stream have to wait.
    let flood = ExecCommand::shell("seq 1 3000000");
    let streams = (
        api.satellites().subscribe(None).await.unwrap(),
        api.commands().exec_stream(vec![Target::All], flood, ExecOptions::default()).await.unwrap(),
        api.audit().export().await.unwrap(),
    );
    let session = api.sessions().create(wanted(machine.id)).await.unwrap();
    let mut viewer = api.sessions().attach(session.id, AttachRequest::default()).await.unwrap();
    world.end().await;
    let over = async { while viewer.output.next().await.is_some() {} };
    timeout(Duration::from_secs(10), over).await.expect("the viewer is told, or cut off");
    drop(streams);
}
