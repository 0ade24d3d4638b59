//! Commands: what they say, and what becomes of them when nobody waits.

use bytes::{Bytes, BytesMut};
use data_encoding::BASE64;
use hive_core::HiveApi;
use hive_core::commands::ExecOptions;
use hive_core::wire::agent::Channel;
use hive_core::wire::api::{
    CommandStatus, ExecCommand, ExecEvent, OutputEncoding, PageRequest, PowerAction, PowerRequest, Target, TargetStatus,
};
use hive_core::wire::{CommandId, ErrorCode};
use hive_core::{Error, Subscription};
use hive_testkit::{SatelliteOptions, until, until_some};

use super::world::NAME;
use super::{BehaviourWorld, claims};
use crate::support::{counted_to, sleeping, unique_seconds, until_sleeping};

claims!(
    a_result_says_all,
    hostile_text_passes_as_it_is,
    output_of_any_size_is_read_to_its_end,
    targets_come_by_name_and_each_once,
    a_stream_tells_what_happens_in_its_order,
    a_stream_that_nobody_reads_leaves_its_command_running,
    a_call_that_is_dropped_leaves_its_command_running,
    a_queued_command_waits_is_listed_and_is_cancelled,
    a_running_command_is_cancelled_with_its_whole_tree,
    the_same_key_is_the_same_command,
    a_timeout_is_an_error_with_the_output_so_far,
    a_change_of_power_is_set_going,
    a_commands_status_of_a_later_version_is_an_end_and_is_kept,
);

const DONE: TargetStatus = TargetStatus::Command(CommandStatus::Succeeded);

fn name(name: &str) -> Target {
    Target::Name(name.try_into().unwrap())
}

fn keyed(key: &str) -> ExecOptions {
    ExecOptions { idempotency_key: Some(key.into()), ..ExecOptions::default() }
}

/// Waits until a command has this status.
async fn until_status(api: &dyn HiveApi, id: CommandId, status: CommandStatus) {
    let what = format!("{id} is {status:?}");
    until(&what, async || {
        let found = api.commands().get(id, OutputEncoding::Lossy).await.unwrap().unwrap();
        assert!(found.status == status || !found.status.is_terminal(), "{found:?}");
        found.status == status
    })
    .await;
}

async fn a_result_says_all(world: BehaviourWorld) {
    let satellite = world.satellite().await;
    let line = "cat; echo \"$MINE in $PWD\" >&2; exit 3";
    let command = ExecCommand {
        env: [("MINE".to_owned(), "of mine".to_owned())].into(),
        cwd: Some("/tmp".into()),
        stdin: Some(BASE64.encode(b"typed\n")),
        ..ExecCommand::shell(line)
    };
    let result = world.api().commands().exec(satellite.id, command, ExecOptions::default()).await.unwrap();
    assert_eq!((result.satellite_id, result.satellite_name.as_str()), (satellite.id, NAME));
    assert_eq!((result.status, result.exit_code), (TargetStatus::Command(CommandStatus::Failed), Some(3)));
    assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("typed\n", "of mine in /tmp\n"));
    assert!(!result.truncated && result.error.is_none());
    let found = world.api().commands().get(result.command_id.unwrap(), OutputEncoding::Lossy).await.unwrap().unwrap();
    assert_eq!((found.status, found.exit_code, found.summary.as_str()), (CommandStatus::Failed, Some(3), line));
    assert_eq!((found.stdout, found.stderr), (result.stdout, result.stderr));
    assert!(found.finished_at.is_some() && found.created_by == "admin" && found.duration_ms.is_some());
    world.end().await;
}

async fn hostile_text_passes_as_it_is(world: BehaviourWorld) {
    let satellite = world.satellite().await;
    let text = "ä\u{1b}]0;title\u{7}\u{2028}\"'\\$(id)`id`;&|%s\u{202e}\r\n\ttail";
    let command = ExecCommand::program("printf", ["%s", text]);
    let result = world.api().commands().exec(satellite.id, command, ExecOptions::default()).await.unwrap();
    assert_eq!(result.stdout, text);
    // One byte is not UTF-8: base64 keeps it, text replaces it.
    let bytes = ExecCommand::shell(r"printf 'a\377\000b'");
    let options = ExecOptions { encoding: OutputEncoding::Base64, ..ExecOptions::default() };
    let result = world.api().commands().exec(satellite.id, bytes.clone(), options).await.unwrap();
    assert_eq!(BASE64.decode(result.stdout.as_bytes()).unwrap(), b"a\xff\x00b");
    let result = world.api().commands().exec(satellite.id, bytes, ExecOptions::default()).await.unwrap();
    assert_eq!(result.stdout, "a\u{fffd}\0b");
    world.end().await;
}

async fn output_of_any_size_is_read_to_its_end(world: BehaviourWorld) {
    let satellite = world.satellite().await;
    let command = ExecCommand::shell("seq 1 400000; echo done >&2");
    let result = world.api().commands().exec(satellite.id, command, ExecOptions::default()).await.unwrap();
    let expected = counted_to(400_000);
    assert!(expected.starts_with(&result.stdout) && !result.stdout.is_empty());
    assert_eq!(result.truncated, result.stdout.len() < expected.len());
    let id = result.command_id.unwrap();
    let mut whole = BytesMut::new();
    loop {
        let piece = world.api().commands().output(id, Channel::Stdout, whole.len() as u64).await.unwrap();
        assert!(piece.len() <= 1024 * 1024);
        if piece.is_empty() {
            break;
        }
        whole.extend_from_slice(&piece);
    }
    assert!(whole == expected.as_bytes(), "{} of {} bytes", whole.len(), expected.len());
    let rest = world.api().commands().output(id, Channel::Stderr, 2).await.unwrap();
    assert_eq!(rest, Bytes::from("ne\n"));
    assert!(world.api().commands().output(id, Channel::Stderr, 500).await.unwrap().is_empty());
    world.end().await;
}

async fn targets_come_by_name_and_each_once(world: BehaviourWorld) {
    // Not activated, so that `all` leaves it out.
    world.absent("inactive-01", None).await;
    let away = world.away("away-server-01", None).await;
    let satellite = world.satellite().await;
    let api = world.api();
    let run =
        async |targets| api.commands().exec_multi(targets, ExecCommand::shell("echo x"), ExecOptions::default()).await;
    let all = run(vec![Target::All, name(NAME), Target::Id(satellite.id)]).await.unwrap();
    let [first, second] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((first.satellite_id, first.status.clone(), first.command_id), (away, TargetStatus::NotRun, None));
    assert_eq!(first.error.as_ref().map(|error| error.code.clone()), Some(ErrorCode::SatelliteOffline));
    assert_eq!((second.satellite_id, second.status.clone(), second.stdout.as_str()), (satellite.id, DONE, "x\n"));
    let tagged =
        api.commands().exec_by_tag("rack-7", ExecCommand::shell("true"), ExecOptions::default()).await.unwrap();
    assert_eq!(tagged.iter().map(|result| result.satellite_id).collect::<Vec<_>>(), [away]);
    world.end().await;
}

/// What a stream tells: the command, its output and how it ended.
async fn heard(stream: &mut Subscription<ExecEvent>) -> (Option<CommandId>, [Vec<u8>; 2], Option<TargetStatus>) {
    let (mut id, mut output, mut end) = (None, [Vec::new(), Vec::new()], None);
    while let Some(event) = stream.next().await {
        assert!(end.is_none(), "behind the end: {event:?}");
        match event {
            ExecEvent::Accepted { command_id, .. } => id = Some(command_id),
            ExecEvent::Output { channel, offset, data, .. } => {
                let output = &mut output[usize::from(channel == Channel::Stderr)];
                assert_eq!(offset, output.len() as u64);
                output.extend(BASE64.decode(data.as_bytes()).unwrap());
            }
            ExecEvent::Exit(result) => end = Some(result.status),
            ExecEvent::Link { .. } | ExecEvent::Unknown(_) => {}
        }
    }
    (id, output, end)
}

async fn a_stream_tells_what_happens_in_its_order(world: BehaviourWorld) {
    let _satellite = world.satellite().await;
    let command = ExecCommand::shell("seq 1 200000; seq 1 3 >&2");
    let mut stream =
        world.api().commands().exec_stream(vec![name(NAME)], command, ExecOptions::default()).await.unwrap();
    let (id, [stdout, stderr], end) = heard(&mut stream).await;
    assert!(id.is_some() && stdout == counted_to(200_000).as_bytes(), "{} bytes", stdout.len());
    assert_eq!(stderr, b"1\n2\n3\n");
    assert_eq!(end, Some(DONE));
    world.end().await;
}

async fn a_stream_that_nobody_reads_leaves_its_command_running(world: BehaviourWorld) {
    let _satellite = world.satellite().await;
    let api = world.api();
    let unread = world.dir().join("unread");
    // 7 MB: more than the buffers on the way to a reader hold, and less than the cap of the output.
    let line = format!("seq 1 1000000; touch {}", unread.display());
    let mut stream =
        api.commands().exec_stream(vec![name(NAME)], ExecCommand::shell(line), ExecOptions::default()).await.unwrap();
    let Some(ExecEvent::Accepted { command_id, .. }) = stream.next().await else { panic!("not accepted") };
    until_status(api, command_id, CommandStatus::Succeeded).await;
    assert!(unread.exists());
    let seconds = unique_seconds();
    let line = format!("echo begun; sleep {seconds}");
    let mut left =
        api.commands().exec_stream(vec![name(NAME)], ExecCommand::shell(line), ExecOptions::default()).await.unwrap();
    let Some(ExecEvent::Accepted { command_id, .. }) = left.next().await else { panic!("not accepted") };
    assert!(matches!(left.next().await, Some(ExecEvent::Output { .. })));
    drop(left);
    until_sleeping(&seconds, 1).await;
    assert_eq!(api.commands().cancel(command_id).await.unwrap().status, CommandStatus::Cancelled);
    // The unread stream is still there and holds nothing up.
    world.end().await;
    drop(stream);
}

async fn a_call_that_is_dropped_leaves_its_command_running(world: BehaviourWorld) {
    let satellite = world.satellite().await;
    let (api, seconds) = (world.api(), unique_seconds());
    let commands = api.commands();
    let call = commands.exec(satellite.id, ExecCommand::shell(format!("sleep {seconds}")), ExecOptions::default());
    tokio::select! {
        result = call => panic!("it has ended: {result:?}"),
        // Here the call is dropped, when its command is known to run.
        () = until_sleeping(&seconds, 1) => {}
    }
    let listed = api.commands().list(satellite.id, PageRequest::default()).await.unwrap().items;
    let [command] = listed.as_slice() else { panic!("{listed:?}") };
    assert!(!command.status.is_terminal(), "{command:?}");
    assert_eq!(sleeping(&seconds), 1);
    api.commands().cancel(command.id).await.unwrap();
    until_sleeping(&seconds, 0).await;
    world.end().await;
}

async fn a_queued_command_waits_is_listed_and_is_cancelled(world: BehaviourWorld) {
    let (api, satellite) = (world.api(), world.away("away-server-01", None).await);
    let mut ids = Vec::new();
    for number in 0..3 {
        let command = ExecCommand::shell(format!("echo {number}"));
        ids.push(api.commands().submit(satellite, command, ExecOptions::default()).await.unwrap());
    }
    ids.reverse();
    let commands = api.commands();
    let page = |page, per_page| commands.list(satellite, PageRequest::numbered(page, per_page));
    let (first, second) = (page(1, 2).await.unwrap(), page(2, 2).await.unwrap());
    assert_eq!((first.total, first.page, first.per_page, second.items.len()), (3, Some(1), 2, 1));
    let listed: Vec<_> = first.items.iter().chain(&second.items).map(|command| command.id).collect();
    assert_eq!(listed, ids, "newest first");
    assert!(first.items.iter().all(|command| command.status == CommandStatus::Queued));
    let cancelled = api.commands().cancel(ids[0]).await.unwrap();
    assert_eq!((cancelled.status, cancelled.finished_at.is_some()), (CommandStatus::Cancelled, true));
    assert_eq!(api.commands().cancel(ids[0]).await.unwrap().status, CommandStatus::Cancelled, "and stays so");
    world.end().await;
}

async fn a_running_command_is_cancelled_with_its_whole_tree(world: BehaviourWorld) {
    let satellite = world.satellite().await;
    let (api, seconds) = (world.api(), unique_seconds());
    // Children in the background, which would outlive a shell that is killed alone.
    let line = format!("sleep {seconds} & sleep {seconds} & wait");
    let id = api.commands().submit(satellite.id, ExecCommand::shell(line), ExecOptions::default()).await.unwrap();
    until_sleeping(&seconds, 2).await;
    assert_eq!(api.commands().cancel(id).await.unwrap().status, CommandStatus::Cancelled);
    assert_eq!(sleeping(&seconds), 0);
    world.end().await;
}

async fn the_same_key_is_the_same_command(world: BehaviourWorld) {
    let satellite = world.satellite().await;
    let api = world.api();
    let file = world.dir().join("runs");
    let command = || ExecCommand::shell(format!("echo run >> {}; echo x", file.display()));
    let first = api.commands().exec(satellite.id, command(), keyed("once")).await.unwrap();
    let again = api.commands().exec(satellite.id, command(), keyed("once")).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "run\n");
    let other = api.commands().exec(satellite.id, ExecCommand::shell("false"), keyed("once")).await.unwrap_err();
    assert_eq!(other.code(), ErrorCode::Conflict);
    assert_eq!(api.commands().submit(satellite.id, command(), keyed("once")).await.unwrap(), first.command_id.unwrap());
    world.end().await;
}

async fn a_timeout_is_an_error_with_the_output_so_far(world: BehaviourWorld) {
    let satellite = world.satellite().await;
    let seconds = unique_seconds();
    let command = ExecCommand {
        timeout_seconds: Some(2),
        ..ExecCommand::shell(format!("echo so far; echo and this >&2; sleep {seconds}"))
    };
    let error = world.api().commands().exec(satellite.id, command, ExecOptions::default()).await.unwrap_err();
    let Error::CommandTimeout { command, result: Some(result) } = error else { panic!("{error:?}") };
    assert_eq!((result.command_id, result.satellite_id), (Some(command), satellite.id));
    assert_eq!(result.status, TargetStatus::Command(CommandStatus::TimedOut));
    assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("so far\n", "and this\n"));
    assert_eq!(sleeping(&seconds), 0);
    world.end().await;
}

async fn a_change_of_power_is_set_going(world: BehaviourWorld) {
    let log = world.dir().join("power");
    let helper = world.dir().join("helper");
    std::fs::write(&helper, format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > {}\n", log.display())).unwrap();
    std::fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut options = SatelliteOptions::default();
    options.args(["--power-helper", helper.to_str().unwrap()]);
    let satellite = world.satellite_with(NAME, options).await;
    let request = PowerRequest {
        action: PowerAction::Sleep,
        delay_seconds: 7,
        // Shell syntax, which no shell may see.
        message: Some("maintenance; $(date)".into()),
        priority: None,
    };
    let result = world.api().commands().power(satellite.id, request, ExecOptions::default()).await.unwrap();
    assert_eq!(result.status, DONE);
    until_some("the helper was called", async || {
        std::fs::read_to_string(&log).ok().filter(|said| said == "sleep\n7\nmaintenance; $(date)\n")
    })
    .await;
    world.end().await;
}

async fn a_commands_status_of_a_later_version_is_an_end_and_is_kept(world: BehaviourWorld) {
    let satellite = world.satellite().await;
    let expected = CommandStatus::from(world.rename_status("succeeded", "half_done"));
    let commands = world.api().commands();
    let result = commands.exec(satellite.id, ExecCommand::shell("echo x"), ExecOptions::default()).await.unwrap();
    assert_eq!(result.status, TargetStatus::Command(expected.clone()));
    assert_eq!((result.exit_code, result.stdout.as_str()), (Some(0), "x\n"));
    let id = result.command_id.unwrap();
    let found = commands.get(id, OutputEncoding::Lossy).await.unwrap().unwrap();
    assert_eq!((found.status.clone(), found.stdout.as_str()), (expected.clone(), "x\n"));
    assert!(found.status.is_terminal() && found.finished_at.is_some());
    let listed = commands.list(satellite.id, PageRequest::default()).await.unwrap().items;
    assert_eq!(listed.iter().map(|command| &command.status).collect::<Vec<_>>(), [&expected]);
    let mut stream = commands.exec_stream(vec![name(NAME)], ExecCommand::shell("echo y"), ExecOptions::default()).await;
    let (_, [stdout, _], end) = heard(stream.as_mut().unwrap()).await;
    assert_eq!((stdout.as_slice(), end), (&b"y\n"[..], Some(TargetStatus::Command(expected))));
    world.end().await;
}
