//! A fake hive: answers HTTP calls by a script, and gives the test the links that satellites open.
//!
//! It behaves in one of three ways (`Behaviour`), which can change while it runs: as a hive that accepts every satellite, as a
//! proxy in front of a real hive, or as whatever else listens at an address and sends prepared bytes.

mod http;
mod link;
mod orders;
mod script;
mod session_view;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hive_wire::agent::{Handshake, ToServer};
use hive_wire::satellite_api::RejectionClass;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;

use crate::message::FromSatellite;
use crate::wait::PATIENCE;
use script::Script;

pub use http::{answer, rejection};
pub use link::{HiveLink, Transcript};
pub use orders::{command_id, session_spec, shell};
pub use script::{KEY, TOKEN, hive_id, satellite_id};
pub use session_view::SessionView;

/// Links that wait for the test to take them. Further satellites wait to be accepted.
const WAITING_LINKS: usize = 16;

/// Gives the bytes of the answer to a call of a path.
type Answers = dyn Fn(&str) -> Vec<u8> + Send + Sync;

/// What a fake hive does with a connection.
#[derive(Clone)]
enum Behaviour {
    /// Answers as a hive, by its script.
    Hive,
    /// Passes it on to this address. It is broken when the behaviour becomes another one.
    Proxy(String),
    /// Answers each call with these bytes and closes the connection.
    Bytes(Arc<Answers>),
}

/// A fake hive on a free port. It ends with its value.
pub struct FakeHive {
    address: SocketAddr,
    shared: Arc<Shared>,
    links: tokio::sync::Mutex<mpsc::Receiver<WebSocketStream<TcpStream>>>,
    _serving: JoinSet<()>,
}

/// What all connections share.
struct Shared {
    script: Mutex<Script>,
    behaviour: watch::Sender<Behaviour>,
    opened: mpsc::Sender<WebSocketStream<TcpStream>>,
}

impl FakeHive {
    /// Starts a hive that accepts every satellite.
    pub async fn start() -> Self {
        Self::start_as(Behaviour::Hive).await
    }

    /// Starts a proxy in front of a real hive.
    pub async fn in_front_of(url: &str) -> Self {
        Self::start_as(Behaviour::Proxy(authority(url))).await
    }

    /// Starts something that answers each call with the bytes that `answers` gives for its path.
    pub async fn answering(answers: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start_as(Behaviour::Bytes(Arc::new(answers))).await
    }

    /// Starts something that answers each call with the next of these; an empty one, and none, closes the connection.
    pub async fn answering_in_turn(answers: impl IntoIterator<Item = String>) -> Self {
        let answers = Mutex::new(answers.into_iter().collect::<VecDeque<_>>());
        Self::answering(move |_| answers.lock().unwrap().pop_front().unwrap_or_default().into_bytes()).await
    }

    async fn start_as(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (opened, links) = mpsc::channel(WAITING_LINKS);
        let shared = Arc::new(Shared { script: Mutex::default(), behaviour: watch::Sender::new(behaviour), opened });
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, links: links.into(), _serving: serving }
    }

    /// Where it is reached.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Becomes a hive that accepts every satellite. What it passed on is broken.
    pub fn take_over(&self) {
        self.shared.behaviour.send_replace(Behaviour::Hive);
    }

    /// Becomes a proxy in front of this hive, for new connections.
    pub fn lead_to(&self, url: &str) {
        self.shared.behaviour.send_replace(Behaviour::Proxy(authority(url)));
    }

    /// Answers with the bytes that `answers` gives for a path. What it passed on is broken.
    pub fn answer_with(&self, answers: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) {
        self.shared.behaviour.send_replace(Behaviour::Bytes(Arc::new(answers)));
    }

    /// Gives this answer to the next call whose path has this end.
    pub fn answer_once(&self, path_end: &'static str, status: u16, body: impl Into<String>) {
        self.shared.script.lock().unwrap().answers.push_back((path_end, (status, body.into())));
    }

    /// Refuses the next call with a documented error.
    pub fn refuse_once(&self, path_end: &'static str, status: u16, code: &str) {
        let message = format!("said {code}");
        let body = serde_json::json!({
            "success": false, "error": code, "message": message, "instructions": "ask again",
        });
        self.answer_once(path_end, status, body.to_string());
    }

    /// Rejects a key once, as the satellite's own hive.
    pub fn reject_once(&self, path_end: &'static str, class: RejectionClass) {
        self.answer_once(path_end, 401, rejection(hive_id(), class));
    }

    /// Accepts only these keys from now on.
    pub fn accept_only(&self, keys: &[&str]) {
        let keys = keys.iter().map(|&key| key.to_owned()).collect();
        self.shared.script.lock().unwrap().accepted = Some(keys);
    }

    /// The hive ids that satellites sent, `-` for none.
    pub fn hive_id_headers(&self) -> Vec<String> {
        self.shared.script.lock().unwrap().hive_id_headers.clone()
    }

    /// The number of calls of a path.
    pub fn count(&self, path_end: &str) -> usize {
        let is_it = |request: &&String| request.split(' ').nth(1).is_some_and(|path| path.ends_with(path_end));
        self.requests().iter().filter(is_it).count()
    }

    /// The calls so far, as `METHOD path bearer`, `-` for no bearer.
    pub fn requests(&self) -> Vec<String> {
        self.shared.script.lock().unwrap().requests.clone()
    }

    /// The heads of the calls so far.
    pub fn heads(&self) -> Vec<String> {
        self.shared.script.lock().unwrap().heads.clone()
    }

    /// The bodies of the calls so far, one a line.
    pub fn bodies(&self) -> String {
        self.shared.script.lock().unwrap().bodies.join("\n")
    }

    /// The next link, before its handshake is answered.
    pub async fn raw_link(&self) -> (HiveLink, Handshake) {
        let next = async { self.links.lock().await.recv().await };
        let socket = timeout(PATIENCE, next).await.expect("a satellite dials").unwrap();
        let mut link = HiveLink::new(socket);
        match link.next().await {
            FromSatellite::Control(ToServer::Handshake(handshake)) => (link, *handshake),
            other => panic!("{other:?} instead of a handshake"),
        }
    }

    /// The next link, after its handshake.
    pub async fn link(&self) -> HiveLink {
        let (mut link, _) = self.raw_link().await;
        link.accept(3600).await;
        link
    }
}

fn authority(url: &str) -> String {
    url.strip_prefix("http://").expect("tests use plain HTTP").to_owned()
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        connections.spawn(serve(socket, Arc::clone(&shared)));
        // A finished task stays in the set until it is taken out.
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(socket: TcpStream, shared: Arc<Shared>) {
    // Fixed for the life of a connection, except that a proxy ends when it is no proxy any more.
    let behaviour = shared.behaviour.borrow().clone();
    match behaviour {
        Behaviour::Hive => http::serve(socket, &shared).await,
        Behaviour::Proxy(target) => pass_on(socket, &target, &shared).await,
        Behaviour::Bytes(answers) => http::serve_bytes(socket, &shared, &*answers).await,
    }
}

async fn pass_on(mut here: TcpStream, target: &str, shared: &Shared) {
    let Ok(mut there) = TcpStream::connect(target).await else { return };
    let mut behaviour = shared.behaviour.subscribe();
    // Connections end with the proxy, as those of a real one do when it is stopped.
    let is_over = |behaviour: &Behaviour| !matches!(behaviour, Behaviour::Proxy(_));
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut here, &mut there) => {}
        _ = behaviour.wait_for(is_over) => {}
    }
}
