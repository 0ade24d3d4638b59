//! A hive in this process, a server in front of it, and a satellite.

use std::path::Path;
use std::time::Duration;

use hive_core::access::Role;
use hive_core::hive::{Settings, VerifyMode};
use hive_core::wire::api::{
    ApiKeyCreate, PlatformRole, RegistrationTokenCreate, SatelliteStatus, SatelliteUpdate, TeamCreate, TeamMemberPut,
    TokenScope, UserCreate,
};
use hive_core::wire::satellite_api::{RegisterRequest, RegisterSystemInfo};
use hive_core::wire::{ApiKeyId, SatelliteId, TeamId, UserId};
use hive_core::{Hive, HiveApi, RemoteHive};
use hive_server::{Config, Server};
use hive_testkit::{
    Engine, FaultProxy, Later, LaterProxy, PATIENCE, PostgresDatabase, SatelliteOptions, TestSatellite,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The satellite's name.
pub(super) const NAME: &str = "web-server-01";

/// From where the hive is asked.
#[derive(Debug, Clone, Copy)]
enum Side {
    Embedded,
    Remote,
}

/// Somebody with an API key.
pub(super) struct Somebody {
    pub(super) user: UserId,
    pub(super) key: ApiKeyId,
    pub(super) api: Box<dyn HiveApi>,
}

pub(super) struct BehaviourWorld {
    side: Side,
    /// The hive itself, for what happens behind the back of who is asked.
    pub(super) hive: Hive,
    pub(super) admin: Somebody,
    admin_key: String,
    url: String,
    /// Where one side speaks as a later version.
    later: Option<LaterProxy>,
    stop: CancellationToken,
    served: JoinHandle<()>,
    dir: TempDir,
    _database: Option<PostgresDatabase>,
}

impl BehaviourWorld {
    pub(super) async fn embedded() -> Self {
        Self::start(Side::Embedded).await
    }

    pub(super) async fn remote() -> Self {
        Self::start(Side::Remote).await
    }

    /// A hive asked from elsewhere, where this side speaks as a later version.
    pub(super) async fn later(side: Later) -> Self {
        let mut world = Self::start(Side::Remote).await;
        let proxy = LaterProxy::start(&world.url, side);
        world.url = proxy.url().to_owned();
        // Connected anew: the first connection goes past the proxy.
        world.admin.api = world.by_key(&world.admin_key).await;
        world.later = Some(proxy);
        world
    }

    /// Makes a server of a later version use another word for a status. Returns the word that callers get.
    pub(super) fn rename_status(&self, status: &'static str, word: &'static str) -> &'static str {
        self.later.as_ref().map_or(status, |proxy| proxy.rename_status(status, word))
    }

    async fn start(side: Side) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let database = match Engine::of_this_run() {
            Engine::Postgres => Some(PostgresDatabase::create().await),
            Engine::Sqlite => None,
        };
        // Shorter and smaller than the defaults, so that a claim reaches each limit soon.
        let settings = Settings::default()
            .result_grace(Duration::from_secs(5))
            .max_sessions_per_satellite(3)
            .sweep_interval(Duration::from_secs(1));
        let mut builder = Hive::builder().data_dir(dir.path().join("hive")).settings(settings);
        if let Some(database) = &database {
            builder = builder.database(database.url().parse().unwrap());
        }
        let hive = builder.build().await.unwrap();
        // Also for the embedded side: its satellites are real and need a server.
        let listen = ([127, 0, 0, 1], 0).into();
        let server = Server::bind(Config { listen, ..Config::default() }, hive.clone()).await.unwrap();
        let url = format!("http://{}", server.local_addr());
        let stop = CancellationToken::new();
        let served = TaskTracker::new().spawn(server.run(stop.clone()));
        let (user, key, admin_key) = new_key(&hive, "admin", PlatformRole::GlobalAdmin).await;
        let api = connect(side, &hive, &url, &admin_key).await;
        let admin = Somebody { user, key, api };
        Self { side, hive, admin, admin_key, url, later: None, stop, served, dir, _database: database }
    }

    /// The hive, asked by an admin.
    pub(super) fn api(&self) -> &dyn HiveApi {
        self.admin.api.as_ref()
    }

    /// The admin from both sides.
    pub(super) async fn both(&self) -> [Box<dyn HiveApi>; 2] {
        let from = |side| connect(side, &self.hive, &self.url, &self.admin_key);
        [from(Side::Embedded).await, from(Side::Remote).await]
    }

    /// Somebody from both sides, in these teams.
    pub(super) async fn both_as(&self, name: &str, teams: &[(TeamId, Role)]) -> [Box<dyn HiveApi>; 2] {
        let (_, _, key) = self.new_member(name, teams).await;
        let from = |side| connect(side, &self.hive, &self.url, &key);
        [from(Side::Embedded).await, from(Side::Remote).await]
    }

    /// Somebody in these teams.
    pub(super) async fn somebody(&self, name: &str, teams: &[(TeamId, Role)]) -> Somebody {
        let (user, id, key) = self.new_member(name, teams).await;
        Somebody { user, key: id, api: self.by_key(&key).await }
    }

    async fn new_member(&self, name: &str, teams: &[(TeamId, Role)]) -> (UserId, ApiKeyId, String) {
        let made = new_key(&self.hive, name, PlatformRole::GlobalUser).await;
        for (team, role) in teams {
            let member = TeamMemberPut { username: name.into(), role: role.clone() };
            self.hive.as_system().identity().team_member_put(*team, member).await.unwrap();
        }
        made
    }

    /// Whoever has this key.
    pub(super) async fn by_key(&self, key: &str) -> Box<dyn HiveApi> {
        connect(self.side, &self.hive, &self.url, key).await
    }

    /// The admin from the same side, who hears only what the proxy lets pass where there is a way in between.
    pub(super) async fn behind(&self, proxy: &FaultProxy) -> Box<dyn HiveApi> {
        connect(self.side, &self.hive, proxy.url(), &self.admin_key).await
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) async fn team(&self, slug: &str) -> TeamId {
        self.hive.as_system().identity().team_create(TeamCreate { slug: slug.into() }).await.unwrap().id
    }

    /// A real satellite, online.
    pub(super) async fn satellite(&self) -> BehaviourSatellite {
        self.satellite_with(NAME, SatelliteOptions::default()).await
    }

    pub(super) async fn satellite_with(&self, name: &str, options: SatelliteOptions) -> BehaviourSatellite {
        let team = options.team_id.as_ref().map(|team| team.parse().unwrap());
        let process = TestSatellite::start(name, &self.url, &self.token(team).await, self.dir.path(), options).await;
        BehaviourSatellite { id: process.id().parse().unwrap(), process }
    }

    /// A satellite that was registered and has never come.
    pub(super) async fn absent(&self, name: &str, team: Option<TeamId>) -> SatelliteId {
        let token = self.token(team).await;
        let registered = self.hive.as_system().satellites().register(token.into(), request(name)).await.unwrap();
        registered.id
    }

    /// A satellite that may be used and is not there.
    pub(super) async fn away(&self, name: &str, team: Option<TeamId>) -> SatelliteId {
        let id = self.absent(name, team).await;
        let active = SatelliteUpdate { status: Some(SatelliteStatus::Active), ..SatelliteUpdate::default() };
        self.hive.as_system().satellites().update(id, active).await.unwrap();
        id
    }

    pub(super) async fn token(&self, team_id: Option<TeamId>) -> String {
        let scope = if team_id.is_some() { TokenScope::Team } else { TokenScope::Global };
        let allowed_tags = vec!["*".into()];
        let wanted = RegistrationTokenCreate { scope, team_id, allowed_tags, ..RegistrationTokenCreate::global() };
        self.hive.as_system().identity().registration_token_create(wanted).await.unwrap().token
    }

    pub(super) fn is_remote(&self) -> bool {
        matches!(self.side, Side::Remote)
    }

    /// The id of no user.
    pub(super) fn nobody(&self) -> UserId {
        UserId::new(self.hive.source().seed())
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Ends the hive and its server, for which nothing may be left to wait.
    pub(super) async fn end(self) {
        // The server first: nothing may call the hive when it ends.
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.served).await.expect("the server ends").unwrap();
        tokio::time::timeout(PATIENCE, self.hive.shutdown()).await.expect("the hive ends");
    }
}

/// A real satellite.
pub(super) struct BehaviourSatellite {
    pub(super) id: SatelliteId,
    pub(super) process: TestSatellite,
}

pub(super) fn request(name: &str) -> RegisterRequest {
    RegisterRequest {
        name: name.into(),
        capabilities: vec!["shell".into()],
        tags: vec!["rack-7".into()],
        satellite_url: None,
        system_info: RegisterSystemInfo::default(),
        attempt: None,
    }
}

async fn new_key(hive: &Hive, name: &str, role: PlatformRole) -> (UserId, ApiKeyId, String) {
    let system = hive.as_system();
    let user = system.identity().user_create(UserCreate { username: name.into(), role }).await.unwrap().user.id;
    let key = system.api_key_create_for(name, ApiKeyCreate::default()).await.unwrap();
    (user, key.info.id, key.api_key)
}

async fn connect(side: Side, hive: &Hive, url: &str, key: &str) -> Box<dyn HiveApi> {
    match side {
        Side::Embedded => {
            Box::new(hive.acting_as(hive.authenticate_api_key(key, None, VerifyMode::Full).await.unwrap()))
        }
        Side::Remote => Box::new(RemoteHive::connect(url, key.into()).unwrap()),
    }
}
