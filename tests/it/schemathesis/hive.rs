//! A hive with one object of each kind, simulated satellites, and a caller for each role.

use std::time::Duration;

use hive_core::wire::backoff::BackoffLimits;
use hive_testkit::{Rest, ServerOptions, SimulatedIdentity, Simulator, TestHive};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::text;

/// How long the first links may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The satellites of the team, each with the tag `web`.
const SATELLITES: [&str; 4] = ["web-server-01", "web-server-02", "web-server-03", "web-server-04"];

/// As whom Schemathesis calls.
#[derive(Debug, Clone, Copy)]
pub(super) enum Caller {
    /// A global admin.
    Admin,
    /// An operator of the team.
    Operator,
    /// A viewer of the team.
    Viewer,
    /// A key of the admin that may read and run commands, on satellites with a tag.
    LimitedKey,
}

/// All objects belong to the team `ops`, but the API key, which is the admin's.
pub(super) struct DocumentedHive {
    pub(super) server: TestHive,
    simulator: Simulator,
    /// The ids of the objects, by the prefix of their kind.
    ids: Value,
    /// A user who may log in.
    login: Value,
    satellite_key: String,
}

impl DocumentedHive {
    pub(super) async fn new() -> Self {
        let options = ServerOptions {
            args: ["--no-limits", "--max-sessions-per-agent", "10000"].map(String::from).into(),
            ..ServerOptions::default()
        };
        let hive = TestHive::start_with(options).await;
        let team = hive.new_team("ops").await;
        let mut identities = Vec::new();
        for name in SATELLITES {
            identities.push(register(&hive, &team, name).await);
        }
        let (first, address) = (identities[0].clone(), hive.url().strip_prefix("http://").unwrap().to_owned());
        // One of them is disconnected again and again, and comes back at once.
        let pauses = BackoffLimits { initial: Duration::from_millis(10), max: Duration::from_millis(50) };
        let simulator = Simulator::start_with(&address, identities, pauses);
        simulator.until("all links are up", PATIENCE, |tally| tally.online == SATELLITES.len()).await;
        let user = hive.rest().post("/api/v1/users", &json!({ "username": "ulf" })).await.data();
        let login = json!({ "username": "ulf", "password": user["password"] });
        let mut ids = objects(&hive.rest(), &first, &team).await;
        ids["usr"] = user["user"]["id"].clone();
        Self { server: hive, simulator, ids, login, satellite_key: first.api_key }
    }

    /// Tells a program where the hive is, what is in it and who calls.
    pub(super) async fn tell(&self, command: &mut Command, caller: Caller) {
        let (key, password) = self.credentials(caller).await;
        let world = json!({
            "url": self.server.url(),
            "admin_key": self.server.api_key(),
            "satellite_key": self.satellite_key,
            "login": self.login,
            "password": password,
            "ids": self.ids,
        });
        let file = self.server.dir().join("world.json");
        std::fs::write(&file, world.to_string()).unwrap();
        command.env("HIVE_WORLD", file).env("HIVE_API_KEY", key).env("HIVE_SATELLITE_KEY", &self.satellite_key);
    }

    /// The API key of a caller, and the password of its owner.
    async fn credentials(&self, caller: Caller) -> (String, String) {
        let password = self.server.password().to_owned();
        match caller {
            Caller::Admin => (self.server.api_key().to_owned(), password),
            Caller::Operator => self.member("otto", "operator").await,
            Caller::Viewer => self.member("vera", "viewer").await,
            Caller::LimitedKey => {
                let scopes = ["satellites.read", "satellites.exec", "commands.read"];
                let key = json!({ "name": "limited", "scopes": scopes, "satellites": ["tag:web"] });
                let key = self.server.rest().post("/api/v1/api-keys", &key).await.data();
                (text(&key["api_key"]).to_owned(), password)
            }
        }
    }

    /// The credentials of somebody who is in the team alone.
    async fn member(&self, username: &str, role: &str) -> (String, String) {
        let hive = &self.server;
        let created = hive.server_command(&["user", "create", "--username", username]).await;
        hive.server_command(&["team", "add", "--team", "ops", "--username", username, "--role", role]).await;
        (hive.new_api_key(username).await, text(&created["password"]).to_owned())
    }

    /// Checks that the server still serves: all satellites have their links, and the audit log has no fault.
    pub(super) async fn expect_intact(self) {
        self.simulator.until("all links are up", PATIENCE, |tally| tally.online == SATELLITES.len()).await;
        let verified = self.server.rest().get("/api/v1/audit/verify").await.data();
        assert_eq!(verified["valid"], true, "{verified}");
        self.simulator.stop().await;
    }
}

async fn register(hive: &TestHive, team: &str, name: &str) -> SimulatedIdentity {
    let token = json!({ "scope": "team", "team_id": team, "tags": ["web"] });
    let token = hive.rest().post("/api/v1/registration-tokens", &token).await.data();
    let machine = json!({ "name": name, "capabilities": ["shell"], "tags": [], "system_info": {} });
    let registered = hive.anonymous().bearer(text(&token["token"])).post("/api/satellites/register", &machine).await;
    let satellite = &registered.json()["satellite"];
    SimulatedIdentity { id: text(&satellite["id"]).parse().unwrap(), api_key: text(&satellite["api_key"]).to_owned() }
}

/// Makes one object of each kind.
async fn objects(admin: &Rest, satellite: &SimulatedIdentity, team: &str) -> Value {
    let satellite = satellite.id.to_string();
    let run = format!("/api/v1/satellites/{satellite}/exec");
    let command = admin.post(&run, &json!({ "command": "true" })).await.data();
    let job = admin.post("/api/v1/jobs", &json!({ "targets": ["all"], "command": "true" })).await.data();
    let session = admin.post("/api/v1/sessions", &json!({ "satellite_id": satellite })).await.data();
    let token = admin.post("/api/v1/registration-tokens", &json!({ "scope": "team", "team_id": team })).await.data();
    let group =
        admin.post("/api/v1/groups", &json!({ "name": "web-servers", "team_id": team, "query": "web" })).await.data();
    let member = json!({ "username": "ulf", "role": "operator" });
    assert!(admin.put(&format!("/api/v1/teams/{team}/members"), &member).await.is_success());
    let key = admin.post("/api/v1/api-keys", &json!({ "name": "ci" })).await.data();
    let records = admin.get(&format!("/api/v1/audit/logs?satellite_id={satellite}")).await.data();
    json!({
        "sat": satellite,
        "team": team,
        "cmd": command["command_id"],
        "job": job["id"],
        "sess": session["id"],
        "reg": token["id"],
        "grp": group["id"],
        "key": key["info"]["id"],
        "aud": records[0]["id"],
    })
}
