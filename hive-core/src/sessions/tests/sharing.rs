//! Tests of several viewers of one session.

use std::sync::Arc;

use async_trait::async_trait;
use hive_wire::api::Size;
use hive_wire::session::{AttachRequest, FromViewer, ToViewer, ViewMode};

use super::looker::request as wish;
use super::*;
use crate::store::{Database, Store, StoreLayer, StoreResult};

fn control(looker: &Looker) -> (bool, Option<&str>) {
    (looker.control.is_mine, looker.control.holder.as_deref())
}

#[tokio::test]
async fn one_types_and_all_see() {
    let (hive, mut machine, id, mut writer) = a_terminal().await;
    let mut second = Looker::typing(&hive.as_system(), id).await;
    let mut reader = Looker::reading(&hive.as_system(), id).await;
    assert_eq!(control(&second), (false, Some("system")));
    assert_eq!(second.send_input(0, b"x").await.unwrap_err().code(), ErrorCode::Conflict);
    assert_eq!(reader.send_input(0, b"x").await.unwrap_err().code(), ErrorCode::Conflict);
    writer.write(b"y").await;
    machine.print(id, b"y").await;
    for looker in [&mut writer, &mut second, &mut reader] {
        looker.until_shown(b"y").await;
    }
    machine.wait_until_idle().await;
    assert_eq!(machine.terminal(id).input, b"y");
    assert_eq!(hive.as_system().sessions().get(id).await.unwrap().unwrap().viewers, 3);
}

#[tokio::test]
async fn the_keyboard_is_asked_for_and_given() {
    let (hive, mut machine, id, mut first) = a_terminal().await;
    let mut second = Looker::typing(&hive.as_system(), id).await;
    first.write(b"one").await;
    second.send(FromViewer::RequestControl).await.unwrap();
    first.until(|looker| matches!(looker.messages.last(), Some(ToViewer::ControlRequested { by: 2, .. }))).await;
    assert_eq!(second.send(FromViewer::GrantControl { to: 2 }).await.unwrap_err().code(), ErrorCode::Conflict);
    assert_eq!(first.send(FromViewer::GrantControl { to: 9 }).await.unwrap_err().code(), ErrorCode::Conflict);
    first.send(FromViewer::GrantControl { to: 2 }).await.unwrap();
    second.until(|looker| looker.control.is_mine).await;
    first.until(|looker| !looker.control.is_mine).await;
    assert_eq!((first.control.input, second.control.input), (3, 3));
    second.write(b"two").await;
    machine.until(|machine| machine.terminal(id).input == b"onetwo").await;
    assert_eq!(machine.terminal(id).writer, Some(second.attached.viewer));
    second.send(FromViewer::ReleaseControl).await.unwrap();
    machine.until(|machine| machine.terminal(id).writer.is_none()).await;
    first.until(|looker| looker.control.holder.is_none()).await;
    first.send(FromViewer::RequestControl).await.unwrap();
    first.until(|looker| looker.control.is_mine).await;
}

#[tokio::test]
async fn a_keyboard_that_is_taken_leaves_nothing_of_its_holder_behind() {
    let (hive, mut machine, id, mut first) = a_terminal().await;
    first.write(b"rm ").await;
    let mut second = Looker::attach(&hive.as_system(), id, wish(ViewMode::Take)).await;
    assert!(second.control.is_mine && !second.attached.is_resumed);
    second.write(b"ls ").await;
    assert_eq!(first.send_input(3, b"-rf").await.unwrap_err().code(), ErrorCode::Conflict);
    first.send(FromViewer::TakeControl).await.unwrap();
    let stale = first.send_input(3, b"-rf").await.unwrap_err();
    assert_eq!(
        stale.code(),
        ErrorCode::Conflict,
        "what was sent before it lost the keyboard is not typed behind others'"
    );
    let mine_or_not: Vec<_> = {
        first.until(|looker| looker.control.is_mine && looker.control.input == 6).await;
        let controls = first.messages.iter().filter_map(|message| match message {
            ToViewer::Control(control) => Some((control.is_mine, control.input)),
            _ => None,
        });
        controls.collect()
    };
    assert_eq!(mine_or_not, [(false, 3), (true, 6)], "that it was lost in between does not go by unseen");
    first.write(b"cd").await;
    machine.until(|machine| machine.terminal(id).input == b"rm ls cd").await;
    assert_eq!(audit_log(&hive, "session.take_control").await.len(), 2);
}

#[tokio::test]
async fn one_that_only_reads_never_gets_the_keyboard() {
    let (hive, _machine, id, mut writer) = a_terminal().await;
    let mut reader = Looker::reading(&hive.as_system(), id).await;
    for wish in [FromViewer::RequestControl, FromViewer::TakeControl] {
        assert_eq!(reader.send(wish).await.unwrap_err().code(), ErrorCode::Conflict);
    }
    assert_eq!(writer.send(FromViewer::GrantControl { to: 2 }).await.unwrap_err().code(), ErrorCode::Conflict);
}

#[tokio::test]
async fn a_viewer_that_comes_back_to_read_has_no_request_for_the_keyboard_left() {
    let (hive, _machine, id, mut writer) = a_terminal().await;
    let mut waiting = Looker::typing(&hive.as_system(), id).await;
    waiting.send(FromViewer::RequestControl).await.unwrap();
    // The old attachment is still there: it has not been found broken yet.
    let read = AttachRequest { mode: ViewMode::ReadOnly, ..waiting.comeback() };
    let mut reader = Looker::attach(&hive.as_system(), id, read).await;
    assert_eq!(reader.attached.viewer, waiting.attached.viewer);
    writer.send(FromViewer::ReleaseControl).await.unwrap();
    writer.until(|looker| looker.control.holder.is_none()).await;
    assert_eq!(reader.send_input(0, b"x").await.unwrap_err().code(), ErrorCode::Conflict);
}

#[tokio::test]
async fn the_keyboard_of_one_that_is_cut_off_is_kept_for_a_while() {
    let hive = hive_with(hasty()).await;
    let mut machine = online(&hive, NAME).await;
    let id = open(&hive, &mut machine).await.id;
    let first = Looker::typing(&hive.as_system(), id).await;
    let comeback = first.comeback();
    drop(first);
    let mut second = Looker::typing(&hive.as_system(), id).await;
    assert_eq!(control(&second), (false, Some("system")));
    let error = hive.as_system().sessions().send_input(id, "x".into()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Conflict);
    second.send(FromViewer::RequestControl).await.unwrap();
    machine.during(second.until(|looker| looker.control.is_mine)).await;
    let first = Looker::attach(&hive.as_system(), id, comeback).await;
    assert!(!first.control.is_mine && !first.attached.is_resumed);
}

/// A store that never answers when a size is stored.
struct StuckSizes(Arc<dyn Store>);

#[async_trait]
impl StoreLayer for StuckSizes {
    fn below(&self) -> &dyn Store {
        self.0.as_ref()
    }

    async fn session_resize(&self, _: SessionId, _: Size) -> StoreResult<()> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_store_that_hangs_keeps_no_claim_alive() {
    let store = Arc::new(StuckSizes(Database::in_memory().open().await.unwrap()));
    let hive = Hive::builder().store(store).settings(hasty()).build().await.unwrap();
    let mut machine = online(&hive, NAME).await;
    let id = open(&hive, &mut machine).await.id;
    let wish = AttachRequest { size: Some(Size { cols: 200, rows: 30 }), ..AttachRequest::default() };
    let first = Looker::attach(&hive.as_system(), id, wish).await;
    machine.until(|machine| machine.terminal(id).size.cols == 200).await;
    drop(first);
    let mut second = Looker::typing(&hive.as_system(), id).await;
    second.send(FromViewer::RequestControl).await.unwrap();
    machine.during(second.until(|looker| looker.control.is_mine)).await;
}

#[tokio::test]
async fn a_terminal_has_the_size_of_who_types() {
    let (hive, mut machine, id, mut first) = a_terminal().await;
    let size = |cols| Size { cols, rows: 30 };
    let wish = AttachRequest { size: Some(size(200)), ..AttachRequest::default() };
    let mut second = Looker::attach(&hive.as_system(), id, wish).await;
    first.send(FromViewer::Resize(size(100))).await.unwrap();
    second.send(FromViewer::Resize(size(201))).await.unwrap();
    machine.until(|machine| machine.terminal(id).size == size(100)).await;
    second.until(|looker| looker.messages.last() == Some(&ToViewer::Resized(size(100)))).await;
    second.send(FromViewer::TakeControl).await.unwrap();
    machine.until(|machine| machine.terminal(id).size == size(201)).await;
    let error = second.send(FromViewer::Resize(size(0))).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidInput);
}

#[tokio::test]
async fn a_storm_of_sizes_does_not_fill_the_link_and_the_last_one_wins() {
    let (_hive, mut machine, id, mut looker) = a_terminal().await;
    for n in 1..=1000 {
        looker.send(FromViewer::Resize(Size { cols: n, rows: 10 })).await.unwrap();
    }
    let last = Size { cols: 1000, rows: 10 };
    looker.write(b"stty size\r").await;
    machine.until(|machine| !machine.terminal(id).input.is_empty()).await;
    assert_eq!(machine.terminal(id).size, last, "the size is messages before what is typed behind it");
    assert!(machine.terminal(id).resizes < 50, "{}", machine.terminal(id).resizes);
}

#[tokio::test]
async fn one_that_comes_late_sees_the_screen() {
    let (hive, mut machine, id, mut writer) = a_terminal().await;
    machine.wait_until_idle().await;
    let text = "0123456789\r\n".repeat(20_000);
    let mut printed = 0;
    while printed < text.len() {
        printed += machine.print(id, &text.as_bytes()[printed..]).await;
        machine.during(writer.until(|looker| looker.end == printed as u64)).await;
        machine.wait_until_idle().await;
    }
    machine.print(id, b"\x1b[?1049h\x1b[?1hvim").await;
    let mut late = Looker::reading(&hive.as_system(), id).await;
    assert_eq!(late.attached.modes.as_deref(), Some(""), "the modes where its output begins");
    late.until_shown(b"vim").await;
    assert!(late.shown.starts_with(b"0123456789") && late.shown.len() <= 64 * 1024);
    machine.until(|machine| machine.terminal(id).redraws == 1).await;
    let mut printed = 0;
    let picture = noise(100_000);
    while printed < picture.len() {
        printed += machine.print(id, &picture[printed..]).await;
        machine.during(writer.until(|looker| looker.shown.ends_with(&picture[..printed]))).await;
        machine.wait_until_idle().await;
    }
    let later = Looker::reading(&hive.as_system(), id).await;
    assert_eq!(later.attached.modes.as_deref(), Some("\x1b[?1049h\x1b[?1h"));
}

#[tokio::test]
async fn a_viewer_that_never_reads_costs_little_slows_nobody_and_comes_back_with_a_reset() {
    let (hive, mut machine, id, mut writer) = a_terminal().await;
    let mut stalled = Vec::new();
    for _ in 0..50 {
        stalled.push(Looker::reading(&hive.as_system(), id).await);
    }
    machine.wait_until_idle().await;
    let output = noise(8_000_000);
    let mut printed = 0;
    while writer.end < output.len() as u64 {
        printed += machine.print(id, &output[printed..]).await;
        machine.during(writer.until(|looker| looker.end == printed as u64)).await;
        machine.wait_until_idle().await;
    }
    assert!(writer.shown == output, "what who types sees is whole");
    for mut looker in stalled {
        looker.until(|looker| looker.end == output.len() as u64).await;
        assert_eq!(looker.messages.iter().filter(|messages| matches!(messages, ToViewer::Reset { .. })).count(), 1);
        assert!(output.ends_with(&looker.shown) && looker.shown.len() <= 64 * 1024);
    }
}

#[tokio::test]
async fn a_program_waits_for_who_types_and_not_for_long() {
    let hive = hive_with(hasty()).await;
    let mut machine = online(&hive, NAME).await;
    let id = open(&hive, &mut machine).await.id;
    let mut writer = Looker::typing(&hive.as_system(), id).await;
    writer.is_acking = false;
    machine.until(|machine| machine.terminal(id).keep == Some(0)).await;
    let output = noise(4_000_000);
    let printed = machine.print(id, &output).await;
    assert!(printed < 1_100_000, "{printed} bytes ran ahead of who reads them");
    machine.until(|machine| machine.terminal(id).keep.is_none()).await;
    machine.print(id, &output[printed..]).await;
    machine.until(|machine| machine.terminal(id).limit > 4_000_000).await;
    assert!(hive.as_system().sessions().get(id).await.unwrap().is_some());
    writer.is_acking = true;
    machine.during(writer.until(|looker| looker.end == 4_000_000)).await;
    assert!(writer.messages.iter().any(|messages| matches!(messages, ToViewer::Gap { .. })));
    machine.until(|machine| machine.terminal(id).keep.is_some()).await;
    writer.write(b"q").await;
    machine.until(|machine| machine.terminal(id).input == b"q").await;
}

#[tokio::test]
async fn typing_without_looking_needs_a_free_keyboard() {
    let (hive, mut machine, id, mut writer) = a_terminal().await;
    let acting = hive.as_system();
    let error = acting.sessions().send_input(id, "x".into()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Conflict);
    writer.send(FromViewer::ReleaseControl).await.unwrap();
    let text = noise(200_000);
    machine.during(acting.sessions().send_input(id, text.clone().into())).await.unwrap();
    assert!(machine.terminal(id).input == text, "all of it is typed when the call returns");
    machine.cut();
    let error = acting.sessions().send_input(id, "x".into()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::SatelliteOffline);
}

#[tokio::test]
async fn keystrokes_on_a_slow_link_go_together() {
    let (_hive, mut machine, id, mut writer) = a_terminal().await;
    machine.terminals.is_reading = false;
    for _ in 0..1000 {
        writer.write(b"x").await;
    }
    machine.until(|machine| machine.terminal(id).frames == 16).await;
    machine.terminals.is_reading = true;
    let applied = ToApplied(machine.terminal(id).input.len() as u64);
    machine.send(applied.of(id)).await;
    machine.until(|machine| machine.terminal(id).input.len() == 1000).await;
    assert_eq!(machine.terminal(id).frames, 17);
}

struct ToApplied(u64);

impl ToApplied {
    fn of(&self, session_id: SessionId) -> hive_wire::agent::ToServer {
        hive_wire::agent::ToServer::PtyApplied { session_id, offset: self.0 }
    }
}
