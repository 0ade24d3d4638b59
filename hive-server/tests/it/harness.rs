//! A server over a hive in memory, a caller of its router, and a satellite that does what a test tells it.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use futures_util::{SinkExt, StreamExt};
use hive_core::access::Role;
use hive_core::hive::Settings;
use hive_core::wire::agent::{Handshake, PROTOCOL_VERSION, SUBPROTOCOL, ToAgent, ToServer};
use hive_core::wire::api::{
    ApiKeyCreate, PlatformRole, RegistrationTokenCreate, Team, TeamCreate, TokenScope, UserCreate,
};
use hive_core::wire::satellite_api::{RegisterRequest, RegisteredSatellite};
use hive_core::{DeviceRegistry, Hive, Identity};
use hive_server::{AppState, Config, Limits, Server, router};
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A server that listens, and the way to call it.
pub(crate) struct TestServer {
    pub(crate) hive: Hive,
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) running: TaskTracker,
    app: Router,
}

/// An answer, its body read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Checks that this is a failure in the envelope of `/api/v1`.
    pub(crate) fn assert_error(&self, status: u16, code: &str) {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.json()["success"], false, "{self:?}");
        assert_eq!(self.json()["error"]["code"], code, "{self:?}");
    }

    /// Checks that this is a failure in the shape of the satellite API.
    pub(crate) fn assert_refusal(&self, status: u16, word: &str) {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.json()["success"], false, "{self:?}");
        assert_eq!(self.json()["error"], word, "{self:?}");
        assert!(!self.json()["message"].as_str().unwrap().is_empty(), "{self:?}");
    }
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::with(Limits::default(), Settings::default()).await
    }

    pub(crate) async fn with(limits: Limits, settings: Settings) -> Self {
        let hive = Hive::builder().in_memory().settings(settings).build().await.unwrap();
        Self::of(hive, Config { limits, ..Config::default() }).await
    }

    /// A server of this hive, on a free port.
    pub(crate) async fn of(hive: Hive, config: Config) -> Self {
        let config = Config { listen: ([127, 0, 0, 1], 0).into(), ..config };
        let app = router(AppState::new(&config, hive.clone()));
        let server = Server::bind(config, hive.clone()).await.unwrap();
        let (address, stop, running) = (server.local_addr(), CancellationToken::new(), TaskTracker::new());
        running.spawn(server.run(stop.clone()));
        running.close();
        Self { hive, address, stop, running, app }
    }

    /// Calls the router without a socket.
    pub(crate) async fn call(&self, request: Request<Body>) -> Answer {
        let response = TowerToHyperService::new(self.app.clone()).call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.into()).unwrap() }
    }

    /// Sends a request over a socket of its own.
    pub(crate) async fn open_call(&self, method: &str, path: &str, key: &str, body: Value) -> OpenCall {
        let mut call = self.open_socket().await;
        call.send(method, path, key, body).await;
        call
    }

    /// Opens a connection and says nothing.
    pub(crate) async fn open_socket(&self) -> OpenCall {
        OpenCall { stream: TcpStream::connect(self.address).await.unwrap(), answer: String::new() }
    }

    pub(crate) async fn get(&self, key: &str, path: &str) -> Answer {
        self.call(request("GET", path, Some(key), None)).await
    }

    pub(crate) async fn post(&self, key: &str, path: &str, body: Value) -> Answer {
        self.call(request("POST", path, Some(key), Some(body))).await
    }

    /// A user with this role and an API key.
    pub(crate) async fn user(&self, name: &str, role: PlatformRole) -> String {
        self.hive.as_system().user_create(UserCreate { username: name.into(), role }).await.unwrap();
        let key = self.hive.as_system().api_key_create_for(name, ApiKeyCreate::default()).await.unwrap();
        key.api_key
    }

    pub(crate) async fn admin(&self) -> String {
        self.user("anna", PlatformRole::GlobalAdmin).await
    }

    /// A team with one operator: the team, and the operator's API key.
    pub(crate) async fn team(&self, slug: &str) -> (Team, String) {
        let team = self.hive.as_system().team_create(TeamCreate { slug: slug.into() }).await.unwrap();
        let key = self.user(&format!("{slug}-operator"), PlatformRole::GlobalUser).await;
        let operator = format!("{slug}-operator");
        self.hive.as_system().team_member_add(slug, &operator, Role::Operator).await.unwrap();
        (team, key)
    }

    pub(crate) async fn registration_token(&self, team: Option<&Team>) -> String {
        let scope = if team.is_some() { TokenScope::Team } else { TokenScope::Global };
        let team_id = team.map(|team| team.id);
        let wanted = RegistrationTokenCreate { scope, team_id, ..RegistrationTokenCreate::global() };
        self.hive.as_system().registration_token_create(wanted).await.unwrap().token
    }

    pub(crate) async fn register(&self, name: &str, team: Option<&Team>) -> RegisteredSatellite {
        let token = SecretString::from(self.registration_token(team).await);
        self.register_with(&token, name).await
    }

    /// Registers a satellite that is there already, with a token made for it.
    pub(crate) async fn register_again(&self, satellite: &RegisteredSatellite) -> RegisteredSatellite {
        let wanted = RegistrationTokenCreate { for_satellite: Some(satellite.id), ..RegistrationTokenCreate::global() };
        let token = self.hive.as_system().registration_token_create(wanted).await.unwrap().token;
        self.register_with(&SecretString::from(token), &satellite.name).await
    }

    async fn register_with(&self, token: &SecretString, name: &str) -> RegisteredSatellite {
        let request: RegisterRequest = serde_json::from_value(json!({ "name": name })).unwrap();
        self.hive.register_satellite(token, request, None, None).await.unwrap()
    }

    pub(crate) async fn is_online(&self, satellite: &RegisteredSatellite) -> bool {
        self.hive.as_system().get(satellite.id).await.unwrap().unwrap().online
    }

    /// Opens a socket with this key and speaks no word on it.
    pub(crate) async fn connect(&self, key: &str) -> Result<Satellite, tungstenite::Error> {
        self.connect_as(key, Some(SUBPROTOCOL)).await
    }

    pub(crate) async fn connect_as(&self, key: &str, protocol: Option<&str>) -> Result<Satellite, tungstenite::Error> {
        let mut request = format!("ws://{}/ws/agent", self.address).into_client_request()?;
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        if let Some(protocol) = protocol {
            request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        }
        let (socket, _) = connect_async(request).await?;
        Ok(Satellite { socket })
    }

    /// A satellite that is online.
    pub(crate) async fn online(&self, satellite: &RegisteredSatellite) -> Satellite {
        let mut link = self.connect(&satellite.api_key).await.unwrap();
        link.handshake(satellite).await;
        link
    }
}

pub(crate) fn request(method: &str, path: &str, key: Option<&str>, body: Option<Value>) -> Request<Body> {
    let mut builder = Request::builder().method(method).uri(path);
    if let Some(key) = key {
        builder = builder.header("x-api-key", key);
    }
    match body {
        Some(body) => builder.header("content-type", "application/json").body(body.to_string().into()).unwrap(),
        None => builder.body(Body::empty()).unwrap(),
    }
}

/// A call whose answer is read as it comes.
pub(crate) struct OpenCall {
    stream: TcpStream,
    answer: String,
}

impl OpenCall {
    /// Sends a request with an API key.
    pub(crate) async fn send(&mut self, method: &str, path: &str, key: &str, body: Value) {
        let body = body.to_string();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: hive\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.say(&request).await;
    }

    /// Sends some bytes.
    pub(crate) async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Waits until the server has closed the connection, however it does so; what it had said.
    pub(crate) async fn closed(mut self) -> String {
        let mut piece = [0; 1024];
        while let Ok(read @ 1..) = tokio::time::timeout(Duration::from_secs(20), self.stream.read(&mut piece))
            .await
            .expect("it is closed in time")
        {
            self.answer.push_str(str::from_utf8(&piece[..read]).unwrap());
        }
        self.answer
    }

    /// Reads until this text has come.
    pub(crate) async fn read_until(&mut self, text: &str) {
        while !self.answer.contains(text) {
            let mut piece = [0; 1024];
            let read = tokio::time::timeout(Duration::from_secs(10), self.stream.read(&mut piece)).await;
            let read = read.unwrap_or_else(|_| panic!("{text:?} does not come; {:?} came", self.answer)).unwrap();
            assert_ne!(read, 0, "the answer ended without {text:?}: {:?}", self.answer);
            self.answer.push_str(str::from_utf8(&piece[..read]).unwrap());
        }
    }

    /// Reads until the server closes the connection, and gives the whole answer.
    pub(crate) async fn read_to_end(mut self) -> String {
        self.stream.read_to_string(&mut self.answer).await.unwrap();
        self.answer
    }
}

/// The other end of a link.
pub(crate) struct Satellite {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Satellite {
    pub(crate) async fn send_raw(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    pub(crate) async fn send(&mut self, message: &ToServer) {
        self.send_raw(Message::text(serde_json::to_string(message).unwrap())).await;
    }

    /// The next control message.
    pub(crate) async fn next(&mut self) -> ToAgent {
        match self.next_raw().await {
            Some(Message::Text(text)) => serde_json::from_str(&text).unwrap(),
            other => panic!("no control message: {other:?}"),
        }
    }

    pub(crate) async fn next_raw(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(Duration::from_secs(10), self.socket.next()).await;
        next.expect("the server says something within 10 s").and_then(Result::ok)
    }

    /// The code of the close frame, whatever comes before it.
    pub(crate) async fn close_code(&mut self) -> u16 {
        loop {
            match self.next_raw().await {
                Some(Message::Close(Some(frame))) => return frame.code.into(),
                Some(_) => {}
                None => panic!("the connection ended without a close frame"),
            }
        }
    }

    pub(crate) async fn handshake(&mut self, satellite: &RegisteredSatellite) {
        self.send(&ToServer::Handshake(Box::new(handshake(satellite)))).await;
        match self.next().await {
            ToAgent::HandshakeAck(ack) => assert!(ack.success, "{ack:?}"),
            other => panic!("no acknowledgement: {other:?}"),
        }
    }
}

pub(crate) fn handshake(satellite: &RegisteredSatellite) -> Handshake {
    Handshake {
        agent_id: satellite.id,
        version: "0.1.0".into(),
        protocol_version: PROTOCOL_VERSION.into(),
        capabilities: vec!["shell".into()],
        features: Vec::new(),
        capacity: None,
        journal_id: "journal-0001".into(),
        journal_position: None,
        start_id: None,
        earlier_start_ids: Vec::new(),
        sessions: Vec::new(),
        boot_id: None,
        system: hive_core::wire::agent::SystemInfo::default(),
    }
}
