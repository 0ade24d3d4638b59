//! A server with a hive in memory, and what calls it: raw connections, satellites with sessions, and viewers.

mod connection;
pub(crate) mod session;
pub(crate) mod viewer;

use std::net::SocketAddr;

use hive_core::Hive;
use hive_core::access::Role;
use hive_core::hive::Settings;
use hive_core::wire::agent::Handshake;
use hive_core::wire::api::{
    ApiKeyCreate, PlatformRole, RegistrationTokenCreate, Team, TeamCreate, TokenScope, UserCreate,
};
use hive_core::wire::satellite_api::{RegisterRequest, RegisteredSatellite};
use hive_server::{Config, Limits, Server};
use hive_test_peers::satellite::{WebSocketLink, handshake};
use hive_test_peers::{Answer, FakeSatellite, Rest};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::connection::RawConnection;

/// A satellite on a WebSocket.
pub(crate) type Satellite = FakeSatellite<WebSocketLink>;

/// The journal of all satellites.
const JOURNAL: &str = "journal-0001";

/// A running server.
pub(crate) struct TestServer {
    pub(crate) hive: Hive,
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) running: TaskTracker,
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
        let server = Server::bind(config, hive.clone()).await.unwrap();
        let (address, stop, running) = (server.local_addr(), CancellationToken::new(), TaskTracker::new());
        running.spawn(server.run(stop.clone()));
        running.close();
        Self { hive, address, stop, running }
    }

    /// A caller without credentials.
    pub(crate) fn anonymous(&self) -> Rest {
        Rest::new(&self.url())
    }

    /// A caller with this API key.
    pub(crate) fn rest(&self, key: &str) -> Rest {
        self.anonymous().with("x-api-key", key)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends a request with this API key and this body.
    pub(crate) async fn call(&self, method: &str, path: &str, key: Option<&str>, body: Option<Value>) -> Answer {
        let rest = key.map_or_else(|| self.anonymous(), |key| self.rest(key));
        let call = rest.call(method, path);
        body.into_iter().fold(call, |call, body| call.json(&body)).answer().await
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

    pub(crate) async fn get(&self, key: &str, path: &str) -> Answer {
        self.rest(key).get(path).await
    }

    pub(crate) async fn post(&self, key: &str, path: &str, body: Value) -> Answer {
        self.rest(key).post(path, &body).await
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

    /// Opens a link with the key of this satellite and sends nothing.
    pub(crate) async fn connect(&self, satellite: &RegisteredSatellite) -> Result<Satellite, tungstenite::Error> {
        let link = self.dial(&satellite.api_key).await?;
        Ok(Satellite::new(satellite.id, &satellite.api_key).on(link))
    }

    /// Opens a link with this key and sends nothing.
    pub(crate) async fn dial(&self, key: &str) -> Result<WebSocketLink, tungstenite::Error> {
        WebSocketLink::dial(&self.address.to_string(), key).await
    }

    /// Opens the link of a satellite and does the handshake.
    pub(crate) async fn online(&self, satellite: &RegisteredSatellite) -> Satellite {
        let mut link = self.connect(satellite).await.unwrap();
        shake_hands(&mut link).await;
        link
    }
}

/// The handshake of a satellite.
pub(crate) fn handshake_of(satellite: &RegisteredSatellite) -> Handshake {
    handshake(satellite.id, JOURNAL)
}

/// Does the handshake of a satellite.
pub(crate) async fn shake_hands(satellite: &mut Satellite) {
    let ack = satellite.shake_hands(satellite.handshake(JOURNAL)).await;
    assert!(ack.success, "{ack:?}");
}
