//! A hive with one object of each kind in a team, and the callers who may not use them.

use hive_testkit::{Rest, SatelliteOptions, TestHive, TestSatellite};
use serde_json::{Value, json};

use super::document::Operation;
use crate::support::text;

/// The objects belong to the team `ops`, and the API key to the global admin.
pub(super) struct EndpointWorld {
    pub(super) hive: TestHive,
    pub(super) satellite: TestSatellite,
    /// The admin of another team.
    pub(super) other: Rest,
    /// A viewer of the same team.
    pub(super) viewer: Rest,
    /// A key of the admin that may read the audit log, and nothing else.
    pub(super) limited: Rest,
    ids: Vec<(&'static str, String)>,
}

/// Callers by a credential that was revoked.
pub(super) struct RevokedCallers {
    pub(super) user: Rest,
    pub(super) satellite: Rest,
    pub(super) token: Rest,
}

impl EndpointWorld {
    pub(super) async fn new() -> Self {
        let hive = TestHive::start().await;
        let (team, _) = (hive.new_team("ops").await, hive.new_team("dev").await);
        let options = SatelliteOptions { team_id: Some(team.clone()), ..SatelliteOptions::default() };
        let satellite = hive.satellite_with("satellite-ops", options).await;
        let other = member(&hive, "dora", "dev", "admin").await;
        let viewer = member(&hive, "vera", "ops", "viewer").await;
        let ids = objects(&hive, &satellite, &team).await;
        let key =
            hive.rest().post("/api/v1/api-keys", &json!({ "name": "audit", "scopes": ["audit.read"] })).await.data();
        let limited = hive.anonymous().with("x-api-key", text(&key["api_key"]));
        Self { hive, satellite, other, viewer, limited, ids }
    }

    /// The path of an operation with the ids of the objects.
    pub(super) fn fill(&self, operation: &Operation) -> String {
        operation.fill(|kind| {
            let found = self.ids.iter().find(|(known, _)| *known == kind);
            found.unwrap_or_else(|| panic!("{operation}: this world has no {kind}")).1.clone()
        })
    }

    /// Makes a credential of each kind, and revokes it.
    pub(super) async fn revoked_callers(&self) -> RevokedCallers {
        let (admin, anonymous) = (self.hive.rest(), self.hive.anonymous());
        let key = admin.post("/api/v1/api-keys", &json!({ "name": "revoked" })).await.data();
        let revoked = admin.delete(&format!("/api/v1/api-keys/{}", text(&key["info"]["id"]))).await;
        assert!(revoked.is_success(), "{}", revoked.text());
        let token = admin.post("/api/v1/registration-tokens", &json!({ "scope": "global" })).await.data();
        let revoked = admin.delete(&format!("/api/v1/registration-tokens/{}", text(&token["id"]))).await;
        assert!(revoked.is_success(), "{}", revoked.text());
        let satellite = self.hive.satellite("satellite-gone").await;
        let of_satellite = anonymous.bearer(&satellite.api_key());
        assert!(admin.delete(&satellite.path("")).await.is_success());
        RevokedCallers {
            user: anonymous.with("x-api-key", text(&key["api_key"])),
            satellite: of_satellite,
            token: anonymous.bearer(text(&token["token"])),
        }
    }
}

/// Somebody who is in this team alone.
async fn member(hive: &TestHive, username: &str, team: &str, role: &str) -> Rest {
    hive.server_command(&["user", "create", "--username", username]).await;
    hive.server_command(&["team", "add", "--team", team, "--username", username, "--role", role]).await;
    hive.anonymous().with("x-api-key", &hive.new_api_key(username).await)
}

/// Makes one object of each kind. Returns their ids by kind.
async fn objects(hive: &TestHive, satellite: &TestSatellite, team: &str) -> Vec<(&'static str, String)> {
    let admin = hive.rest();
    let id = |value: &Value| text(&value["id"]).to_owned();
    let command = hive.exec(satellite, "true").await;
    let job = admin.post("/api/v1/jobs", &json!({ "targets": ["all"], "command": "true" })).await.data();
    let session = admin.post("/api/v1/sessions", &json!({ "satellite_id": satellite.id() })).await.data();
    let token = admin.post("/api/v1/registration-tokens", &json!({ "scope": "team", "team_id": team })).await.data();
    let group = admin.post("/api/v1/groups", &json!({ "name": "web", "team_id": team, "query": "web" })).await.data();
    let user = admin.post("/api/v1/users", &json!({ "username": "ulf" })).await.data();
    let key = admin.post("/api/v1/api-keys", &json!({ "name": "ci" })).await.data();
    let records = admin.get(&format!("/api/v1/audit/logs?satellite_id={}", satellite.id())).await.data();
    vec![
        ("SatelliteId", satellite.id().to_owned()),
        ("TeamId", team.to_owned()),
        ("CommandId", text(&command["command_id"]).to_owned()),
        ("JobId", id(&job)),
        ("SessionId", id(&session)),
        ("RegistrationTokenId", id(&token)),
        ("GroupId", id(&group)),
        ("UserId", id(&user["user"])),
        ("ApiKeyId", id(&key["info"])),
        ("AuditId", id(&records[0])),
    ]
}
