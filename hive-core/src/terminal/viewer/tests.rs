//! Tests of `Terminal` over a scripted hive.

use std::sync::Mutex;

use async_trait::async_trait;
use hive_wire::api::{Actor, EndReason, Page, PageRequest, SessionCreate, SessionFilter, SessionSort};
use hive_wire::id::Seed;
use hive_wire::{SatelliteId, SatelliteName, Timestamp};
use tokio::sync::mpsc;

use super::*;
use crate::Subscription;

const SEED: Seed = Seed { unix_millis: 1, random: [1; 10] };

fn session() -> Session {
    Session {
        id: SessionId::new(SEED),
        satellite_id: SatelliteId::new(SEED),
        satellite_name: SatelliteName::try_from("web-server-01").unwrap(),
        status: SessionStatus::Open,
        online: true,
        size: Size::default(),
        shell: None,
        created_by: Actor { kind: "user".into(), id: "usr_x".into(), name: "anna".into(), ip: None },
        created_at: Timestamp::from_micros(0),
        ended_at: None,
        end: None,
        viewers: 1,
    }
}

fn mine(input: u64) -> Control {
    Control { is_mine: true, input, holder: Some("anna".into()) }
}

fn others(input: u64) -> Control {
    Control { is_mine: false, input, holder: Some("otto".into()) }
}

fn attached(output: u64, control: Control) -> Attached {
    Attached { session: session(), viewer: ViewerId::new(SEED), output, modes: None, control, is_resumed: true }
}

/// The answer of the hive to the next attempt to attach.
type AttachAnswer = Result<Attached>;

/// A hive that gives the answers of a test.
struct Scripted {
    answers: Mutex<VecDeque<AttachAnswer>>,
    requests: mpsc::Sender<AttachRequest>,
    ways: mpsc::Sender<FarEnd>,
}

/// The other end of one attachment. Dropping it breaks the connection.
struct FarEnd {
    tell: mpsc::Sender<SessionEvent>,
    sent: mpsc::Receiver<ViewerAction>,
}

#[derive(Debug)]
struct FakeViewerOutput(mpsc::Receiver<SessionEvent>);

#[derive(Debug)]
struct FakeViewerInput(mpsc::Sender<ViewerAction>);

#[async_trait]
impl AttachmentOutput for FakeViewerOutput {
    async fn next(&mut self) -> Option<SessionEvent> {
        self.0.recv().await
    }
}

#[async_trait]
impl AttachmentInput for FakeViewerInput {
    async fn send(&mut self, action: ViewerAction) -> Result<()> {
        self.0.send(action).await.map_err(|_| Error::Unavailable("the state is broken".into()))
    }
}

#[async_trait]
impl SessionManager for Scripted {
    async fn create(&self, _: SessionCreate) -> Result<Session> {
        unreachable!("a viewer opens no terminals")
    }

    async fn get(&self, _: SessionId) -> Result<Option<Session>> {
        unreachable!("a viewer attaches at once")
    }

    async fn list_page(&self, _: SessionFilter, _: PageRequest<SessionSort>) -> Result<Page<Session>> {
        unreachable!("a viewer lists nothing")
    }

    async fn send_input(&self, _: SessionId, _: Bytes) -> Result<()> {
        unreachable!("a viewer types over its attachment")
    }

    async fn resize(&self, _: SessionId, _: Size) -> Result<()> {
        unreachable!("a viewer resizes over its attachment")
    }

    async fn terminate(&self, _: SessionId) -> Result<()> {
        unreachable!("a viewer ends no terminals")
    }

    async fn subscribe(&self, _: SessionId) -> Result<Subscription<SessionEvent>> {
        unreachable!("a viewer attaches")
    }

    async fn attach(&self, _: SessionId, request: AttachRequest) -> Result<Attachment> {
        self.requests.send(request).await.unwrap();
        let answer = self.answers.lock().unwrap().pop_front();
        let attached = answer.unwrap_or_else(|| Err(Error::Unavailable("connection refused".into())))?;
        let (tell, output) = mpsc::channel(16);
        // Room for one action. The viewer waits until the test receives it.
        let (input, sent) = mpsc::channel(1);
        self.ways.send(FarEnd { tell, sent }).await.unwrap();
        Ok(Attachment { attached, output: Box::new(FakeViewerOutput(output)), input: Box::new(FakeViewerInput(input)) })
    }
}

/// A `Terminal` and its hive.
struct ViewerFixture {
    terminal: Terminal,
    hive: Arc<Scripted>,
    requests: mpsc::Receiver<AttachRequest>,
    ways: mpsc::Receiver<FarEnd>,
}

impl ViewerFixture {
    async fn open(first: Attached) -> (Self, FarEnd) {
        Self::open_as(ViewOptions::default(), first).await
    }

    async fn open_as(options: ViewOptions, first: Attached) -> (Self, FarEnd) {
        let (requests_in, requests) = mpsc::channel(64);
        let (ways_in, mut ways) = mpsc::channel(64);
        let answers = Mutex::new([Ok(first)].into());
        let hive = Arc::new(Scripted { answers, requests: requests_in, ways: ways_in });
        let terminal = Terminal::open(hive.clone(), session().id, options).await.unwrap();
        let state = ways.recv().await.unwrap();
        let mut world = Self { terminal, hive, requests, ways };
        world.requests.recv().await.unwrap();
        (world, state)
    }

    fn answer_next(&self, answer: AttachAnswer) {
        self.hive.answers.lock().unwrap().push_back(answer);
    }

    async fn next(&mut self) -> TerminalEvent {
        self.terminal.next().await.expect("the terminal is not over")
    }

    /// Returns the next action of the terminal. No event may occur meanwhile.
    async fn sent(&mut self, state: &mut FarEnd) -> ViewerAction {
        tokio::select! {
            sent = state.sent.recv() => sent.unwrap(),
            event = self.terminal.next() => panic!("{event:?}"),
        }
    }

    async fn come_back(&mut self) -> (FarEnd, TerminalEvent) {
        let event = loop {
            match self.next().await {
                TerminalEvent::Disconnected { .. } => {}
                event => break event,
            }
        };
        (self.ways.recv().await.unwrap(), event)
    }
}

fn output(offset: u64, text: &'static str) -> SessionEvent {
    SessionEvent::Output { offset, data: text.into() }
}

fn shown(end: u64, text: &'static str) -> TerminalEvent {
    TerminalEvent::Output { end, data: text.into() }
}

fn typed(offset: u64, text: &'static str) -> ViewerAction {
    ViewerAction::Input { offset, data: text.into() }
}

fn ended() -> SessionEnd {
    SessionEnd { reason: EndReason::Exited, exit_code: Some(3), error: None }
}

#[tokio::test(start_paused = true)]
async fn what_was_seen_and_typed_before_a_cut_goes_on_behind_it() {
    let (mut world, mut state) = ViewerFixture::open(attached(0, mine(0))).await;
    world.terminal.write("ls".into()).unwrap();
    assert_eq!(world.sent(&mut state).await, typed(0, "ls"));
    state.tell.send(output(0, "abc")).await.unwrap();
    assert_eq!(world.next().await, shown(3, "abc"));
    drop(state);
    assert!(matches!(world.next().await, TerminalEvent::Disconnected { .. }));
    assert!(world.terminal.is_disconnected());
    world.terminal.write("\n".into()).unwrap();

    world.answer_next(Ok(attached(2, mine(1))));
    let (mut state, event) = world.come_back().await;
    assert_eq!(event, TerminalEvent::Reconnected { lost_input: 0 });
    let request = world.requests.recv().await.unwrap();
    assert_eq!((request.viewer, request.output), (Some(ViewerId::new(SEED)), Some(3)));
    assert_eq!(world.sent(&mut state).await, typed(1, "s\n"));
    state.tell.send(output(2, "cde")).await.unwrap();
    assert_eq!(world.next().await, shown(5, "de"));
}

#[tokio::test(start_paused = true)]
async fn a_hive_that_stays_away_is_tried_again_and_again() {
    let (mut world, state) = ViewerFixture::open(attached(0, mine(0))).await;
    drop(state);
    for _ in 0..12 {
        let TerminalEvent::Disconnected { retry_in, .. } = world.next().await else { panic!("it came back") };
        assert!(retry_in <= Duration::from_secs(5));
    }
    world.answer_next(Ok(attached(0, mine(0))));
    assert_eq!(world.come_back().await.1, TerminalEvent::Reconnected { lost_input: 0 });
}

#[tokio::test(start_paused = true)]
async fn typing_does_not_hold_up_the_way_back() {
    let (mut world, state) = ViewerFixture::open(attached(0, mine(0))).await;
    drop(state);
    world.answer_next(Ok(attached(0, mine(0))));
    let mut typed = 0;
    while world.terminal.is_disconnected() || typed == 0 {
        // Each keystroke drops the future that waits, as a loop over keyboard and terminal does.
        drop(tokio::time::timeout(Duration::from_millis(1), world.terminal.next()).await);
        world.terminal.write("x".into()).unwrap();
        typed += 1;
        assert!(typed < 1000, "it never attaches");
    }
    let mut state = world.ways.recv().await.unwrap();
    let ViewerAction::Input { offset: 0, data } = world.sent(&mut state).await else { panic!("no input") };
    assert_eq!(data.len(), typed);
}

#[tokio::test(start_paused = true)]
async fn what_was_typed_while_another_took_the_keyboard_is_lost_and_counted() {
    let (mut world, state) = ViewerFixture::open(attached(0, mine(0))).await;
    drop(state);
    world.next().await;
    world.terminal.write("rm -r".into()).unwrap();
    world.answer_next(Ok(Attached { is_resumed: false, ..attached(0, others(0)) }));
    let (_way, event) = world.come_back().await;
    assert_eq!(event, TerminalEvent::Reconnected { lost_input: 5 });
    assert_eq!(world.next().await, TerminalEvent::Message(ToViewer::Control(others(0))));
    assert_eq!(world.terminal.room(), 0);
    assert!(matches!(world.terminal.write("x".into()), Err(Error::Conflict(text)) if text.contains("otto")));
}

#[tokio::test(start_paused = true)]
async fn what_changed_meanwhile_is_told_on_the_way_back() {
    let (mut world, state) = ViewerFixture::open(attached(0, mine(0))).await;
    drop(state);
    let size = Size { cols: 200, rows: 50 };
    let session = Session { online: false, size, ..session() };
    world.answer_next(Ok(Attached { session, modes: Some("\x1b[?25l".into()), ..attached(900, mine(0)) }));
    world.come_back().await;
    assert_eq!(world.next().await, TerminalEvent::Reset { modes: "\x1b[?25l".into() });
    assert_eq!(world.next().await, TerminalEvent::Message(ToViewer::Resized(size)));
    assert_eq!(world.next().await, TerminalEvent::Message(ToViewer::Link { online: false }));
    assert_eq!(world.terminal.session().size, size);
}

#[tokio::test(start_paused = true)]
async fn who_took_the_keyboard_does_not_take_it_again_by_coming_back() {
    let options = ViewOptions { mode: ViewMode::Take, size: None };
    let (mut world, state) = ViewerFixture::open_as(options, attached(0, mine(0))).await;
    world.terminal.resize(Size { cols: 10, rows: 10 });
    drop(state);
    world.answer_next(Ok(attached(0, others(0))));
    world.come_back().await;
    let request = world.requests.recv().await.unwrap();
    assert_eq!((request.mode, request.size), (ViewMode::Control, Some(Size { cols: 10, rows: 10 })));
}

#[tokio::test(start_paused = true)]
async fn gaps_and_resets_are_told() {
    let (mut world, state) = ViewerFixture::open(attached(0, mine(0))).await;
    let message = [ToViewer::Gap { from: 0, to: 10 }, ToViewer::Reset { output: 50, modes: "m".into() }];
    for message in message {
        state.tell.send(SessionEvent::Message(message)).await.unwrap();
    }
    state.tell.send(output(50, "abc")).await.unwrap();
    assert_eq!(world.next().await, TerminalEvent::Gap { from: 0, to: 10 });
    assert_eq!(world.next().await, TerminalEvent::Reset { modes: "m".into() });
    assert_eq!(world.next().await, shown(53, "abc"));
}

#[tokio::test(start_paused = true)]
async fn a_screen_seen_from_its_beginning_is_not_cleared() {
    let modes = |output, modes: &str| Attached { modes: Some(modes.into()), ..attached(output, mine(0)) };
    let (mut world, state) = ViewerFixture::open(modes(0, "")).await;
    state.tell.send(output(0, "$ ")).await.unwrap();
    assert_eq!(world.next().await, shown(2, "$ "));
    let (mut world, _way) = ViewerFixture::open(modes(700, "")).await;
    assert_eq!(world.next().await, TerminalEvent::Reset { modes: String::new() });
}

#[tokio::test(start_paused = true)]
async fn output_is_read_while_nobody_takes_what_is_said() {
    let (mut world, mut state) = ViewerFixture::open(attached(0, mine(0))).await;
    world.terminal.take_control();
    world.terminal.release_control();
    state.tell.send(output(0, "a")).await.unwrap();
    assert_eq!(world.next().await, shown(1, "a"));
    assert_eq!(world.sent(&mut state).await, ViewerAction::Message(FromViewer::TakeControl));
    assert_eq!(world.sent(&mut state).await, ViewerAction::Message(FromViewer::ReleaseControl));
}

#[tokio::test(start_paused = true)]
async fn what_is_shown_is_acknowledged_though_nothing_else_happens() {
    let (mut world, mut state) = ViewerFixture::open(attached(0, mine(0))).await;
    state.tell.send(output(0, "abc")).await.unwrap();
    world.next().await;
    world.terminal.ack(3);
    assert_eq!(world.sent(&mut state).await, ViewerAction::Message(FromViewer::Ack { offset: 3 }));
}

#[tokio::test(start_paused = true)]
async fn nothing_follows_the_end() {
    let (mut world, state) = ViewerFixture::open(attached(0, mine(0))).await;
    state.tell.send(SessionEvent::Message(ToViewer::Ended(ended()))).await.unwrap();
    assert_eq!(world.next().await, TerminalEvent::Ended(ended()));
    assert_eq!(world.terminal.next().await, None);
    assert_eq!(world.terminal.session().end, Some(ended()));
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_ended_meanwhile_has_its_end_even_if_nobody_tells() {
    let (mut world, state) = ViewerFixture::open(attached(0, mine(0))).await;
    drop(state);
    let session = Session { status: SessionStatus::Ended, end: Some(ended()), ..session() };
    world.answer_next(Ok(Attached { session, ..attached(0, mine(0)) }));
    drop(world.come_back().await);
    assert_eq!(world.next().await, TerminalEvent::Ended(ended()));
}

#[tokio::test(start_paused = true)]
async fn who_is_not_let_in_any_more_does_not_try_for_ever() {
    for refusal in [Error::AuthInvalid, Error::SessionNotFound("x".into()), Error::Forbidden("x".into())] {
        let (mut world, state) = ViewerFixture::open(attached(0, mine(0))).await;
        let code = refusal.code();
        drop(state);
        world.answer_next(Err(refusal));
        world.next().await;
        let event = world.next().await;
        assert!(matches!(&event, TerminalEvent::Refused(error) if error.code == code), "{event:?}");
        assert_eq!(world.terminal.next().await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_hive_says_last_is_the_cause() {
    let (mut world, state) = ViewerFixture::open(attached(0, mine(0))).await;
    let error = Error::unavailable("connection reset").to_wire();
    state.tell.send(SessionEvent::Message(ToViewer::Error { error })).await.unwrap();
    let event = world.next().await;
    assert!(matches!(&event, TerminalEvent::Disconnected { cause, .. } if cause == "connection reset"), "{event:?}");
}

#[tokio::test(start_paused = true)]
async fn who_leaves_says_what_it_typed_and_lets_the_keyboard_go() {
    let (mut world, mut state) = ViewerFixture::open(attached(0, mine(0))).await;
    world.terminal.write("exit\n".into()).unwrap();
    state.tell.send(output(0, "more to read")).await.unwrap();
    let listening = async { [state.sent.recv().await.unwrap(), state.sent.recv().await.unwrap()] };
    let ((), sent) = tokio::join!(world.terminal.leave(), listening);
    assert_eq!(sent, [typed(0, "exit\n"), ViewerAction::Message(FromViewer::ReleaseControl)]);
}
