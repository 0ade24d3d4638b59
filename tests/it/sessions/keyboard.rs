//! Several look, one types.

use bytes::Bytes;
use hive_core::Error;
use hive_core::sessions::ViewerAction;
use hive_core::terminal::TerminalEvent;
use hive_core::wire::session::{AttachRequest, ToViewer, ViewMode};
use hive_testkit::FaultProxy;

use super::{Site, Viewer};

/// Checks that what this viewer types is refused.
fn expect_refused(viewer: &mut Viewer) {
    let refused = viewer.terminal.write(Bytes::from_static(b"exit\n"));
    assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
    assert_eq!(viewer.terminal.room(), 0);
}

#[tokio::test]
async fn the_keyboard_is_asked_for_given_and_taken() {
    let site = Site::start().await;
    let mut first = site.shell().await;
    assert!(first.terminal.control().is_mine, "who comes first types");
    let mut second = Viewer::open(site.remote(), first.id()).await;
    assert!(!second.terminal.control().is_mine && second.terminal.control().holder.is_some());
    expect_refused(&mut second);
    assert_eq!(first.answer("by the first").await, "by the first");
    second.until_text(":by the first]").await;

    second.terminal.request_control();
    let ((), by) = tokio::join!(second.until_keyboard(true), async {
        let by = first.until_asked().await;
        first.terminal.grant_control(by);
        first.until_keyboard(false).await;
        by
    });
    assert!(by > 0);
    expect_refused(&mut first);
    assert_eq!(second.answer("by the second").await, "by the second");
    first.until_text(":by the second]").await;

    first.terminal.take_control();
    first.until_keyboard(true).await;
    second.until_keyboard(false).await;
    assert_eq!(first.answer("again").await, "again");

    first.terminal.release_control();
    first.until_keyboard(false).await;
    let free = |event: &TerminalEvent| matches!(event, TerminalEvent::Message(ToViewer::Control(control)) if control.holder.is_none());
    second.until("the keyboard is free", free).await;
    second.terminal.take_control();
    assert_eq!(
        {
            second.until_keyboard(true).await;
            second.answer("free").await
        },
        "free"
    );
}

#[tokio::test]
async fn who_only_reads_never_types() {
    let site = Site::start().await;
    let id = site.open().await;
    let mut reader = Viewer::open_as(site.remote(), id, ViewMode::ReadOnly).await;
    expect_refused(&mut reader);
    // The server refuses it as well: this client does not have the checks of `Terminal`.
    let request = AttachRequest { mode: ViewMode::ReadOnly, ..AttachRequest::default() };
    let mut attachment = site.remote().attach(id, request).await.unwrap();
    let typed = ViewerAction::Input { offset: 0, data: Bytes::from_static(b"exit\n") };
    attachment.input.send(typed).await.ok();
    let mut writer = Viewer::open(site.remote(), id).await;
    assert_eq!(writer.answer("alive").await, "alive");
    reader.until_text(":alive]").await;
}

#[tokio::test]
async fn whoever_takes_the_keyboard_has_it() {
    let site = Site::start().await;
    let mut first = site.shell().await;
    let mut second = Viewer::open_as(site.remote(), first.id(), ViewMode::Take).await;
    second.until_keyboard(true).await;
    first.until_keyboard(false).await;
    assert_eq!(second.answer("taken").await, "taken");
}

#[tokio::test]
async fn the_keyboard_of_who_was_cut_off_waits_and_comes_back() {
    let site = Site::start().await;
    let proxy = FaultProxy::start(site.hive.url());
    let id = site.open().await;
    let mut first = Viewer::open(site.remote_at(proxy.url()), id).await;
    assert_eq!(first.answer("here").await, "here");
    let mut second = Viewer::open(site.remote(), id).await;
    proxy.cut();
    assert_eq!(first.answer("back").await, "back");
    assert!(
        first.told.iter().any(|event| matches!(event, TerminalEvent::Reconnected { lost_input: 0 })),
        "{:?}",
        first.told
    );
    assert!(!second.terminal.control().is_mine);
    second.until_text(":back]").await;
}

#[tokio::test]
async fn what_was_typed_for_nobody_is_said() {
    let site = Site::start().await;
    let proxy = FaultProxy::start(site.hive.url());
    let id = site.open().await;
    let mut first = Viewer::open(site.remote_at(proxy.url()), id).await;
    assert_eq!(first.answer("here").await, "here");
    // Until all earlier input is applied, so that the loss below is counted exactly.
    while first.terminal.unapplied() > 0 {
        first.say().await;
    }
    proxy.refuse(true);
    proxy.cut();
    first.until("it is away", |event| matches!(event, TerminalEvent::Disconnected { .. })).await;
    first.terminal.write(Bytes::from_static(b"echo never; exit\n")).unwrap();
    let mut second = Viewer::open_as(site.remote(), id, ViewMode::Take).await;
    assert_eq!(second.answer("mine").await, "mine");
    proxy.refuse(false);
    let back = first.until("it is back", |event| matches!(event, TerminalEvent::Reconnected { .. })).await;
    assert_eq!(back, TerminalEvent::Reconnected { lost_input: "echo never; exit\n".len() as u64 });
    assert!(!first.terminal.control().is_mine);
    assert_eq!(second.answer("still mine").await, "still mine");
    assert!(super::viewer::position(&second.output, b"never").is_none());
}

#[tokio::test]
async fn who_comes_later_sees_what_stands_there() {
    let site = Site::start().await;
    let mut first = site.shell().await;
    // More than a screenful lies between what sets the modes and what is there last.
    first.type_keys("printf '\\033[?2004h\\033[?1049h'; seq 1 30000; printf '\\033[4;7Hscreen\\n'; sleep 1000\n").await;
    first.until_text("\x1b[4;7Hscreen").await;
    let mut late = Viewer::open_as(site.remote(), first.id(), ViewMode::ReadOnly).await;
    late.until_text("screen").await;
    let reset = late.told.iter().find_map(|event| match event {
        TerminalEvent::Reset { modes } => Some(modes.clone()),
        _ => None,
    });
    let modes = reset.expect("it is told how to begin");
    assert!(modes.contains("1049") && modes.contains("2004"), "{modes:?}");
}
