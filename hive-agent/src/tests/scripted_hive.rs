//! A scripted hive for tests: answers HTTPS calls as scripted, and returns the links that satellites open.

mod hive_link;
mod http;
mod session_view;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hive_wire::agent::{Command, ExecSpec, Handshake, Payload, Received, ToAgent, ToServer};
use hive_wire::id::Seed;
use hive_wire::satellite_api::RejectionClass;
use hive_wire::{CommandId, HiveId, SatelliteId, SatelliteName};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_util::task::TaskTracker;

use crate::config::AgentConfig;

pub(crate) use hive_link::{FromAgent, HiveLink};
pub(crate) use http::rejection;
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
                tracker.spawn(http::serve(socket, shared.clone(), opened.clone()));
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
        let mut link = HiveLink::new(self.links.recv().await.unwrap());
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

/// The id of a command. Another process has other ones, because tests that run at the same time would end each other's
/// processes.
pub(crate) fn command_id(n: u8) -> CommandId {
    CommandId::new(Seed { unix_millis: std::process::id().into(), random: [n; 10] })
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
