//! Who looks at a terminal: over a socket of their own, and over a remote hive.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hive_core::hive::Settings;
use hive_core::session::{Terminal, TerminalEvent, ViewOptions};
use hive_core::wire::api::EndReason;
use hive_core::wire::frame::Frame;
use hive_core::wire::session::{
    AttachRequest, Attached, FromViewer, INPUT_WINDOW, STREAM, SUBPROTOCOL, ToViewer, ViewMode,
};
use hive_core::wire::{SessionId, id};
use hive_core::{Error, RemoteHive, SessionManager};
use hive_server::Limits;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::harness::TestServer;
use super::shell::{Got, Shell};

const PATIENCE: Duration = Duration::from_secs(10);

/// A viewer who says what a test says.
struct Viewer {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// What a viewer gets.
#[derive(Debug, PartialEq)]
enum Seen {
    Told(ToViewer),
    Output(u64, Bytes),
    Closed(u16),
}

impl Viewer {
    async fn connect(server: &TestServer, key: &str, path: &str) -> Result<Self, tungstenite::Error> {
        Self::connect_with(server, &[("x-api-key", key), ("sec-websocket-protocol", SUBPROTOCOL)], path).await
    }

    async fn connect_with(
        server: &TestServer,
        headers: &[(&'static str, &str)],
        path: &str,
    ) -> Result<Self, tungstenite::Error> {
        let mut request = format!("ws://{}{path}", server.address).into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (socket, _) = connect_async(request).await?;
        Ok(Self { socket })
    }

    async fn attach(server: &TestServer, key: &str, shell: &Shell, request: AttachRequest) -> (Self, Attached) {
        let mut viewer = Self::connect(server, key, &shell.path("/attach")).await.unwrap();
        viewer.say(&FromViewer::Attach(request)).await;
        match viewer.next().await {
            Seen::Told(ToViewer::Attached(attached)) => (viewer, *attached),
            other => panic!("not let in: {other:?}"),
        }
    }

    async fn say(&mut self, word: &FromViewer) {
        self.send(Message::text(serde_json::to_string(word).unwrap())).await;
    }

    async fn type_at(&mut self, offset: u64, text: &str) {
        let frame = Frame::data(STREAM, offset, text.as_bytes().to_vec().into(), false);
        self.send(Message::Binary(frame.encode())).await;
    }

    async fn send(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    async fn next(&mut self) -> Seen {
        loop {
            let next = timeout(PATIENCE, self.socket.next()).await.expect("the server says something within 10 s");
            match next.expect("the socket is open").unwrap() {
                Message::Text(text) => return Seen::Told(serde_json::from_str(&text).unwrap()),
                Message::Binary(bytes) => {
                    let frame = Frame::decode(bytes).unwrap();
                    assert_eq!(frame.stream, STREAM);
                    return Seen::Output(frame.offset, frame.payload);
                }
                Message::Close(frame) => return Seen::Closed(frame.expect("a reason is told").code.into()),
                _ => {}
            }
        }
    }

    /// The code of the close frame, whatever comes before it.
    async fn close_code(&mut self) -> u16 {
        loop {
            if let Seen::Closed(code) = self.next().await {
                return code;
            }
        }
    }
}

fn status<T>(outcome: Result<T, tungstenite::Error>) -> u16 {
    match outcome {
        Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("no HTTP answer: {other:?}"),
        Ok(_) => panic!("the socket was opened"),
    }
}

fn looking() -> AttachRequest {
    AttachRequest { mode: ViewMode::ReadOnly, ..AttachRequest::default() }
}

#[tokio::test]
async fn output_and_input_pass_both_ways_until_the_end() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let mut shell = Shell::open(&server, &key).await;
    let (mut viewer, attached) = Viewer::attach(&server, &key, &shell, AttachRequest::default()).await;
    assert!(attached.control.is_mine && attached.output == 0, "{attached:?}");
    viewer.type_at(0, "ls\n").await;
    assert_eq!(shell.read(3).await, "ls\n");
    shell.print(b"readme\n").await;
    let mut seen = viewer.next().await;
    while matches!(seen, Seen::Told(ToViewer::Applied { .. })) {
        seen = viewer.next().await;
    }
    assert_eq!(seen, Seen::Output(0, "readme\n".into()));
    shell.exit(3).await;
    let end = loop {
        if let Seen::Told(ToViewer::Ended(end)) = viewer.next().await {
            break end;
        }
    };
    assert_eq!((end.reason, end.exit_code), (EndReason::Exited, Some(3)));
    assert_eq!(viewer.close_code().await, 1000);
}

#[tokio::test]
async fn a_viewer_is_told_whose_the_keyboard_is() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let mut shell = Shell::open(&server, &key).await;
    let (mut first, _) = Viewer::attach(&server, &key, &shell, AttachRequest::default()).await;
    let (mut second, attached) = Viewer::attach(&server, &key, &shell, AttachRequest::default()).await;
    assert!(!attached.control.is_mine && attached.control.holder.is_some(), "{attached:?}");
    server.post(&key, &shell.path("/input"), json!({ "data": "bHMK" })).await.assert_error(409, "CONFLICT");
    second.type_at(0, "not mine").await;
    second.say(&FromViewer::TakeControl).await;
    let lost = loop {
        if let Seen::Told(ToViewer::Control(control)) = first.next().await {
            break control;
        }
    };
    assert!(!lost.is_mine, "{lost:?}");
    second.type_at(0, "mine").await;
    assert_eq!(shell.read(4).await, "mine");
}

#[tokio::test]
async fn who_may_not_look_is_told_before_the_upgrade() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let shell = Shell::open(&server, &key).await;
    let path = shell.path("/attach");
    let check = async |headers: &[(&'static str, &str)], expected: u16| {
        assert_eq!(status(Viewer::connect_with(&server, headers, &path).await), expected, "{headers:?}");
    };
    let (key, protocol) = (("x-api-key", key.as_str()), ("sec-websocket-protocol", SUBPROTOCOL));
    check(&[protocol], 401).await;
    check(&[("x-api-key", "hive_key_wrong"), protocol], 401).await;
    check(&[key], 426).await;
    check(&[key, ("sec-websocket-protocol", "hive.ui.v2")], 426).await;
    check(&[key, protocol, ("origin", "https://evil.example.com")], 403).await;
    let origin = format!("http://{}", server.address);
    let page = Viewer::connect_with(&server, &[key, protocol, ("origin", &origin)], &path).await;
    assert!(page.is_ok(), "a page of the server itself may");
}

#[tokio::test]
async fn what_is_not_the_protocol_ends_the_socket() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let shell = Shell::open(&server, &key).await;
    let attach = || Message::text(r#"{"type":"attach"}"#);
    let other_stream = Frame::data(hive_core::wire::frame::StreamId(2), 0, "x".into(), false).encode();
    for first in [Message::text("garbage"), Message::text(r#"{"type":"take_control"}"#), Message::binary(vec![1, 2, 3])]
    {
        let mut viewer = Viewer::connect(&server, &key, &shell.path("/attach")).await.unwrap();
        viewer.send(first.clone()).await;
        let told = viewer.next().await;
        assert!(matches!(told, Seen::Told(ToViewer::Error { .. })), "{first:?}: {told:?}");
        assert_eq!(viewer.close_code().await, 4400, "{first:?}");
    }
    for garbage in [Message::text("garbage"), Message::binary(vec![1, 2, 3]), Message::Binary(other_stream), attach()] {
        let (mut viewer, _) = Viewer::attach(&server, &key, &shell, looking()).await;
        viewer.send(garbage.clone()).await;
        assert_eq!(viewer.close_code().await, 4400, "{garbage:?}");
    }
    let (mut viewer, _) = Viewer::attach(&server, &key, &shell, looking()).await;
    viewer.send(Message::text(r#"{"type":"from_the_future"}"#)).await;
    viewer.say(&FromViewer::Ack { offset: 0 }).await;
    viewer.send(Message::binary(vec![0; 200_000])).await;
    assert_eq!(viewer.close_code().await, 4400, "a message larger than allowed");
}

#[tokio::test]
async fn a_silent_stranger_is_sent_away() {
    let limits = Limits { handshake_timeout: Duration::from_millis(50), ..Limits::default() };
    let server = TestServer::with(limits, Settings::default()).await;
    let key = server.admin().await;
    let shell = Shell::open(&server, &key).await;
    let mut viewer = Viewer::connect(&server, &key, &shell.path("/attach")).await.unwrap();
    assert_eq!(viewer.close_code().await, 4408);
}

#[tokio::test]
async fn a_viewer_that_is_not_there_any_more_is_let_go() {
    let limits = Limits { viewer_ping: Duration::from_millis(50), ..Limits::default() };
    let server = TestServer::with(limits, Settings::default()).await;
    let key = server.admin().await;
    let shell = Shell::open(&server, &key).await;
    let (_silent, _) = Viewer::attach(&server, &key, &shell, looking()).await;
    let (mut there, _) = Viewer::attach(&server, &key, &shell, looking()).await;
    let look = async { while viewers(&server, &key, &shell).await != 1 {} };
    tokio::select! {
        () = look => {}
        seen = there.next() => panic!("who answers is let go: {seen:?}"),
        () = tokio::time::sleep(PATIENCE) => panic!("who does not answer stays"),
    }
}

async fn viewers(server: &TestServer, key: &str, shell: &Shell) -> u64 {
    tokio::time::sleep(Duration::from_millis(10)).await;
    server.get(key, &shell.path("")).await.json()["data"]["viewers"].as_u64().unwrap()
}

#[tokio::test]
async fn a_viewer_that_does_not_read_is_still_heard() {
    let settings = Settings { claim_stall: Duration::from_millis(200), ..Settings::default() };
    let server = TestServer::with(Limits::default(), settings).await;
    let key = server.admin().await;
    let mut shell = Shell::open(&server, &key).await;
    let (mut viewer, _) = Viewer::attach(&server, &key, &shell, AttachRequest::default()).await;
    // More than the buffers of two sockets hold: the server cannot write any more.
    let screen = vec![b'x'; 32 * 1024];
    for _ in 0..512 {
        shell.print(&screen).await;
    }
    viewer.type_at(0, "\x03").await;
    let heard = timeout(Duration::from_secs(2), shell.read(1)).await;
    assert_eq!(heard.expect("it is heard at once"), "\x03");
    // And it comes back to what there is.
    shell.print(b"prompt").await;
    let end = 512 * 32 * 1024 + 6;
    let mut position = 0;
    while position < end {
        match viewer.next().await {
            Seen::Output(offset, data) => {
                assert_eq!(offset, position, "a byte is left out and nobody says so");
                position += data.len() as u64;
            }
            Seen::Told(ToViewer::Gap { from, to }) => {
                assert_eq!(from, position);
                position = to;
            }
            Seen::Told(ToViewer::Reset { output, .. }) => position = output,
            Seen::Told(_) => {}
            Seen::Closed(code) => panic!("closed with {code}"),
        }
    }
    assert_eq!(position, end);
}

#[tokio::test]
async fn a_stopping_server_asks_its_viewers_to_come_back() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let shell = Shell::open(&server, &key).await;
    let (mut viewer, _) = Viewer::attach(&server, &key, &shell, AttachRequest::default()).await;
    let mut stranger = Viewer::connect(&server, &key, &shell.path("/attach")).await.unwrap();
    server.stop.cancel();
    assert_eq!(viewer.close_code().await, 1001);
    assert_eq!(stranger.close_code().await, 1001);
    drop((viewer, stranger, shell));
    timeout(Duration::from_secs(5), server.running.wait()).await.expect("the server stops within 5 s");
}

/// Passes connections on to a server until it is told to cut them.
struct Cutter {
    url: String,
    cut: tokio::sync::watch::Sender<CancellationToken>,
    _tasks: TaskTracker,
}

impl Cutter {
    async fn before(server: &TestServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (cut, now) = tokio::sync::watch::channel(CancellationToken::new());
        let (tasks, target) = (TaskTracker::new(), server.address);
        let connections = tasks.clone();
        tasks.spawn(async move {
            while let Ok((mut here, _)) = listener.accept().await {
                let cut = now.borrow().clone();
                connections.spawn(cut.run_until_cancelled_owned(async move {
                    let mut there = TcpStream::connect(target).await.unwrap();
                    drop(tokio::io::copy_bidirectional(&mut here, &mut there).await);
                }));
            }
        });
        Self { url, cut, _tasks: tasks }
    }

    fn cut(&self) {
        self.cut.send_replace(CancellationToken::new()).cancel();
    }
}

async fn next(terminal: &mut Terminal) -> TerminalEvent {
    timeout(PATIENCE, terminal.next()).await.expect("something happens within 10 s").expect("it is not over")
}

#[tokio::test]
async fn a_terminal_of_a_remote_hive_goes_on_behind_every_cut() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let mut shell = Shell::open(&server, &key).await;
    let cutter = Cutter::before(&server).await;
    let hive = Arc::new(RemoteHive::connect(&cutter.url, key.into()).unwrap());
    let mut terminal = Terminal::open(hive, shell.id, ViewOptions::default()).await.unwrap();
    let (mut printed, mut seen) = (Vec::new(), Vec::new());
    for round in 0..20u8 {
        let text = format!("{round:03}");
        terminal.write(text.clone().into()).unwrap();
        if round % 3 == 0 {
            cutter.cut();
        }
        let typed = async {
            loop {
                match next(&mut terminal).await {
                    TerminalEvent::Output { data, end } => {
                        seen.extend_from_slice(&data);
                        terminal.ack(end);
                    }
                    TerminalEvent::Back { lost_input } => assert_eq!(lost_input, 0),
                    TerminalEvent::Gap { .. } | TerminalEvent::Reset { .. } => panic!("nothing is lost"),
                    _ => {}
                }
            }
        };
        let heard = tokio::select! {
            heard = shell.read(3) => heard,
            () = typed => unreachable!("it reads for ever"),
        };
        assert_eq!(heard, text, "once and in order");
        let line = [b'a' + round; 5000];
        printed.extend_from_slice(&line);
        shell.print(&line).await;
        if round % 3 == 1 {
            cutter.cut();
        }
    }
    shell.exit(7).await;
    let end = loop {
        match next(&mut terminal).await {
            TerminalEvent::Output { data, .. } => seen.extend_from_slice(&data),
            TerminalEvent::Ended(end) => break end,
            _ => {}
        }
    };
    assert_eq!(end.exit_code, Some(7));
    assert!(seen == printed, "{} of {} bytes", seen.len(), printed.len());
}

#[tokio::test]
async fn a_terminal_of_this_process_is_used_as_a_remote_one() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let mut shell = Shell::open(&server, &key).await;
    let hive = Arc::new(server.hive.as_system());
    let mut terminal = Terminal::open(hive, shell.id, ViewOptions::default()).await.unwrap();
    terminal.write("ls\n".into()).unwrap();
    tokio::select! {
        typed = shell.read(3) => assert_eq!(typed, "ls\n"),
        event = next(&mut terminal) => panic!("{event:?}"),
    }
    shell.print(b"readme").await;
    assert_eq!(next(&mut terminal).await, TerminalEvent::Output { end: 6, data: "readme".into() });
}

#[tokio::test]
async fn what_was_typed_during_a_cut_makes_room_again() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let mut shell = Shell::open(&server, &key).await;
    let cutter = Cutter::before(&server).await;
    let hive = Arc::new(RemoteHive::connect(&cutter.url, key.into()).unwrap());
    let mut terminal = Terminal::open(hive, shell.id, ViewOptions::default()).await.unwrap();
    let window = vec![b'x'; INPUT_WINDOW as usize];
    terminal.write(window.clone().into()).unwrap();
    tokio::select! {
        _ = shell.take(window.len()) => {}
        event = next(&mut terminal) => panic!("{event:?}"),
    }
    cutter.cut();
    assert!(matches!(next(&mut terminal).await, TerminalEvent::Away { .. }));
    shell.apply().await;
    let room = async {
        while terminal.room() < window.len() {
            // Room is made without a word.
            drop(timeout(Duration::from_millis(10), terminal.next()).await);
        }
    };
    timeout(PATIENCE, room).await.expect("there is room again");
}

#[tokio::test]
async fn a_remote_hive_refuses_as_a_local_one() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let url = format!("http://{}", server.address);
    let hive = RemoteHive::connect(&url, key.into()).unwrap();
    let unknown = SessionId::new(id::Seed { unix_millis: 1, random: [1; 10] });
    let refused = hive.session_attach(unknown, AttachRequest::default()).await.unwrap_err();
    assert!(matches!(&refused, Error::SessionNotFound(id) if *id == unknown.to_string()), "{refused:?}");
    assert!(hive.session_get(unknown).await.unwrap().is_none());
    let stranger = RemoteHive::connect(&url, "hive_key_wrong".to_owned().into()).unwrap();
    let refused = stranger.session_attach(unknown, AttachRequest::default()).await.unwrap_err();
    assert!(matches!(refused, Error::AuthInvalid), "{refused:?}");
    let nobody = RemoteHive::connect("http://127.0.0.1:1", "hive_key_wrong".to_owned().into()).unwrap();
    let refused = nobody.session_attach(unknown, AttachRequest::default()).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable(_)), "{refused:?}");
}

#[tokio::test]
async fn who_leaves_a_remote_terminal_lets_the_keyboard_go() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let mut shell = Shell::open(&server, &key).await;
    let hive = RemoteHive::connect(&format!("http://{}", server.address), key.clone().into()).unwrap();
    let hive: Arc<dyn SessionManager> = Arc::new(hive);
    let mut terminal = Terminal::open(hive.clone(), shell.id, ViewOptions::default()).await.unwrap();
    terminal.write("bye".into()).unwrap();
    terminal.leave().await;
    assert_eq!(shell.read(3).await, "bye");
    while viewers(&server, &key, &shell).await != 0 {}
    let typing = hive.session_input(shell.id, "ls\n".into());
    let (typed, heard) = tokio::join!(typing, shell.read(3));
    typed.unwrap();
    assert_eq!(heard, "ls\n");
}

#[tokio::test]
async fn a_remote_hive_opens_sizes_and_ends_terminals() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let mut shell = Shell::open(&server, &key).await;
    let hive = RemoteHive::connect(&format!("http://{}", server.address), key.into()).unwrap();
    let sessions = hive.session_list(hive_core::wire::api::SessionFilter::default()).await.unwrap();
    assert_eq!(sessions.len(), 1);
    let id = sessions[0].id;
    hive.session_resize(id, hive_core::wire::api::Size { cols: 10, rows: 5 }).await.unwrap();
    assert!(matches!(shell.next().await, Got::Told(hive_core::wire::agent::ToAgent::PtyResize { .. })));
    let (ended, ()) = tokio::join!(hive.session_terminate(id), shell.exit(0));
    ended.unwrap();
    assert!(hive.session_get(id).await.unwrap().unwrap().ended_at.is_some());
}
