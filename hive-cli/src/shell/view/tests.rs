use std::fs::File;
use std::sync::Mutex;

use async_trait::async_trait;
use hive_core::sessions::{Attachment, AttachmentInput, AttachmentOutput, SessionEvent, ViewerAction};
use hive_core::terminal::ViewOptions;
use hive_core::wire::api::{
    Actor, EndReason, Page, PageRequest, Session, SessionCreate, SessionEnd, SessionFilter, SessionSort, SessionStatus,
    Size,
};
use hive_core::wire::id::Seed;
use hive_core::wire::session::{AttachRequest, Attached, FromViewer, ViewMode};
use hive_core::wire::{SatelliteId, Timestamp, ViewerId};
use hive_core::{Error, Result, Subscription};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::pty::openpty;
use nix::sys::termios;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::*;

const SEED: Seed = Seed { unix_millis: 1, random: [0; 10] };
const TIMEOUT: Duration = Duration::from_secs(20);

/// A hive with one session. The test supplies its attachments.
struct FakeSessionManager {
    attachments: Mutex<mpsc::Receiver<Attachment>>,
    refused: Arc<Notify>,
    terminated: mpsc::Sender<()>,
}

#[async_trait]
impl SessionManager for FakeSessionManager {
    async fn create(&self, _: SessionCreate) -> Result<Session> {
        Ok(session())
    }
    async fn get(&self, _: SessionId) -> Result<Option<Session>> {
        Ok(Some(session()))
    }
    async fn list_page(&self, _: SessionFilter, _: PageRequest<SessionSort>) -> Result<Page<Session>> {
        Ok(Page::whole(vec![session()]))
    }
    async fn send_input(&self, _: SessionId, _: Bytes) -> Result<()> {
        Ok(())
    }
    async fn resize(&self, _: SessionId, _: Size) -> Result<()> {
        Ok(())
    }
    async fn terminate(&self, _: SessionId) -> Result<()> {
        self.terminated.send(()).await.map_err(Error::internal)
    }
    async fn subscribe(&self, _: SessionId) -> Result<Subscription<SessionEvent>> {
        Err(Error::Unavailable("a view attaches".into()))
    }
    async fn attach(&self, _: SessionId, _: AttachRequest) -> Result<Attachment> {
        let attachment = self.attachments.lock().unwrap().try_recv();
        attachment.map_err(|_| {
            self.refused.notify_one();
            Error::Unavailable("connection refused".into())
        })
    }
}

#[derive(Debug)]
struct FakeOutput(mpsc::Receiver<SessionEvent>);

#[async_trait]
impl AttachmentOutput for FakeOutput {
    async fn next(&mut self) -> Option<SessionEvent> {
        self.0.recv().await
    }
}

#[derive(Debug)]
struct FakeInput(mpsc::Sender<ViewerAction>);

#[async_trait]
impl AttachmentInput for FakeInput {
    async fn send(&mut self, action: ViewerAction) -> Result<()> {
        self.0.send(action).await.map_err(|_| Error::Unavailable("broken".into()))
    }
}

fn session() -> Session {
    Session {
        id: SessionId::new(SEED),
        satellite_id: SatelliteId::new(SEED),
        satellite_name: "web-server-01".to_owned().try_into().unwrap(),
        status: SessionStatus::Open,
        online: true,
        size: Size::default(),
        shell: None,
        created_by: Actor { kind: "user".into(), id: "usr_x".into(), name: "ann".into(), ip: None },
        created_at: Timestamp::from_micros(0),
        ended_at: None,
        end: None,
        viewers: 1,
    }
}

fn mine() -> Control {
    Control { is_mine: true, input: 0, holder: Some("me".into()) }
}

fn of_ann() -> Control {
    Control { is_mine: false, input: 0, holder: Some("ann".into()) }
}

/// The hive's side of one attachment, played by the test.
struct FakeAttachment {
    events: mpsc::Sender<SessionEvent>,
    actions: mpsc::Receiver<ViewerAction>,
}

impl FakeAttachment {
    async fn send(&self, message: ToViewer) {
        self.events.send(SessionEvent::Message(message)).await.unwrap();
    }

    async fn output(&self, offset: u64, data: impl Into<Bytes>) {
        self.events.send(SessionEvent::Output { offset, data: data.into() }).await.unwrap();
    }

    /// Waits for the next action of the viewer; acknowledgements are left out.
    async fn next_action(&mut self) -> ViewerAction {
        loop {
            let action = timeout(TIMEOUT, self.actions.recv()).await.expect("an action comes").expect("it is attached");
            // When output is acknowledged depends on the speed of the display.
            if !matches!(action, ViewerAction::Message(FromViewer::Ack { .. })) {
                return action;
            }
        }
    }

    async fn until_acked(&mut self, offset: u64) {
        let acked =
            async { while self.actions.recv().await != Some(ViewerAction::Message(FromViewer::Ack { offset })) {} };
        timeout(TIMEOUT, acked).await.expect("the output is acknowledged");
    }
}

/// A view of a session on a pseudo-terminal.
struct ViewFixture {
    attach: mpsc::Sender<Attachment>,
    /// Notified of each attempt to reconnect that was refused.
    refused: Arc<Notify>,
    terminated: mpsc::Receiver<()>,
    keys: pipe::Sender,
    display: pipe::Receiver,
    seen: String,
    view: JoinHandle<crate::error::Result<ViewOutcome>>,
}

impl ViewFixture {
    async fn start(mode: ViewMode, control: Control) -> (Self, FakeAttachment) {
        let (attachment, hive) = attachment(control, 0, false);
        (Self::show(mode, attachment).await, hive)
    }

    async fn show(mode: ViewMode, attachment: Attachment) -> Self {
        Self::show_with(mode, attachment, None).await
    }

    /// In front of a keyboard that is a file.
    async fn reading(file: &'static [u8]) -> (Self, FakeAttachment) {
        let (attachment, hive) = attachment(mine(), 0, false);
        (Self::show_with(ViewMode::Control, attachment, Some(file)).await, hive)
    }

    async fn show_with(mode: ViewMode, attachment: Attachment, file: Option<&'static [u8]>) -> Self {
        let (attach, attachments) = mpsc::channel(1);
        let (terminate, terminated) = mpsc::channel(1);
        let refused = Arc::new(Notify::new());
        let hive = Arc::new(FakeSessionManager {
            attachments: Mutex::new(attachments),
            refused: refused.clone(),
            terminated: terminate,
        });
        attach.send(attachment).await.unwrap();
        let is_read_only = mode == ViewMode::ReadOnly;
        let options = ViewOptions { mode, size: None };
        let terminal = Terminal::open(hive.clone(), session().id, options).await.unwrap();
        let (user, own) = raw_terminal();
        let parts = ViewParts {
            hive,
            terminal,
            input: file.map_or_else(|| KeyInput::terminal(user.try_clone().unwrap()).unwrap(), KeyInput::read_from),
            screen: ScreenWriter::terminal(user).unwrap(),
            signals: Signals::listen().unwrap(),
            is_read_only,
            on_input_end: OnInputEnd::EndSession,
        };
        let view = TaskTracker::new().spawn(TerminalView::new(parts).run());
        let keys = pipe::Sender::from_file_unchecked(own.try_clone().unwrap()).unwrap();
        let display = pipe::Receiver::from_file_unchecked(own).unwrap();
        Self { attach, refused, terminated, keys, display, seen: String::new(), view }
    }

    async fn attach_again(&self, control: Control, output: u64) -> FakeAttachment {
        let (attachment, hive) = attachment(control, output, true);
        self.attach.send(attachment).await.unwrap();
        hive
    }

    async fn type_keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).await.unwrap();
    }

    /// Waits until this was written to the terminal.
    async fn until_seen(&mut self, text: &str) {
        let mut buffer = vec![0; 64 * 1024];
        while !self.seen.contains(text) {
            let read = timeout(TIMEOUT, self.display.read(&mut buffer)).await;
            let read = read.unwrap_or_else(|_| panic!("{text:?} is not in {:?}", self.seen)).unwrap();
            // What was seen is kept, so that a text may come in several pieces.
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    }

    async fn outcome(self) -> ViewOutcome {
        timeout(TIMEOUT, self.view).await.expect("the view ends").unwrap().unwrap()
    }
}

fn attachment(control: Control, output: u64, is_resumed: bool) -> (Attachment, FakeAttachment) {
    // One place: the fake hive goes on when the view has taken the event before.
    let (events, incoming) = mpsc::channel(1);
    let (outgoing, actions) = mpsc::channel(64);
    let attached =
        Attached { session: session(), viewer: ViewerId::new(SEED), output, modes: None, control, is_resumed };
    let attachment =
        Attachment { attached, output: Box::new(FakeOutput(incoming)), input: Box::new(FakeInput(outgoing)) };
    (attachment, FakeAttachment { events, actions })
}

/// A terminal in raw mode: the program's side and the user's.
fn raw_terminal() -> (File, File) {
    let pty = openpty(None, None).unwrap();
    let mut raw = termios::tcgetattr(&pty.slave).unwrap();
    // Else the terminal would echo the keys into what the view shows.
    termios::cfmakeraw(&mut raw);
    termios::tcsetattr(&pty.slave, termios::SetArg::TCSANOW, &raw).unwrap();
    for side in [&pty.slave, &pty.master] {
        // Both ends are read and written by tokio.
        fcntl(side, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    }
    (pty.slave.into(), pty.master.into())
}

fn typed(offset: u64, keys: &'static str) -> ViewerAction {
    ViewerAction::Input { offset, data: Bytes::from_static(keys.as_bytes()) }
}

#[tokio::test]
async fn keys_go_out_and_output_comes_in() {
    let (mut fixture, mut hive) = ViewFixture::start(ViewMode::Control, mine()).await;
    fixture.type_keys("ls\r").await;
    assert_eq!(hive.next_action().await, typed(0, "ls\r"));
    hive.output(0, "a file\r\n").await;
    fixture.until_seen("a file\r\n").await;
    hive.until_acked(8).await;
    hive.send(ToViewer::Applied { offset: 3 }).await;
    fixture.type_keys("~.").await;
    assert!(matches!(fixture.outcome().await, ViewOutcome::Detached));
}

#[tokio::test]
async fn a_file_that_is_typed_ends_the_session_with_its_end() {
    let (fixture, mut hive) = ViewFixture::reading(b"uptime\n").await;
    assert_eq!(hive.next_action().await, typed(0, "uptime\n"));
    hive.send(ToViewer::Applied { offset: 7 }).await;
    assert_eq!(hive.next_action().await, typed(7, "\x04"));
    hive.send(ToViewer::Applied { offset: 8 }).await;
    // Whoever read then was another program: the shell reads now.
    assert_eq!(hive.next_action().await, typed(8, "\x04"));
    hive.send(ToViewer::Ended(SessionEnd { reason: EndReason::Exited, exit_code: Some(0), error: None })).await;
    assert!(matches!(fixture.outcome().await, ViewOutcome::Ended(_)));
}

#[tokio::test]
async fn leaving_sends_all_input_and_releases_the_keyboard() {
    let (mut fixture, mut hive) = ViewFixture::start(ViewMode::Control, mine()).await;
    fixture.type_keys("make\r~.").await;
    assert_eq!(hive.next_action().await, typed(0, "make\r"));
    assert_eq!(hive.next_action().await, ViewerAction::Message(FromViewer::ReleaseControl));
    assert!(!fixture.view.is_finished());
    hive.send(ToViewer::Control(Control { holder: None, ..of_ann() })).await;
    assert!(matches!(fixture.outcome().await, ViewOutcome::Detached));
}

#[tokio::test]
async fn more_is_typed_when_the_satellite_has_what_was() {
    let (mut fixture, mut hive) = ViewFixture::start(ViewMode::Control, mine()).await;
    let (pasted, mut arrived) = (vec![b'x'; 200 * 1024], 0);
    let pasting = async { fixture.keys.write_all(&pasted).await.unwrap() };
    let reading = async {
        while arrived < pasted.len() as u64 {
            let ViewerAction::Input { offset, data } = hive.next_action().await else { continue };
            assert_eq!(offset, arrived);
            arrived += data.len() as u64;
            hive.send(ToViewer::Applied { offset: arrived }).await;
        }
    };
    timeout(TIMEOUT, async { tokio::join!(pasting, reading) }).await.expect("all of it arrives");
}

#[tokio::test]
async fn a_screen_that_reads_nothing_stops_no_key() {
    let (mut fixture, mut hive) = ViewFixture::start(ViewMode::Control, mine()).await;
    for piece in 0..8 {
        hive.output(piece * 65536, vec![b'x'; 65536]).await;
    }
    fixture.type_keys("\x03").await;
    assert_eq!(hive.next_action().await, typed(0, "\x03"));
    hive.send(ToViewer::Applied { offset: 1 }).await;
    fixture.type_keys("\r~.").await;
    assert_eq!(hive.next_action().await, typed(1, "\r"));
    hive.send(ToViewer::Applied { offset: 2 }).await;
    assert!(matches!(fixture.outcome().await, ViewOutcome::Detached));
}

#[tokio::test]
async fn a_reader_s_screen_that_reads_nothing_takes_no_more() {
    let (fixture, hive) = ViewFixture::start(ViewMode::ReadOnly, of_ann()).await;
    let flood = async {
        for piece in 0..64 {
            hive.output(piece * 65536, vec![b'x'; 65536]).await;
        }
    };
    assert!(timeout(Duration::from_millis(300), flood).await.is_err());
    drop(fixture);
}

#[tokio::test]
async fn a_broken_connection_is_noted_once_and_the_session_goes_on() {
    let (mut fixture, hive) = ViewFixture::start(ViewMode::Control, mine()).await;
    hive.output(0, "before").await;
    fixture.until_seen("before").await;
    drop(hive);
    fixture.until_seen("[hive: the link to the hive broke (").await;
    fixture.type_keys("x").await;
    fixture.refused.notified().await;
    fixture.refused.notified().await;
    let mut hive = fixture.attach_again(mine(), 6).await;
    fixture.until_seen("[hive: attached again]").await;
    assert_eq!(hive.next_action().await, typed(0, "x"));
    hive.output(6, "behind").await;
    fixture.until_seen("behind").await;
    assert_eq!(fixture.seen.matches("the link to the hive broke").count(), 1, "{}", fixture.seen);
}

#[tokio::test]
async fn one_may_leave_while_the_link_is_broken() {
    let (mut fixture, hive) = ViewFixture::start(ViewMode::Control, mine()).await;
    drop(hive);
    fixture.until_seen("the link to the hive broke").await;
    fixture.type_keys("unsent\r~.").await;
    assert!(matches!(fixture.outcome().await, ViewOutcome::Detached));
}

#[tokio::test]
async fn a_viewer_without_the_keyboard_is_told_so_once() {
    let (mut fixture, mut hive) = ViewFixture::start(ViewMode::Control, of_ann()).await;
    fixture.until_seen("[hive: ann has the keyboard; ~R asks for it, ~T takes it]").await;
    fixture.type_keys("abc").await;
    fixture.until_seen("\x07").await;
    fixture.type_keys("def\r").await;
    fixture.type_keys("~T").await;
    assert_eq!(hive.next_action().await, ViewerAction::Message(FromViewer::TakeControl));
    hive.send(ToViewer::Control(mine())).await;
    fixture.until_seen("[hive: you have the keyboard]").await;
    assert_eq!(fixture.seen.matches("ann has the keyboard").count(), 2, "{}", fixture.seen);
    fixture.type_keys("now").await;
    assert_eq!(hive.next_action().await, typed(0, "now"));
}

#[tokio::test]
async fn the_first_notice_comes_after_the_reset() {
    let (mut attachment, hive) = attachment(of_ann(), 5000, false);
    attachment.attached.modes = Some("\x1b[?7l".into());
    let mut fixture = ViewFixture::show(ViewMode::Control, attachment).await;
    hive.output(5000, "$ ").await;
    fixture.until_seen("\x1bc\x1b[?7l\r\n\x1b[2m[hive: ann has").await;
}

#[tokio::test]
async fn a_reader_never_types() {
    let (mut fixture, mut hive) = ViewFixture::start(ViewMode::ReadOnly, of_ann()).await;
    fixture.type_keys("rm\r~T~R").await;
    fixture.until_seen("\x07").await;
    fixture.type_keys("\r~K").await;
    timeout(TIMEOUT, fixture.terminated.recv()).await.unwrap().unwrap();
    hive.send(ToViewer::Ended(ended())).await;
    assert!(matches!(fixture.outcome().await, ViewOutcome::Ended(_)));
    assert_eq!(hive.actions.try_recv().ok(), None);
}

#[tokio::test]
async fn the_keyboard_goes_to_who_asked() {
    let (mut fixture, mut hive) = ViewFixture::start(ViewMode::Control, mine()).await;
    fixture.type_keys("~G").await;
    fixture.until_seen("[hive: nobody has asked for the keyboard]").await;
    hive.send(ToViewer::ControlRequested { by: 7, name: "ann\u{1b}[2J".into() }).await;
    fixture.until_seen("[hive: ann\\u{1b}[2J asks for the keyboard; ~G gives it]").await;
    fixture.type_keys("~G").await;
    assert_eq!(hive.next_action().await, ViewerAction::Message(FromViewer::GrantControl { to: 7 }));
    hive.send(ToViewer::Control(of_ann())).await;
    fixture.until_seen("[hive: ann has the keyboard").await;
}

#[tokio::test]
async fn the_end_comes_behind_all_output() {
    let (mut fixture, hive) = ViewFixture::start(ViewMode::Control, mine()).await;
    for piece in 0..8 {
        hive.output(piece * 65536, vec![b'x'; 65536]).await;
    }
    hive.output(8 * 65536, "the last words").await;
    hive.send(ToViewer::Ended(ended())).await;
    fixture.until_seen("the last words").await;
    let ViewOutcome::Ended(end) = fixture.outcome().await else { panic!("it has not ended") };
    assert_eq!(end.exit_code, Some(3));
}

#[tokio::test]
async fn missing_output_is_noted() {
    let (mut fixture, hive) = ViewFixture::start(ViewMode::Control, mine()).await;
    hive.send(ToViewer::Gap { from: 0, to: 1000 }).await;
    fixture.until_seen("[hive: 1000 bytes of output were lost]").await;
    hive.send(ToViewer::Reset { output: 2000, modes: "\x1b[?7l".into() }).await;
    hive.output(2000, "fresh").await;
    fixture.until_seen("\x1bc\x1b[?7lfresh").await;
}

#[tokio::test]
async fn the_state_of_the_satellite_s_link_is_noted() {
    let (mut fixture, hive) = ViewFixture::start(ViewMode::Control, mine()).await;
    hive.send(ToViewer::Link { online: false }).await;
    fixture.until_seen("[hive: web-server-01 lost its link to the hive; the session waits there]").await;
    hive.send(ToViewer::Link { online: true }).await;
    fixture.until_seen("[hive: web-server-01 is linked again]").await;
}

#[tokio::test]
async fn a_refused_viewer_learns_why() {
    let (fixture, hive) = ViewFixture::start(ViewMode::Control, mine()).await;
    let error = Error::AuthInvalid.to_wire();
    hive.send(ToViewer::Error { error: error.clone() }).await;
    let ViewOutcome::Refused(told) = fixture.outcome().await else { panic!("it was let in") };
    assert_eq!(told.message, error.message);
}

#[tokio::test]
async fn a_terminal_that_is_gone_has_hung_up() {
    let (ViewFixture { keys, display, view, .. }, _hive) = ViewFixture::start(ViewMode::Control, mine()).await;
    drop((keys, display));
    let left = timeout(TIMEOUT, view).await.expect("the view ends").unwrap().unwrap();
    assert!(matches!(left, ViewOutcome::Signal(1)), "{left:?}");
}

fn ended() -> SessionEnd {
    SessionEnd { reason: EndReason::Exited, exit_code: Some(3), error: None }
}
