//! A scripted hive for tests: answers HTTPS calls as scripted, and returns the links that satellites open.

mod session_view;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt as _, StreamExt as _};
use hive_wire::agent::{
    Command, CommandResult, ExecSpec, Handshake, HandshakeAck, PROTOCOL_VERSION, Payload, Received, SUBPROTOCOL,
    ToAgent, ToServer,
};
use hive_wire::frame::Frame;
use hive_wire::id::Seed;
use hive_wire::satellite_api::{HIVE_ID_HEADER, RejectionClass};
use hive_wire::{CommandId, HiveId, SatelliteId, SatelliteName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::config::AgentConfig;

pub(crate) use session_view::{SessionView, session_spec};

/// The API key of a registration.
pub(crate) const KEY: &str = "hive_satellite_api_global_hunter2";
/// A token with a valid format.
pub(crate) const TOKEN: &str = "hive_satellite_global_aaa.bbb.ccc";

pub(crate) fn satellite_id() -> SatelliteId {
    SatelliteId::new(Seed { unix_millis: 1, random: [9; 10] })
}

pub(crate) fn hive_id() -> HiveId {
    HiveId::new(Seed { unix_millis: 1, random: [8; 10] })
}

/// A status and a body.
type ScriptedAnswer = (u16, String);

#[derive(Default)]
struct Script {
    /// Answers for the next calls whose path has this end.
    answers: VecDeque<(&'static str, ScriptedAnswer)>,
    /// The calls so far, as `METHOD path bearer`.
    requests: Vec<String>,
    bodies: Vec<String>,
    /// The keys that are accepted; `None` for all.
    accepted: Option<Vec<String>>,
    /// The hive ids in the headers, `-` for none.
    hive_id_headers: Vec<String>,
}

pub(crate) struct ScriptedHive {
    pub(crate) address: SocketAddr,
    script: Arc<Mutex<Script>>,
    links: mpsc::Receiver<WebSocketStream<TcpStream>>,
    _tasks: TaskTracker,
}

impl ScriptedHive {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(Script::default()));
        let (opened, links) = mpsc::channel(4);
        let tasks = TaskTracker::new();
        let (shared, tracker) = (script.clone(), tasks.clone());
        tasks.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tracker.spawn(serve(socket, shared.clone(), opened.clone()));
            }
        });
        Self { address, script, links, _tasks: tasks }
    }

    /// A configuration for a satellite of this hive.
    pub(crate) fn config(&self, dir: &std::path::Path) -> AgentConfig {
        let name = SatelliteName::try_from("web-server-01").unwrap();
        let mut config = AgentConfig::new(format!("http://{}", self.address).parse().unwrap(), name, dir.join("data"));
        config.registration_token = Some(TOKEN.into());
        config.reconnect.initial = std::time::Duration::from_millis(20);
        config.reconnect.max = std::time::Duration::from_millis(100);
        config.account.home = dir.to_string_lossy().into_owned();
        config
    }

    /// Gives this answer to the next call whose path has this end.
    pub(crate) fn answer_once(&self, path_end: &'static str, status: u16, body: impl Into<String>) {
        self.script.lock().unwrap().answers.push_back((path_end, (status, body.into())));
    }

    /// Refuses the next call with a documented error.
    pub(crate) fn refuse_once(&self, path_end: &'static str, status: u16, code: &str) {
        let body = serde_json::json!({ "success": false, "error": code, "message": format!("said {code}"), "instructions": "ask again" });
        self.answer_once(path_end, status, body.to_string());
    }

    /// Rejects a key once, as the satellite's own hive.
    pub(crate) fn reject_once(&self, path_end: &'static str, class: RejectionClass) {
        self.answer_once(path_end, 401, rejection(hive_id(), class));
    }

    /// Accepts only these keys from now on.
    pub(crate) fn accept_only(&self, keys: &[&str]) {
        let keys = keys.iter().map(|&key| key.to_owned()).collect();
        self.script.lock().unwrap().accepted = Some(keys);
    }

    /// The hive ids that satellites sent.
    pub(crate) fn hive_id_headers(&self) -> Vec<String> {
        self.script.lock().unwrap().hive_id_headers.clone()
    }

    /// The number of calls of a path.
    pub(crate) fn count(&self, path_end: &str) -> usize {
        let script = self.script.lock().unwrap();
        let is_it = |request: &&String| request.split(' ').nth(1).is_some_and(|path| path.ends_with(path_end));
        script.requests.iter().filter(is_it).count()
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.script.lock().unwrap().requests.clone()
    }

    pub(crate) fn bodies(&self) -> String {
        self.script.lock().unwrap().bodies.join("\n")
    }

    /// The next link, before its handshake is answered.
    pub(crate) async fn raw_link(&mut self) -> (HiveLink, Handshake) {
        let mut link = HiveLink { socket: self.links.recv().await.unwrap() };
        match link.next().await {
            FromAgent::Control(ToServer::Handshake(handshake)) => (link, *handshake),
            other => panic!("{other:?} instead of a handshake"),
        }
    }

    /// The next link, after its handshake.
    pub(crate) async fn link(&mut self) -> HiveLink {
        let (mut link, _) = self.raw_link().await;
        link.accept(3600).await;
        link
    }
}

/// One message of a satellite.
#[derive(Debug, PartialEq)]
pub(crate) enum FromAgent {
    Control(ToServer),
    Data(Frame),
    Closed,
}

/// The hive's side of a link.
pub(crate) struct HiveLink {
    socket: WebSocketStream<TcpStream>,
}

impl HiveLink {
    pub(crate) async fn accept(&mut self, heartbeat_interval: u64) {
        let ack = HandshakeAck {
            success: true,
            protocol_version: PROTOCOL_VERSION.into(),
            server_time: clock::now(),
            sent_at: None,
            heartbeat_interval,
            hive_id: Some(hive_id()),
            error: None,
        };
        self.send_control(ToAgent::HandshakeAck(Box::new(ack))).await;
    }

    pub(crate) async fn send_control(&mut self, message: ToAgent) {
        self.socket.send(Message::text(serde_json::to_string(&message).unwrap())).await.unwrap();
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn send_frame(&mut self, frame: &Frame) {
        self.socket.send(Message::Binary(frame.encode())).await.unwrap();
    }

    pub(crate) async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        self.socket.close(Some(frame)).await.unwrap();
    }

    /// The next message, without pings and pongs.
    pub(crate) async fn next(&mut self) -> FromAgent {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return FromAgent::Control(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Binary(bytes))) => return FromAgent::Data(Frame::decode(bytes).unwrap()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return FromAgent::Closed,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Reads up to a command's result. Returns it with what came before.
    pub(crate) async fn result(&mut self) -> (CommandResult, Transcript) {
        let mut transcript = Transcript::default();
        loop {
            match self.next().await {
                FromAgent::Control(ToServer::CommandResult(result)) => return (result, transcript),
                FromAgent::Control(ToServer::CommandAck { .. }) => transcript.acks += 1,
                FromAgent::Control(ToServer::StreamOpen { offset, .. }) => transcript.offsets.push(offset),
                FromAgent::Data(frame) => transcript.bytes.extend_from_slice(&frame.payload),
                other => panic!("{other:?} instead of a result"),
            }
        }
    }
}

/// The messages before a result.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Transcript {
    pub(crate) acks: usize,
    pub(crate) offsets: Vec<u64>,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn command_id(n: u8) -> CommandId {
    CommandId::new(Seed { unix_millis: 1, random: [n; 10] })
}

/// A command with a shell line. The hive has `received` so many bytes of its standard output.
pub(crate) fn shell(n: u8, line: &str, received: u64) -> ToAgent {
    ToAgent::Command(Box::new(Command {
        id: command_id(n),
        expires_in_ms: 60_000,
        sent_at: None,
        started: false,
        received: Received { stdout: received, stderr: 0 },
        payload: Payload::Exec(ExecSpec { command: line.into(), timeout_seconds: 30, ..ExecSpec::default() }),
    }))
}

async fn serve(mut socket: TcpStream, script: Arc<Mutex<Script>>, opened: mpsc::Sender<WebSocketStream<TcpStream>>) {
    socket.set_nodelay(true).unwrap();
    let head = peek_head(&socket).await;
    let mut words = head.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let bearer = header(&head, "authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or("-");
    let named = header(&head, HIVE_ID_HEADER).unwrap_or("-").to_owned();
    {
        let mut script = script.lock().unwrap();
        script.requests.push(format!("{method} {path} {bearer}"));
        script.hive_id_headers.push(named);
    }
    let scripted = take_answer(&script, path).or_else(|| judge_key(&script, path, bearer));
    if path.ends_with("/ws/agent") && scripted.is_none() {
        #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
        let choose = |_: &Request, mut response: Response| {
            response.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL.parse().unwrap());
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(socket, choose).await.unwrap();
        opened.send(socket).await.ok();
        return;
    }
    let length: usize = header(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut request = vec![0; head.len() + length];
    socket.read_exact(&mut request).await.unwrap();
    script.lock().unwrap().bodies.push(String::from_utf8_lossy(&request[head.len()..]).into_owned());
    let (status, body) = scripted.unwrap_or_else(|| usual_answer(path));
    let retry = if status == 503 { "retry-after: 1\r\n" } else { "" };
    let answer =
        format!("HTTP/1.1 {status} X\r\n{retry}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    socket.write_all(answer.as_bytes()).await.unwrap();
}

fn take_answer(script: &Mutex<Script>, path: &str) -> Option<ScriptedAnswer> {
    let mut script = script.lock().unwrap();
    let n = script.answers.iter().position(|(end, _)| path.ends_with(end))?;
    script.answers.remove(n).map(|(_, answer)| answer)
}

/// The answer to a key that is not accepted.
fn judge_key(script: &Mutex<Script>, path: &str, bearer: &str) -> Option<ScriptedAnswer> {
    let needs_key = path.ends_with("/heartbeat") || path.ends_with("/ws/agent");
    let script = script.lock().unwrap();
    let is_accepted = script.accepted.as_ref().is_none_or(|accepted| accepted.iter().any(|key| key == bearer));
    (needs_key && !is_accepted).then(|| (401, rejection(hive_id(), RejectionClass::UnknownKey)))
}

/// The body of a hive's rejection of a key.
pub(crate) fn rejection(hive: HiveId, class: RejectionClass) -> String {
    let body = serde_json::json!({ "success": false, "error": "auth_invalid", "message": "no", "hive_id": hive, "class": class });
    body.to_string()
}

fn usual_answer(path: &str) -> ScriptedAnswer {
    let body = match path {
        "/api/satellites/register" => serde_json::json!({
            "success": true,
            "message": "welcome",
            "hive_id": hive_id(),
            "satellite": {
                "id": satellite_id(), "name": "web-server-01", "satellite_type": "global", "team_id": null,
                "status": "inactive", "api_key": KEY,
            },
        }),
        _ => serde_json::json!({ "success": true, "status": "active", "config_version": 1 }),
    };
    (200, body.to_string())
}

async fn peek_head(socket: &TcpStream) -> String {
    let mut buffer = vec![0; 8192];
    loop {
        let len = socket.peek(&mut buffer).await.unwrap_or(0);
        let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
        match text.find("\r\n\r\n") {
            Some(end) => return text[..end + 4].to_owned(),
            None if len == 0 => return String::new(),
            None => tokio::task::yield_now().await,
        }
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
