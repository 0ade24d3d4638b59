//! Terminals: what is typed, what is seen, and by whom.

use std::time::Duration;

use bytes::Bytes;
use hive_core::HiveApi;
use hive_core::sessions::{Attachment, SessionEvent, ViewerAction};
use hive_core::wire::api::{EndReason, SessionCreate, SessionEnd, SessionFilter, SessionStatus, Size};
use hive_core::wire::session::{AttachRequest, FromViewer, SCROLLBACK, ToViewer, ViewMode};
use hive_core::wire::{ErrorCode, SessionId};
use hive_testkit::{FaultProxy, PATIENCE, until};
use tokio::time::timeout;

use super::world::BehaviourSatellite;
use super::{BehaviourWorld, claims};

claims!(
    a_terminal_is_opened_used_and_ended,
    what_is_typed_comes_back_by_its_offsets,
    one_types_and_another_takes_over,
    a_size_is_everybodys,
    who_does_not_read_gets_a_fresh_screen,
    an_end_is_told_and_told_again,
    who_was_cut_off_goes_on_where_it_was,
    who_leaves_is_gone,
    no_more_terminals_than_are_allowed,
);

fn wanted(machine: &BehaviourSatellite) -> SessionCreate {
    SessionCreate { shell: Some("/bin/sh".into()), ..SessionCreate::on(machine.id) }
}

async fn open(world: &BehaviourWorld, machine: &BehaviourSatellite) -> SessionId {
    world.api().sessions().create(wanted(machine)).await.unwrap().id
}

/// One viewer. It acknowledges what it reads.
struct Viewer {
    way: Attachment,
    output: Vec<u8>,
    /// The offset behind the last byte of output.
    end: u64,
    typed: u64,
    told: Vec<ToViewer>,
}

impl Viewer {
    async fn attach(world: &BehaviourWorld, id: SessionId, mode: ViewMode) -> Self {
        Self::attach_with(world.api(), id, AttachRequest { mode, ..AttachRequest::default() }).await
    }

    async fn attach_with(api: &dyn HiveApi, id: SessionId, request: AttachRequest) -> Self {
        let way = timeout(PATIENCE, api.sessions().attach(id, request)).await.expect("it is let in").unwrap();
        let (end, typed) = (way.attached.output, way.attached.control.input);
        Self { way, output: Vec::new(), end, typed, told: Vec::new() }
    }

    /// Waits for the next event; `None` where the attachment is over.
    async fn step(&mut self) -> Option<()> {
        let Ok(event) = timeout(PATIENCE, self.way.output.next()).await else {
            panic!("nothing more comes behind {:?} and {:?}", self.text(), self.told);
        };
        match event? {
            SessionEvent::Output { offset, data } => {
                assert_eq!(offset, self.end, "a gap that nobody told of");
                self.output.extend_from_slice(&data);
                self.end += data.len() as u64;
                self.say(FromViewer::Ack { offset: self.end }).await.unwrap();
            }
            SessionEvent::Message(told) => {
                if let ToViewer::Reset { output, .. } = &told {
                    self.end = *output;
                }
                self.told.push(told);
            }
        }
        Some(())
    }

    async fn until_seen(&mut self, text: &str) {
        // Each byte is looked at once: there may be many.
        let mut looked_at = 0;
        while !String::from_utf8_lossy(&self.output[looked_at..]).contains(text) {
            looked_at = self.output.len().saturating_sub(text.len());
            assert!(self.step().await.is_some(), "over before {text:?}: {:?}", self.text());
        }
    }

    /// Waits until it is told what is meant.
    async fn until_told(&mut self, is_meant: impl Fn(&ToViewer) -> bool) -> ToViewer {
        loop {
            if let Some(place) = self.told.iter().position(&is_meant) {
                return self.told.remove(place);
            }
            assert!(self.step().await.is_some(), "over before it was told: {:?}", self.told);
        }
    }

    async fn until_mine(&mut self, is_mine: bool) {
        let told =
            self.until_told(|told| matches!(told, ToViewer::Control(control) if control.is_mine == is_mine)).await;
        if let (ToViewer::Control(control), true) = (told, is_mine) {
            self.typed = control.input;
        }
    }

    async fn until_over(&mut self) -> SessionEnd {
        let told = self.until_told(|told| matches!(told, ToViewer::Ended(_))).await;
        assert_eq!(timeout(PATIENCE, self.way.output.next()).await.expect("it is over"), None);
        let ToViewer::Ended(end) = told else { unreachable!() };
        end
    }

    async fn write(&mut self, text: &str) -> hive_core::Result<()> {
        let (offset, data) = (self.typed, Bytes::from(text.to_owned()));
        self.typed += data.len() as u64;
        self.way.input.send(ViewerAction::Input { offset, data }).await
    }

    async fn say(&mut self, word: FromViewer) -> hive_core::Result<()> {
        self.way.input.send(ViewerAction::Message(word)).await
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }
}

async fn a_terminal_is_opened_used_and_ended(world: BehaviourWorld) {
    let machine = world.satellite().await;
    let api = world.api();
    let mut env = wanted(&machine);
    env.env = [("MINE".to_owned(), "of mine".to_owned())].into();
    let session = api.sessions().create(SessionCreate { cols: 100, rows: 30, ..env }).await.unwrap();
    assert_eq!(
        (session.status, session.size, session.online),
        (SessionStatus::Open, Size { cols: 100, rows: 30 }, true)
    );
    assert_eq!((session.satellite_id, session.created_by.name.as_str()), (machine.id, "admin"));
    let mut viewer = Viewer::attach(&world, session.id, ViewMode::ReadOnly).await;
    api.sessions().send_input(session.id, "echo $((6*7)) $MINE; stty size\n".into()).await.unwrap();
    viewer.until_seen("42 of mine").await;
    viewer.until_seen("30 100").await;
    api.sessions().send_input(session.id, Bytes::new()).await.unwrap();
    api.sessions().resize(session.id, Size { cols: 90, rows: 20 }).await.unwrap();
    assert_eq!(api.sessions().get(session.id).await.unwrap().unwrap().size, Size { cols: 90, rows: 20 });
    let listed = api.sessions().list(SessionFilter::default()).await.unwrap();
    assert_eq!(listed.iter().map(|session| session.id).collect::<Vec<_>>(), [session.id]);
    api.sessions().terminate(session.id).await.unwrap();
    assert_eq!(viewer.until_over().await.reason, EndReason::Killed);
    let of_machine = |ended| SessionFilter { satellite_id: Some(machine.id), ended };
    assert!(api.sessions().list(of_machine(false)).await.unwrap().is_empty());
    let ended = api.sessions().list(of_machine(true)).await.unwrap();
    assert_eq!((ended[0].status.clone(), ended[0].ended_at.is_some()), (SessionStatus::Ended, true));
    api.sessions().terminate(session.id).await.expect("it has ended, as was wanted");
    world.end().await;
}

async fn what_is_typed_comes_back_by_its_offsets(world: BehaviourWorld) {
    let machine = world.satellite().await;
    let id = open(&world, &machine).await;
    let mut viewer = Viewer::attach(&world, id, ViewMode::Control).await;
    assert!(viewer.way.attached.control.is_mine && viewer.way.attached.session.id == id);
    let (start, line) = (viewer.typed, "echo 'ä\u{202e}' one\n");
    viewer.write(line).await.unwrap();
    viewer.until_seen("ä\u{202e} one").await;
    let end = start + line.len() as u64;
    viewer.until_told(|told| *told == ToViewer::Applied { offset: end }).await;
    // As after a reconnect: the viewer sends its last input again. Only the new part of it is typed.
    viewer.typed = start;
    viewer.write(&format!("{line}echo t''wo\n")).await.unwrap();
    viewer.until_seen("two").await;
    assert_eq!(viewer.text().matches("ä\u{202e}' one").count(), 1);
    let large = viewer.text().len();
    viewer.write("seq 1 50000; echo en''d\n").await.unwrap();
    viewer.until_seen("end\r\n").await;
    assert!(viewer.text()[large..].contains("\r\n49999\r\n50000\r\nend"), "all of it, exact to the byte");
    world.end().await;
}

async fn one_types_and_another_takes_over(world: BehaviourWorld) {
    let machine = world.satellite().await;
    let id = open(&world, &machine).await;
    let mut first = Viewer::attach(&world, id, ViewMode::Control).await;
    let mut second = Viewer::attach(&world, id, ViewMode::Control).await;
    assert!(first.way.attached.control.is_mine && !second.way.attached.control.is_mine);
    assert_eq!(second.write("x").await.unwrap_err().code(), ErrorCode::Conflict);
    let unseen = world.api().sessions().send_input(id, "x".into()).await.unwrap_err();
    assert_eq!(unseen.code(), ErrorCode::Conflict, "a viewer has the keyboard");
    second.say(FromViewer::RequestControl).await.unwrap();
    let asked = first.until_told(|told| matches!(told, ToViewer::ControlRequested { .. })).await;
    let ToViewer::ControlRequested { by, name } = asked else { unreachable!() };
    assert_eq!(name, "admin");
    first.say(FromViewer::GrantControl { to: by }).await.unwrap();
    second.until_mine(true).await;
    first.until_mine(false).await;
    assert_eq!(first.write("x").await.unwrap_err().code(), ErrorCode::Conflict);
    second.write("echo by-sec''ond\n").await.unwrap();
    first.until_seen("by-second").await;
    first.say(FromViewer::TakeControl).await.unwrap();
    second.until_mine(false).await;
    first.until_mine(true).await;
    first.write("echo by-fir''st\n").await.unwrap();
    second.until_seen("by-first").await;
    let mut reader = Viewer::attach(&world, id, ViewMode::ReadOnly).await;
    assert_eq!(reader.write("x").await.unwrap_err().code(), ErrorCode::Conflict);
    first.say(FromViewer::ReleaseControl).await.unwrap();
    first.until_mine(false).await;
    let mut taker = Viewer::attach(&world, id, ViewMode::Take).await;
    assert!(taker.way.attached.control.is_mine);
    taker.write("echo by-ta''ker\n").await.unwrap();
    reader.until_seen("by-taker").await;
    world.end().await;
}

async fn a_size_is_everybodys(world: BehaviourWorld) {
    let machine = world.satellite().await;
    let id = open(&world, &machine).await;
    let mut typist = Viewer::attach(&world, id, ViewMode::Control).await;
    let mut other = Viewer::attach(&world, id, ViewMode::ReadOnly).await;
    let size = Size { cols: 111, rows: 33 };
    typist.say(FromViewer::Resize(size)).await.unwrap();
    assert_eq!(other.until_told(|told| matches!(told, ToViewer::Resized(_))).await, ToViewer::Resized(size));
    let impossible = typist.say(FromViewer::Resize(Size { cols: 0, rows: 33 })).await.unwrap_err();
    assert_eq!(impossible.to_wire().details, Some(serde_json::json!({ "field": "cols", "rule": "must be 1 to 1000" })));
    typist.write("stty size\n").await.unwrap();
    typist.until_seen("33 111").await;
    world.end().await;
}

async fn who_does_not_read_gets_a_fresh_screen(world: BehaviourWorld) {
    let machine = world.satellite().await;
    let id = open(&world, &machine).await;
    // Where there is a way in between, nothing passes on it, and little can wait there.
    let proxy = FaultProxy::start_narrow(world.url(), u64::MAX);
    let behind = world.behind(&proxy).await;
    let read_only = AttachRequest { mode: ViewMode::ReadOnly, ..AttachRequest::default() };
    let mut reader = Viewer::attach_with(behind.as_ref(), id, read_only).await;
    let mut typist = Viewer::attach(&world, id, ViewMode::Control).await;
    proxy.hold(true);
    // More than the hive keeps, and than the server's socket holds where there is one.
    let lines = if world.is_remote() { 12 * SCROLLBACK / 8 } else { 2 * SCROLLBACK / 8 };
    typist.write(&format!("printf '\\033[?2004h'; seq 1 {lines}; echo en''d; sleep 1000\n")).await.unwrap();
    typist.until_seen("end\r\n").await;
    proxy.hold(false);
    let told = reader.until_told(|told| matches!(told, ToViewer::Reset { .. })).await;
    let ToViewer::Reset { output, modes } = told else { unreachable!() };
    assert!(output > SCROLLBACK as u64 && modes.contains("\u{1b}[?2004h"), "{output} {modes:?}");
    reader.until_seen("end\r\n").await;
    assert_eq!(reader.end, typist.end);
    world.end().await;
}

async fn an_end_is_told_and_told_again(world: BehaviourWorld) {
    let machine = world.satellite().await;
    let id = open(&world, &machine).await;
    let mut viewer = Viewer::attach(&world, id, ViewMode::Control).await;
    viewer.write("echo last; exit 7\n").await.unwrap();
    let end = viewer.until_over().await;
    assert_eq!((end.reason.clone(), end.exit_code), (EndReason::Exited, Some(7)));
    assert!(viewer.text().contains("last\r\n"), "everything that was said comes before the end");
    assert_eq!(viewer.write("x").await.unwrap_err().code(), ErrorCode::Conflict);
    assert_eq!(world.api().sessions().get(id).await.unwrap().unwrap().end, Some(end.clone()));
    let mut later = Viewer::attach(&world, id, ViewMode::Control).await;
    assert_eq!(later.until_over().await, end);
    world.end().await;
}

async fn who_was_cut_off_goes_on_where_it_was(world: BehaviourWorld) {
    let machine = world.satellite().await;
    let id = open(&world, &machine).await;
    let mut viewer = Viewer::attach(&world, id, ViewMode::Control).await;
    viewer.write("echo fir''st\n").await.unwrap();
    viewer.until_seen("first").await;
    let (who, end, typed) = (viewer.way.attached.viewer, viewer.end, viewer.typed);
    drop(viewer);
    let request = AttachRequest { viewer: Some(who), output: Some(end), ..AttachRequest::default() };
    let mut back = Viewer::attach_with(world.api(), id, request).await;
    let attached = &back.way.attached;
    assert!(attached.is_resumed && attached.viewer == who && attached.modes.is_none());
    assert_eq!((attached.output, attached.control.input, attached.control.is_mine), (end, typed, true));
    back.write("echo sec''ond\n").await.unwrap();
    back.until_seen("second").await;
    assert!(!back.text().contains("first"), "what was seen is not told again");
    world.end().await;
}

async fn who_leaves_is_gone(world: BehaviourWorld) {
    let machine = world.satellite().await;
    let id = open(&world, &machine).await;
    let viewers = async || world.api().sessions().get(id).await.unwrap().unwrap().viewers;
    let first = Viewer::attach(&world, id, ViewMode::Control).await;
    let second = Viewer::attach(&world, id, ViewMode::ReadOnly).await;
    assert_eq!(viewers().await, 2);
    drop(second);
    until("the second has left", async || viewers().await == 1).await;
    let Attachment { input, output, .. } = first.way;
    drop(output);
    assert_eq!(viewers().await, 1, "half of it is still there");
    drop(input);
    until("the first has left", async || viewers().await == 0).await;
    let sessions = world.api().sessions();
    let dropped = sessions.attach(id, AttachRequest::default());
    drop(timeout(Duration::ZERO, dropped).await);
    until("nobody came", async || viewers().await == 0).await;
    world.end().await;
}

async fn no_more_terminals_than_are_allowed(world: BehaviourWorld) {
    let machine = world.satellite().await;
    for _ in 0..3 {
        open(&world, &machine).await;
    }
    let refused = world.api().sessions().create(wanted(&machine)).await.unwrap_err().to_wire();
    assert_eq!((refused.code, refused.details), (ErrorCode::SessionLimit, Some(serde_json::json!({ "limit": 3 }))));
    world.end().await;
}
