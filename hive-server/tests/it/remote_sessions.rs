//! Sessions through `RemoteHive`.

use std::time::Duration;

use hive_core::terminal::{Terminal, TerminalEvent, ViewOptions};
use hive_core::wire::session::{AttachRequest, INPUT_WINDOW};
use hive_core::wire::{SessionId, id};
use hive_core::{Error, RemoteHive};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::harness::TestServer;
use super::harness::session::FakeSession;
use super::harness::viewer::{TIMEOUT, viewer_count};

/// Forwards connections to a server until a test cuts them.
struct CuttableProxy {
    url: String,
    cut: tokio::sync::watch::Sender<CancellationToken>,
    _tasks: TaskTracker,
}

impl CuttableProxy {
    async fn start(server: &TestServer) -> Self {
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
    timeout(TIMEOUT, terminal.next()).await.expect("an event arrives within 10 s").expect("the terminal is open")
}

#[tokio::test]
async fn a_remote_terminal_survives_every_disconnect() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let mut session = FakeSession::open(&server, &key).await;
    let proxy = CuttableProxy::start(&server).await;
    let hive = RemoteHive::connect(&proxy.url, key.into()).unwrap().sessions();
    let mut terminal = Terminal::open(hive, session.id, ViewOptions::default()).await.unwrap();
    let (mut printed, mut seen) = (Vec::new(), Vec::new());
    for round in 0..20u8 {
        let text = format!("{round:03}");
        terminal.write(text.clone().into()).unwrap();
        if round % 3 == 0 {
            proxy.cut();
        }
        let read_output = async {
            loop {
                match next(&mut terminal).await {
                    TerminalEvent::Output { data, end } => {
                        seen.extend_from_slice(&data);
                        terminal.ack(end);
                    }
                    TerminalEvent::Reconnected { lost_input } => assert_eq!(lost_input, 0),
                    TerminalEvent::Gap { .. } | TerminalEvent::Reset { .. } => panic!("output is lost"),
                    _ => {}
                }
            }
        };
        let input = tokio::select! {
            input = session.read(3) => input,
            () = read_output => unreachable!("it never returns"),
        };
        assert_eq!(input, text, "once and in order");
        let line = [b'a' + round; 5000];
        printed.extend_from_slice(&line);
        session.print(&line).await;
        if round % 3 == 1 {
            proxy.cut();
        }
    }
    session.exit(7).await;
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
async fn an_embedded_terminal_works_as_a_remote_one() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let mut session = FakeSession::open(&server, &key).await;
    let hive = server.hive.as_system().sessions();
    let mut terminal = Terminal::open(hive, session.id, ViewOptions::default()).await.unwrap();
    terminal.write("ls\n".into()).unwrap();
    tokio::select! {
        typed = session.read(3) => assert_eq!(typed, "ls\n"),
        event = next(&mut terminal) => panic!("{event:?}"),
    }
    session.print(b"readme").await;
    assert_eq!(next(&mut terminal).await, TerminalEvent::Output { end: 6, data: "readme".into() });
}

#[tokio::test]
async fn input_that_was_applied_during_a_disconnect_frees_its_space() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let mut session = FakeSession::open(&server, &key).await;
    let proxy = CuttableProxy::start(&server).await;
    let hive = RemoteHive::connect(&proxy.url, key.into()).unwrap().sessions();
    let mut terminal = Terminal::open(hive, session.id, ViewOptions::default()).await.unwrap();
    let window = vec![b'x'; INPUT_WINDOW as usize];
    terminal.write(window.clone().into()).unwrap();
    tokio::select! {
        _ = session.take(window.len()) => {}
        event = next(&mut terminal) => panic!("{event:?}"),
    }
    proxy.cut();
    assert!(matches!(next(&mut terminal).await, TerminalEvent::Disconnected { .. }));
    session.apply().await;
    let room = async {
        while terminal.room() < window.len() {
            // No event announces the space.
            drop(timeout(Duration::from_millis(10), terminal.next()).await);
        }
    };
    timeout(TIMEOUT, room).await.expect("the space is free again");
}

#[tokio::test]
async fn a_remote_hive_returns_the_errors_of_an_embedded_one() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let url = format!("http://{}", server.address);
    let hive = RemoteHive::connect(&url, key.into()).unwrap();
    let unknown = SessionId::new(id::Seed { unix_millis: 1, random: [1; 10] });
    let refused = hive.sessions().attach(unknown, AttachRequest::default()).await.unwrap_err();
    assert!(matches!(&refused, Error::SessionNotFound(id) if *id == unknown.to_string()), "{refused:?}");
    assert!(hive.sessions().get(unknown).await.unwrap().is_none());
    let unauthenticated = RemoteHive::connect(&url, "hive_key_wrong".to_owned().into()).unwrap();
    let refused = unauthenticated.sessions().attach(unknown, AttachRequest::default()).await.unwrap_err();
    assert!(matches!(refused, Error::AuthInvalid), "{refused:?}");
    let unreachable = RemoteHive::connect("http://127.0.0.1:1", "hive_key_wrong".to_owned().into()).unwrap();
    let refused = unreachable.sessions().attach(unknown, AttachRequest::default()).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable(_)), "{refused:?}");
}

#[tokio::test]
async fn leaving_a_remote_terminal_releases_the_input_lease() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let mut session = FakeSession::open(&server, &key).await;
    let hive = RemoteHive::connect(&format!("http://{}", server.address), key.clone().into()).unwrap();
    let hive = hive.sessions();
    let mut terminal = Terminal::open(hive.clone(), session.id, ViewOptions::default()).await.unwrap();
    terminal.write("bye".into()).unwrap();
    terminal.leave().await;
    assert_eq!(session.read(3).await, "bye");
    while viewer_count(&server, &key, &session).await != 0 {}
    let typing = hive.send_input(session.id, "ls\n".into());
    let (sent, input) = tokio::join!(typing, session.read(3));
    sent.unwrap();
    assert_eq!(input, "ls\n");
}

#[tokio::test]
async fn a_remote_hive_lists_resizes_and_terminates_sessions() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let mut session = FakeSession::open(&server, &key).await;
    let hive = RemoteHive::connect(&format!("http://{}", server.address), key.into()).unwrap();
    let sessions = hive.sessions().list(hive_core::wire::api::SessionFilter::default()).await.unwrap();
    assert_eq!(sessions.len(), 1);
    let id = sessions[0].id;
    hive.sessions().resize(id, hive_core::wire::api::Size { cols: 10, rows: 5 }).await.unwrap();
    session.until(|terminal| terminal.resizes > 0).await;
    let sessions = hive.sessions();
    let (ended, ()) = tokio::join!(sessions.terminate(id), session.exit(0));
    ended.unwrap();
    assert!(hive.sessions().get(id).await.unwrap().unwrap().ended_at.is_some());
}
