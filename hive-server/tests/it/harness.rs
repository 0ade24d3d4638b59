//! A server with a hive in memory, and fake clients of it: raw connections, satellites, sessions and viewers.

mod connection;
mod satellite;
pub(crate) mod session;
pub(crate) mod viewer;

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use hive_core::Hive;
use hive_core::access::Role;
use hive_core::hive::Settings;
use hive_core::wire::agent::SUBPROTOCOL;
use hive_core::wire::api::{
    ApiKeyCreate, PlatformRole, RegistrationTokenCreate, Team, TeamCreate, TokenScope, UserCreate,
};
use hive_core::wire::satellite_api::{RegisterRequest, RegisteredSatellite};
use hive_server::{AppState, Config, Limits, Server, router};
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::connection::RawConnection;
pub(crate) use self::satellite::{FakeSatellite, handshake};

/// A running server and its router.
pub(crate) struct TestServer {
    pub(crate) hive: Hive,
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) running: TaskTracker,
    app: Router,
}

/// A response with its whole body.
#[derive(Debug)]
pub(crate) struct TestResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl TestResponse {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("the body is not JSON: {self:?}"))
    }

    /// Asserts that this is an error of the REST API.
    pub(crate) fn assert_error(&self, status: u16, code: &str) {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.json()["success"], false, "{self:?}");
        assert_eq!(self.json()["error"]["code"], code, "{self:?}");
    }

    /// Asserts that this is an error of the satellite API.
    pub(crate) fn assert_satellite_error(&self, status: u16, word: &str) {
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

    /// Starts a server for this hive on a free port.
    pub(crate) async fn of(hive: Hive, config: Config) -> Self {
        let config = Config { listen: ([127, 0, 0, 1], 0).into(), ..config };
        let app = router(AppState::new(&config, hive.clone()));
        let server = Server::bind(config, hive.clone()).await.unwrap();
        let (address, stop, running) = (server.local_addr(), CancellationToken::new(), TaskTracker::new());
        running.spawn(server.run(stop.clone()));
        running.close();
        Self { hive, address, stop, running, app }
    }

    /// Sends a request to the router, without a connection.
    pub(crate) async fn call(&self, request: Request<Body>) -> TestResponse {
        let response = TowerToHyperService::new(self.app.clone()).call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        TestResponse { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.into()).unwrap() }
    }

    /// Sends a request over a new connection.
    pub(crate) async fn send_request(&self, method: &str, path: &str, key: &str, body: Value) -> RawConnection {
        let mut connection = self.open_connection().await;
        connection.send(method, path, key, body).await;
        connection
    }

    /// Opens a connection and sends nothing.
    pub(crate) async fn open_connection(&self) -> RawConnection {
        RawConnection::new(TcpStream::connect(self.address).await.unwrap())
    }

    pub(crate) async fn get(&self, key: &str, path: &str) -> TestResponse {
        self.call(request("GET", path, Some(key), None)).await
    }

    pub(crate) async fn post(&self, key: &str, path: &str, body: Value) -> TestResponse {
        self.call(request("POST", path, Some(key), Some(body))).await
    }

    /// Creates a user with this role. Returns an API key of theirs.
    pub(crate) async fn user(&self, name: &str, role: PlatformRole) -> String {
        self.hive.as_system().identity().user_create(UserCreate { username: name.into(), role }).await.unwrap();
        let key = self.hive.as_system().api_key_create_for(name, ApiKeyCreate::default()).await.unwrap();
        key.api_key
    }

    pub(crate) async fn admin(&self) -> String {
        self.user("anna", PlatformRole::GlobalAdmin).await
    }

    /// Creates a team with one operator. Returns the team and an API key of the operator.
    pub(crate) async fn team(&self, slug: &str) -> (Team, String) {
        let team = self.hive.as_system().identity().team_create(TeamCreate { slug: slug.into() }).await.unwrap();
        let key = self.user(&format!("{slug}-operator"), PlatformRole::GlobalUser).await;
        let operator = format!("{slug}-operator");
        self.hive.as_system().team_member_add(slug, &operator, Role::Operator).await.unwrap();
        (team, key)
    }

    pub(crate) async fn registration_token(&self, team: Option<&Team>) -> String {
        let scope = if team.is_some() { TokenScope::Team } else { TokenScope::Global };
        let team_id = team.map(|team| team.id);
        let token = RegistrationTokenCreate { scope, team_id, ..RegistrationTokenCreate::global() };
        self.hive.as_system().identity().registration_token_create(token).await.unwrap().token
    }

    pub(crate) async fn register(&self, name: &str, team: Option<&Team>) -> RegisteredSatellite {
        let token = SecretString::from(self.registration_token(team).await);
        self.register_with(&token, name).await
    }

    /// Registers a registered satellite again, with a token for it.
    pub(crate) async fn register_again(&self, satellite: &RegisteredSatellite) -> RegisteredSatellite {
        let token = RegistrationTokenCreate { for_satellite: Some(satellite.id), ..RegistrationTokenCreate::global() };
        let token = self.hive.as_system().identity().registration_token_create(token).await.unwrap().token;
        self.register_with(&SecretString::from(token), &satellite.name).await
    }

    async fn register_with(&self, token: &SecretString, name: &str) -> RegisteredSatellite {
        let request: RegisterRequest = serde_json::from_value(json!({ "name": name })).unwrap();
        self.hive.register_satellite(token, request, None, None).await.unwrap()
    }

    pub(crate) async fn is_online(&self, satellite: &RegisteredSatellite) -> bool {
        self.hive.as_system().satellites().get(satellite.id).await.unwrap().unwrap().online
    }

    /// Opens a link with this key and sends nothing.
    pub(crate) async fn connect(&self, key: &str) -> Result<FakeSatellite, tungstenite::Error> {
        self.connect_as(key, Some(SUBPROTOCOL)).await
    }

    pub(crate) async fn connect_as(
        &self,
        key: &str,
        protocol: Option<&str>,
    ) -> Result<FakeSatellite, tungstenite::Error> {
        let mut request = format!("ws://{}/ws/agent", self.address).into_client_request()?;
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        if let Some(protocol) = protocol {
            request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        }
        let (socket, _) = connect_async(request).await?;
        Ok(FakeSatellite::new(socket))
    }

    /// Opens the link of a satellite and does the handshake.
    pub(crate) async fn online(&self, satellite: &RegisteredSatellite) -> FakeSatellite {
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
