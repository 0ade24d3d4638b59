//! The decision table of access, compared with what a running hive answers: over REST, in lists and totals, and in events.

mod random;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hive_core::access::{AccessDecision, Credential, Permission, Principal, ResourceScope, Role, may, visible_scope};
use hive_core::wire::api::PlatformRole;
use hive_core::wire::id::Seed;
use hive_core::wire::{TeamId, UserId};
use hive_testkit::{Rest, SatelliteOptions, StreamedEvents, TestHive, TestSatellite, UiClient};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::text;

/// How long a stream has to be silent before it counts as read.
const SILENCE: Duration = Duration::from_millis(700);

/// A caller: the principal of the table, and the same over REST.
struct TableCaller {
    name: &'static str,
    principal: Principal,
    rest: Rest,
    key: String,
}

/// A satellite as the table knows it.
struct TableSatellite {
    satellite: TestSatellite,
    team: Option<TeamId>,
    tags: Vec<String>,
}

impl TableSatellite {
    fn scope(&self) -> ResourceScope<'_> {
        ResourceScope::Satellite { team: self.team, tags: &self.tags }
    }
}

/// What a key is limited to: its scopes and its tags.
type CallerLimits<'l> = (Option<&'l [&'l str]>, Option<&'l [&'l str]>);

struct TenancyTable {
    hive: TestHive,
    machines: Vec<TableSatellite>,
    callers: Vec<TableCaller>,
}

impl TenancyTable {
    async fn start() -> Self {
        let hive = TestHive::start().await;
        let (ops, dev) = (hive.new_team("ops").await, hive.new_team("dev").await);
        let mut machines = Vec::new();
        for (name, team, tags) in [
            ("ops-staging", Some(&ops), vec!["staging"]),
            ("ops-plain-01", Some(&ops), vec![]),
            ("dev-staging", Some(&dev), vec!["staging", "web"]),
            ("for-all-teams", None, vec!["web"]),
        ] {
            let tags: Vec<String> = tags.into_iter().map(str::to_owned).collect();
            let options = SatelliteOptions { team_id: team.cloned(), ..SatelliteOptions::default() };
            let satellite = hive.satellite_with(name, options).await;
            hive.rest().put(&satellite.path(""), &json!({ "tags": tags })).await.data();
            machines.push(TableSatellite { satellite, team: team.map(|team| team.parse().unwrap()), tags });
        }
        let (ops, dev) = (ops.parse().unwrap(), dev.parse().unwrap());
        let mut world = Self { hive, machines, callers: Vec::new() };
        let none: CallerLimits<'_> = (None, None);
        world.add("viewer", &[(ops, Role::Viewer)], none).await;
        world.add("operator", &[(ops, Role::Operator)], none).await;
        world.add("team-admin", &[(dev, Role::Admin)], none).await;
        world.add("mixed", &[(ops, Role::Viewer), (dev, Role::Operator)], none).await;
        world.add("nobody", &[], none).await;
        let both = [(ops, Role::Admin), (dev, Role::Operator)];
        world.add("reader-key", &both, (Some(&["satellites.read"]), None)).await;
        world.add("exec-key", &both, (Some(&["satellites.read", "satellites.exec"]), None)).await;
        world.add("staging-key", &both, (None, Some(&["staging"]))).await;
        world.add("web-tagger", &both, (Some(&["satellites.read", "satellites.tag"]), Some(&["web"]))).await;
        world
    }

    /// Adds a user with these roles, who acts by a key with these limits.
    async fn add(&mut self, name: &'static str, teams: &[(TeamId, Role)], (scopes, tags): CallerLimits<'_>) {
        let admin = self.hive.rest();
        let user = json!({ "username": name, "role": "global_user" });
        admin.post("/api/v1/users", &user).await.data();
        for (team, role) in teams {
            let member = json!({ "username": name, "role": role });
            admin.put(&format!("/api/v1/teams/{team}/members"), &member).await.data();
        }
        // Made by the user and not by the admin: a key has at most the rights of its maker.
        let own = self.hive.anonymous().with("x-api-key", &self.hive.new_api_key(name).await);
        let mut request = json!({ "name": name });
        if let Some(scopes) = scopes {
            request["scopes"] = json!(scopes);
        }
        if let Some(tags) = tags {
            request["satellites"] = tags.iter().map(|tag| format!("tag:{tag}")).collect();
        }
        let key = own.post("/api/v1/api-keys", &request).await.data();
        let rest = self.hive.anonymous().with("x-api-key", text(&key["api_key"]));
        let id = UserId::new(Seed { unix_millis: 1, random: [7; 10] });
        let mut principal = Principal::new(Credential::Login(id), name, PlatformRole::GlobalUser);
        principal.teams = teams.iter().cloned().collect();
        principal.scopes = scopes.map(|scopes| scopes.iter().map(|word| Permission::from(*word)).collect());
        principal.satellite_tags = tags.map(|tags| tags.iter().map(|tag| (*tag).to_owned()).collect());
        let key = text(&key["api_key"]).to_owned();
        self.callers.push(TableCaller { name, principal, rest, key });
    }

    /// The names of the satellites that a caller may read, by the table.
    fn visible(&self, caller: &TableCaller) -> BTreeSet<&str> {
        let visible = visible_scope(&caller.principal, &Permission::SatellitesRead);
        let covered = self.machines.iter().filter(|machine| visible.covers(machine.team, Some(&machine.tags)));
        covered.map(|machine| machine.satellite.name()).collect()
    }
}

fn status_of(decision: AccessDecision, allowed: u16) -> u16 {
    match decision {
        AccessDecision::Allow => allowed,
        AccessDecision::Forbid => 403,
        AccessDecision::Hide => 404,
    }
}

fn names(list: &Value, field: &str) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|row| text(&row[field]).to_owned()).collect()
}

#[tokio::test]
async fn rest_lists_jobs_and_events_answer_as_the_table_decides() {
    let world = TenancyTable::start().await;
    each_satellite(&world).await;
    lists(&world).await;
    jobs_and_commands(&world).await;
    events(&world).await;
}

/// Each call on each satellite, by each caller.
async fn each_satellite(world: &TenancyTable) {
    for caller in &world.callers {
        for machine in &world.machines {
            let path = |rest| machine.satellite.path(rest);
            let put = json!({ "tags": machine.tags });
            for (permission, method, path, body, allowed) in [
                (Permission::SatellitesRead, "GET", path(""), Value::Null, 200),
                (Permission::SatellitesTag, "PUT", path(""), put, 200),
                (Permission::SatellitesExec, "POST", path("/exec"), json!({ "command": "true" }), 200),
                (Permission::SatellitesManage, "POST", path("/disconnect"), json!({}), 0),
                (Permission::SatellitesDelete, "DELETE", path(""), Value::Null, 0),
            ] {
                let decision = may(&caller.principal, &permission, machine.scope());
                // What would take the satellite away is tried only where it is refused.
                if allowed == 0 && decision == AccessDecision::Allow {
                    continue;
                }
                let answer = caller.rest.call(method, &path).json(&body).answer().await;
                let case = format!("{}: {permission} on {}", caller.name, machine.satellite.name());
                assert_eq!(answer.status, status_of(decision, allowed), "{case}: {}", answer.text());
            }
        }
    }
}

/// Lists and their totals.
async fn lists(world: &TenancyTable) {
    for caller in &world.callers {
        let answer = caller.rest.get("/api/v1/satellites").await.json();
        let expected: BTreeSet<_> = world.visible(caller).into_iter().map(str::to_owned).collect();
        assert_eq!(names(&answer["data"], "name"), expected, "{}", caller.name);
        assert_eq!(answer["pagination"]["total"], json!(expected.len()), "{}", caller.name);
        // The tag is one of both teams.
        let tagged = caller.rest.get("/api/v1/satellites/by-tag/staging").await.data();
        assert!(names(&tagged, "name").is_subset(&expected), "{}", caller.name);
        let audit = caller.rest.get("/api/v1/audit/logs").await;
        let readable = visible_scope(&caller.principal, &Permission::AuditRead);
        assert_eq!(audit.status, if readable.is_nothing() { 403 } else { 200 }, "{}", caller.name);
    }
}

/// Jobs are hidden unless all of their satellites are visible; what was run is for those who may read it.
async fn jobs_and_commands(world: &TenancyTable) {
    let admin = world.hive.rest();
    let subsets: [&[usize]; 4] = [&[0], &[0, 1], &[0, 2], &[3]];
    let mut jobs = BTreeMap::new();
    for subset in subsets {
        let targets: Vec<_> = subset.iter().map(|index| world.machines[*index].satellite.name()).collect();
        let job = admin.post("/api/v1/jobs", &json!({ "targets": targets, "command": "echo secret" })).await.data();
        jobs.insert(text(&job["id"]).to_owned(), subset);
    }
    for caller in &world.callers {
        let covers = |permission: &Permission, subset: &[usize]| {
            let visible = visible_scope(&caller.principal, permission);
            subset.iter().all(|index| {
                let machine = &world.machines[*index];
                visible.covers(machine.team, Some(&machine.tags))
            })
        };
        let listed = caller.rest.get("/api/v1/jobs").await.json();
        let seen = jobs.iter().filter(|(_, subset)| covers(&Permission::SatellitesRead, subset));
        let seen: BTreeSet<_> = seen.map(|(id, _)| id.clone()).collect();
        assert_eq!(names(&listed["data"], "id"), seen, "{}", caller.name);
        assert_eq!(listed["pagination"]["total"], json!(seen.len()), "{}", caller.name);
        for (id, subset) in &jobs {
            let answer = caller.rest.get(&format!("/api/v1/jobs/{id}")).await;
            assert_eq!(answer.status == 200, seen.contains(id), "{}: {}", caller.name, answer.text());
            if answer.status == 200 {
                let is_readable = covers(&Permission::CommandsRead, subset);
                assert_eq!(answer.text().contains("echo secret"), is_readable, "{}", caller.name);
                check_targets(world, caller, id).await;
            // A refusal may name what it refuses, and never what is in it.
            } else if !caller.principal.teams.is_empty() {
                assert!(!answer.text().contains("echo"), "{}", answer.text());
            }
        }
    }
}

/// The commands of a job's targets, one by one.
async fn check_targets(world: &TenancyTable, caller: &TableCaller, job: &str) {
    let readable = visible_scope(&caller.principal, &Permission::CommandsRead);
    let targets = caller.rest.get(&format!("/api/v1/jobs/{job}/targets")).await.data();
    for target in targets.as_array().unwrap() {
        let Some(command) = target["command_id"].as_str() else { continue };
        // A job is read where all of its satellites are. Of its commands, each counts for its own satellite.
        let is_target = |machine: &&TableSatellite| machine.satellite.id() == text(&target["satellite_id"]);
        let machine = world.machines.iter().find(is_target).unwrap();
        let is_readable = readable.covers(machine.team, Some(&machine.tags));
        let info = caller.rest.get(&format!("/api/v1/commands/{command}")).await.data();
        assert_eq!(info["summary"] == "echo secret", is_readable, "{}: {info}", caller.name);
        assert_eq!(info["redacted"] == true, !is_readable, "{}: {info}", caller.name);
        let output = caller.rest.get(&format!("/api/v1/commands/{command}/output?channel=stdout")).await;
        assert_eq!(output.status, if is_readable { 200 } else { 403 }, "{}: {}", caller.name, output.text());
    }
}

/// Each caller hears of the satellites that it sees, and of no others.
async fn events(world: &TenancyTable) {
    let mut streams = Vec::new();
    for caller in &world.callers {
        let stream = caller.rest.call("GET", "/api/v1/events").events().await;
        let address = world.hive.url().trim_start_matches("http://");
        let mut socket = UiClient::open(address, &caller.key).await;
        let first = socket.next().await;
        let expected = world.visible(caller).into_iter().map(str::to_owned).collect();
        assert_eq!(names(&first["data"]["satellites"], "name"), expected, "{}: the UI socket", caller.name);
        streams.push((stream, socket));
    }
    for machine in &world.machines {
        let mut tags = machine.tags.clone();
        tags.push("changed".into());
        world.hive.rest().put(&machine.satellite.path(""), &json!({ "tags": tags })).await.data();
    }
    for (caller, (stream, socket)) in world.callers.iter().zip(streams) {
        let heard = updated(stream).await;
        assert_eq!(updated_on_socket(socket).await, heard, "{}: the UI socket", caller.name);
        let ids = world.machines.iter().filter(|machine| world.visible(caller).contains(machine.satellite.name()));
        let expected: BTreeSet<_> = ids.map(|machine| machine.satellite.id().to_owned()).collect();
        assert_eq!(heard, expected, "{}", caller.name);
    }
}

/// The satellites of which a UI socket reports a change, until it is silent.
async fn updated_on_socket(mut socket: UiClient) -> BTreeSet<String> {
    let mut heard = BTreeSet::new();
    while let Ok(message) = timeout(SILENCE, socket.try_next()).await {
        let message = message.expect("the socket stays open");
        if message["event"] == "satellite:updated" {
            heard.insert(text(&message["data"]["id"]).to_owned());
        }
    }
    heard
}

/// The satellites of which a stream reports a change, until it is silent.
async fn updated(mut stream: StreamedEvents) -> BTreeSet<String> {
    let mut heard = BTreeSet::new();
    while let Ok(Some((name, event))) = timeout(SILENCE, stream.next()).await {
        if name == "satellite:updated" {
            heard.insert(text(&event["data"]["id"]).to_owned());
        }
    }
    heard
}
