//! Rows for the checks, each with a random name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use hive_store::access::{Authority, Role, VisibleScope};
use hive_store::audit::{AuditAction, AuditDraft};
use hive_store::{
    ApiKeyRow, CommandInsertOutcome, CommandOutcome, CommandRow, NamePolicy, NeededRoles, NewCommand,
    NewRegistrationTokenRow, NewSatellite, NewSession, NewUserRow, RegisterOutcome, RowRange, SatelliteRow, Store,
};
use hive_wire::agent::SystemInfo;
use hive_wire::api::{
    Actor, AuditEntry, AuditQuery, CommandEnd, CommandStatus, PlatformRole, Size, Team, TokenScope, User,
};
use hive_wire::id::Seed;
use hive_wire::{
    ApiKeyId, AuditId, CommandId, RegistrationTokenId, SatelliteId, SatelliteName, SessionId, TeamId, Timestamp, UserId,
};
use serde_json::json;

pub(crate) const DAY: Duration = Duration::from_hours(24);

pub(crate) struct Fixture {
    pub(crate) store: Arc<dyn Store>,
    /// The teams of the satellites when they registered.
    teams: Arc<Mutex<HashMap<SatelliteId, Option<TeamId>>>>,
}

#[expect(clippy::unused_self, reason = "a check gets everything from its fixture")]
impl Fixture {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, teams: Arc::default() }
    }

    /// A fixture for another store on the same database.
    pub(crate) fn beside(&self, store: Arc<dyn Store>) -> Self {
        Self { store, teams: self.teams.clone() }
    }

    /// Returns the time of the system, because other processes may use the store at the same time.
    #[expect(clippy::disallowed_methods, reason = "a check runs without a hive and its clock")]
    pub(crate) fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_micros(0).plus(since_epoch)
    }

    /// Returns a seed for a new id.
    pub(crate) fn seed(&self) -> Seed {
        Seed { unix_millis: self.now().unix_millis(), random: random() }
    }

    /// Returns a seed for an id of this time.
    pub(crate) fn seed_at(&self, at: Timestamp) -> Seed {
        Seed { unix_millis: at.unix_millis(), random: random() }
    }

    /// Returns a word that no other check uses.
    pub(crate) fn unique(&self) -> String {
        HEXLOWER.encode(&random::<10>())
    }

    pub(crate) fn name(&self) -> SatelliteName {
        format!("box-{}", self.unique()).try_into().unwrap()
    }

    pub(crate) fn user_id(&self) -> UserId {
        UserId::new(self.seed())
    }

    pub(crate) fn draft(&self) -> AuditDraft {
        self.draft_by(&self.unique())
    }

    /// Returns a record by an actor, by which a check finds its own records.
    pub(crate) fn draft_by(&self, actor: &str) -> AuditDraft {
        let ip = Some("192.0.2.1".into());
        let actor = Actor { kind: "user".into(), id: actor.into(), name: "anna".into(), ip };
        AuditDraft::new(AuditId::new(self.seed()), self.now(), actor, AuditAction::AuditNote, self.unique())
            .with_details(json!({ "nested": { "b": 1, "a": "ä\u{0}\n" } }))
    }

    /// Returns the records of an actor, oldest first.
    pub(crate) async fn records_by(&self, actor: &str) -> Vec<AuditEntry> {
        let query = AuditQuery { actor: Some(actor.into()), ..AuditQuery::default() };
        let (mut records, total) = self.store.audit_list(&query, &VisibleScope::ALL, RowRange::ALL).await.unwrap();
        assert_eq!(records.len() as u64, total);
        records.reverse();
        records
    }

    pub(crate) async fn team(&self) -> TeamId {
        let team =
            Team { id: TeamId::new(self.seed()), slug: self.unique(), created_at: self.now(), team_user: Role::Viewer };
        self.store.team_create(team.clone(), self.draft()).await.unwrap();
        team.id
    }

    pub(crate) async fn user(&self) -> User {
        self.store.user_create(self.new_user(&self.unique()), self.draft()).await.unwrap()
    }

    pub(crate) fn new_user(&self, username: &str) -> NewUserRow {
        let (id, role) = (self.user_id(), PlatformRole::GlobalUser);
        let user = User { id, username: username.into(), role, created_at: self.now(), disabled_at: None };
        NewUserRow { user, password_hash: "$argon2id$password".into() }
    }

    pub(crate) fn api_key(&self, user: UserId) -> ApiKeyRow {
        ApiKeyRow {
            id: ApiKeyId::new(self.seed()),
            user_id: user,
            name: "ci".into(),
            hash: "$argon2id$key".into(),
            parent: None,
            previous: None,
            scopes: None,
            satellite_tags: None,
            addresses: None,
            rate_per_minute: None,
            created_at: self.now(),
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        }
    }

    /// Returns the roles that queued work and tokens need.
    pub(crate) fn needed(&self) -> NeededRoles {
        NeededRoles { exec: Role::Operator, power: Role::Admin, tokens: Role::Admin }
    }

    pub(crate) async fn token(&self, team: Option<TeamId>) -> RegistrationTokenId {
        self.token_until(team, self.now().plus(DAY)).await
    }

    pub(crate) async fn token_until(&self, team: Option<TeamId>, expires_at: Timestamp) -> RegistrationTokenId {
        let token = NewRegistrationTokenRow {
            id: RegistrationTokenId::new(self.seed()),
            scope: if team.is_some() { TokenScope::Team } else { TokenScope::Global },
            team_id: team,
            description: Some("a check's".into()),
            actor: self.draft().actor,
            authorised_by: Authority::Role,
            tags: Vec::new(),
            allowed_tags: Vec::new(),
            for_satellite: None,
            created_at: self.now(),
            expires_at,
        };
        let id = token.id;
        self.store.registration_token_create(token, self.draft()).await.unwrap();
        id
    }

    pub(crate) fn new_satellite(&self, name: &SatelliteName, team: Option<TeamId>) -> NewSatellite {
        NewSatellite {
            id: SatelliteId::new(self.seed()),
            name: name.clone(),
            team_id: team,
            capabilities: vec!["shell".into(), "power".into()],
            tags: vec!["web".into(), "eu".into(), "web".into()],
            claimed_tags: vec!["rack-7".into()],
            satellite_url: "http://127.0.0.1:3001".into(),
            system: SystemInfo { hostname: "host-1".into(), memory_total_mb: 512, ..SystemInfo::default() },
            agent_version: Some("0.1.0".into()),
            api_key_hash: format!("$argon2id${}", self.unique()),
            created_by: "anna".into(),
            name_use: NamePolicy::New,
            attempt_hash: None,
            now: self.now(),
        }
    }

    pub(crate) async fn register(&self, name: &SatelliteName, team: Option<TeamId>) -> SatelliteRow {
        let token = self.token(team).await;
        match self.store.satellite_register(token, self.new_satellite(name, team), self.draft()).await.unwrap() {
            RegisterOutcome::Registered(row) => {
                self.teams.lock().unwrap().insert(row.id, row.team_id);
                *row
            }
            other => panic!("not registered: {other:?}"),
        }
    }

    /// Registers a satellite in a new team.
    pub(crate) async fn satellite(&self) -> SatelliteRow {
        let team = self.team().await;
        self.register(&self.name(), Some(team)).await
    }

    /// Returns the team of a satellite when it registered.
    pub(crate) fn team_of(&self, satellite: SatelliteId) -> Option<TeamId> {
        self.teams.lock().unwrap().get(&satellite).copied().flatten()
    }

    /// Returns a command for a satellite in the team in which it registered.
    pub(crate) fn new_command(&self, satellite: SatelliteId) -> NewCommand {
        let now = self.now();
        NewCommand::new(CommandId::new(self.seed()), satellite, self.draft().actor, now, now.plus(DAY))
            .payload(r#"{"command":"true"}"#.into())
            .summary("true".into())
            .team_id(self.team_of(satellite))
    }

    pub(crate) async fn insert(&self, command: NewCommand) -> CommandId {
        let id = command.id;
        assert_eq!(
            self.store.command_insert(vec![command], None, self.draft()).await.unwrap(),
            CommandInsertOutcome::New
        );
        id
    }

    pub(crate) async fn command(&self) -> CommandId {
        let satellite = self.satellite().await.id;
        self.insert(self.new_command(satellite)).await
    }

    pub(crate) async fn stored(&self, id: CommandId) -> CommandRow {
        self.store.command_get(id).await.unwrap().unwrap()
    }

    pub(crate) fn outcome(&self, status: CommandStatus) -> CommandOutcome {
        CommandOutcome { status, end: CommandEnd::default(), finished_at: self.now(), output: Vec::new() }
    }

    pub(crate) fn new_session(&self, satellite: SatelliteId) -> NewSession {
        NewSession {
            id: SessionId::new(self.seed()),
            satellite_id: satellite,
            team_id: self.team_of(satellite),
            size: Size::default(),
            shell: None,
            actor: self.draft().actor,
            authorised_by: Authority::Role,
            created_at: self.now(),
        }
    }
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}
