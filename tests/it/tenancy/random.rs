//! Random callers, objects and actions on a running hive: REST answers, lists, totals, the targets of jobs and events say what
//! `access::may` decides.
//!
//! A world has teams, satellites without a link, commands, jobs and groups; its callers have random roles, and keys with random scopes and
//! tags. What the hive answers is compared with the decision about the principal that the key should be.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use hive_core::access::{AccessDecision, Credential, Permission, Principal, ResourceScope, Role, may, visible_scope};
use hive_core::wire::api::PlatformRole;
use hive_core::wire::id::Seed;
use hive_core::wire::{TeamId, UserId};
use hive_testkit::{Answer, Rest, TestHive};
use serde_json::{Value, json};

use super::{names, status_of, updated};
use crate::support::{Dice, number, text};

const TAGS: [&str; 3] = ["staging", "web", "canary"];
const SATELLITES: usize = 10;
const CALLERS: usize = 12;
/// Jobs that the callers create, at most: a list of them has to be one page.
const MAX_JOBS: usize = 60;
/// Decisions between two comparisons of the lists.
const ROUND: usize = 100;

#[tokio::test]
async fn random_decisions_of_a_running_hive_are_those_of_the_table() {
    decide(400).await;
}

mod long {
    #[tokio::test]
    async fn random_decisions_of_a_running_hive_are_those_of_the_table() {
        super::decide(10_000).await;
    }
}

/// Compares this many decisions. `HIVE_TENANCY_SEED` repeats a run.
async fn decide(count: usize) {
    let seed = number("HIVE_TENANCY_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    // What fails has said so by then; this says how to see it again.
    let compared = AssertUnwindSafe(compare(seed, count)).catch_unwind().await;
    assert!(compared.is_ok(), "HIVE_TENANCY_SEED={seed} repeats it");
}

async fn compare(seed: u64, count: usize) {
    let mut world = RandomTenancy::start(Dice::of(seed)).await;
    for decision in 0..count {
        // Lists grow with the jobs of the decisions, so that they are compared now and then.
        if decision % ROUND == 0 {
            world.lists().await;
        }
        world.decision().await;
    }
    world.lists().await;
    world.events().await;
}

struct RandomSatellite {
    id: String,
    name: String,
    team: Option<TeamId>,
    tags: Vec<String>,
    /// A command of an admin.
    command: String,
}

impl RandomSatellite {
    fn scope(&self) -> ResourceScope<'_> {
        ResourceScope::Satellite { team: self.team, tags: &self.tags }
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/satellites/{}{rest}", self.id)
    }
}

struct RandomGroup {
    id: String,
    team: Option<TeamId>,
    /// The tag of its query.
    tag: &'static str,
}

struct RandomCaller {
    name: String,
    principal: Principal,
    rest: Rest,
}

impl RandomCaller {
    fn may(&self, permission: &Permission, scope: ResourceScope<'_>) -> AccessDecision {
        may(&self.principal, permission, scope)
    }

    fn is_allowed(&self, permission: &Permission, machine: &RandomSatellite) -> bool {
        self.may(permission, machine.scope()) == AccessDecision::Allow
    }
}

struct RandomTenancy {
    hive: TestHive,
    dice: Dice,
    teams: Vec<TeamId>,
    machines: Vec<RandomSatellite>,
    groups: Vec<RandomGroup>,
    callers: Vec<RandomCaller>,
    /// The satellites of each job.
    jobs: BTreeMap<String, BTreeSet<usize>>,
}

impl RandomTenancy {
    async fn start(dice: Dice) -> Self {
        let hive = TestHive::start().await;
        let mut world = Self {
            hive,
            dice,
            teams: Vec::new(),
            machines: Vec::new(),
            groups: Vec::new(),
            callers: Vec::new(),
            jobs: BTreeMap::new(),
        };
        for slug in ["ops", "dev", "lab"] {
            world.teams.push(world.hive.new_team(slug).await.parse().unwrap());
        }
        for number in 0..SATELLITES {
            world.add_machine(number).await;
        }
        for number in 0..4 {
            let (team, tag) = (world.team(), TAGS[world.dice.below(3) as usize]);
            let group = json!({ "name": format!("group-number-{number}"), "team_id": team, "query": tag });
            let made = world.hive.rest().post("/api/v1/groups", &group).await.data();
            world.groups.push(RandomGroup { id: text(&made["id"]).to_owned(), team, tag });
        }
        for _ in 0..6 {
            let targets: BTreeSet<_> = (0..=world.dice.below(3)).map(|_| world.dice.below(10) as usize).collect();
            let names: Vec<_> = targets.iter().map(|index| &world.machines[*index].name).collect();
            let job = json!({ "targets": names, "command": "echo secret" });
            let made = world.hive.rest().post("/api/v1/jobs", &job).await.data();
            world.jobs.insert(text(&made["id"]).to_owned(), targets);
        }
        for number in 0..CALLERS {
            world.add_caller(number).await;
        }
        world
    }

    /// One of the teams, or none.
    fn team(&mut self) -> Option<TeamId> {
        let number = self.dice.below(self.teams.len() as u64 + 1) as usize;
        self.teams.get(number).copied()
    }

    fn some_tags(&mut self) -> Vec<String> {
        TAGS.iter().filter(|_| self.dice.below(2) == 0).map(|tag| (*tag).to_owned()).collect()
    }

    /// Registers a satellite that never connects: its commands wait.
    async fn add_machine(&mut self, number: usize) {
        let (team, mut tags, name) = (self.team(), self.some_tags(), format!("machine-number-{number:02}"));
        tags.sort();
        let admin = self.hive.rest();
        let token = self.hive.new_token(team.map(|team| team.to_string()).as_deref()).await;
        let body = json!({ "name": name, "system_info": { "os": "linux", "arch": "x86_64" } });
        let registered = self.hive.anonymous().bearer(&token).post("/api/satellites/register", &body).await.json();
        let id = text(&registered["satellite"]["id"]).to_owned();
        let path = format!("/api/v1/satellites/{id}");
        // Active without a link: commands wait, and nothing that a satellite does can change an answer.
        admin.put(&path, &json!({ "tags": tags, "status": "active" })).await.data();
        let queued = admin.post(&format!("{path}/exec?wait=false"), &json!({ "command": "echo secret" })).await.data();
        let command = text(&queued["command_id"]).to_owned();
        self.machines.push(RandomSatellite { id, name, team, tags, command });
    }

    /// Adds a user with random roles, who acts by a key with random limits.
    async fn add_caller(&mut self, number: usize) {
        let (admin, name) = (self.hive.rest(), format!("user-{number}"));
        admin.post("/api/v1/users", &json!({ "username": name, "role": "global_user" })).await.data();
        let id = UserId::new(Seed { unix_millis: 1, random: [number as u8; 10] });
        let mut principal = Principal::new(Credential::Login(id), &name, PlatformRole::GlobalUser);
        for team in self.teams.clone() {
            let role = [Some(Role::Viewer), Some(Role::Operator), Some(Role::Admin), None][self.dice.below(4) as usize]
                .clone();
            let Some(role) = role else { continue };
            let member = json!({ "username": name, "role": role });
            admin.put(&format!("/api/v1/teams/{team}/members"), &member).await.data();
            principal.teams.insert(team, role);
        }
        // The limited key is made by the user, whose rights bound it.
        let own = self.hive.anonymous().with("x-api-key", &self.hive.new_api_key(&name).await);
        let mut request = json!({ "name": name });
        if self.dice.below(2) == 0 {
            // Nobody gives a permission that they have nowhere.
            let has = |permission: &Permission| !visible_scope(&principal, permission).is_nothing();
            let owned: Vec<_> = Permission::KNOWN.iter().filter(|permission| has(permission)).cloned().collect();
            let mut scopes: BTreeSet<_> = owned.into_iter().filter(|_| self.dice.below(2) == 0).collect();
            // Else the key could not ask who it is.
            scopes.insert(Permission::ApiKeysOwn);
            request["scopes"] = json!(scopes);
            principal.scopes = Some(scopes);
        }
        if self.dice.below(3) == 0 {
            // At least one: a key for no tags is refused.
            let tags: BTreeSet<_> = self.some_tags().into_iter().chain(["web".to_owned()]).collect();
            request["satellites"] = tags.iter().map(|tag| format!("tag:{tag}")).collect();
            principal.satellite_tags = Some(tags);
        }
        let key = own.post("/api/v1/api-keys", &request).await.data();
        let rest = self.hive.anonymous().with("x-api-key", text(&key["api_key"]));
        self.callers.push(RandomCaller { name, principal, rest });
    }

    async fn decision(&mut self) {
        let caller = self.dice.below(CALLERS as u64) as usize;
        match self.dice.below(10) {
            0..5 => self.on_satellite(caller).await,
            5 | 6 => self.on_command(caller).await,
            7 => self.on_job(caller).await,
            8 => self.on_group(caller).await,
            _ => self.targets(caller).await,
        }
    }

    async fn on_satellite(&mut self, caller: usize) {
        // Both are thrown before the caller is borrowed.
        let (action, index) = (self.dice.below(7), self.dice.below(SATELLITES as u64) as usize);
        let (caller, machine) = (&self.callers[caller], &self.machines[index]);
        let exec = json!({ "command": "true" });
        let (permission, method, rest, body, allowed) = match action {
            0 => (Permission::SatellitesRead, "GET", "", Value::Null, 200),
            1 => (Permission::SatellitesRead, "GET", "/commands?per_page=1000", Value::Null, 200),
            2 => (Permission::SatellitesExec, "POST", "/exec?wait=false", exec, 202),
            3 => (Permission::SatellitesTag, "PUT", "", json!({ "tags": machine.tags }), 200),
            4 => (Permission::SatellitesManage, "GET", "/addresses", Value::Null, 200),
            5 => (Permission::SatellitesManage, "POST", "/disconnect", json!({}), 200),
            // Tried only where it is refused: the satellite is needed.
            _ => (Permission::SatellitesDelete, "DELETE", "", Value::Null, 0),
        };
        let decision = caller.may(&permission, machine.scope());
        if allowed == 0 && decision == AccessDecision::Allow {
            return;
        }
        let answer = caller.rest.call(method, &machine.path(rest)).json(&body).answer().await;
        let case = format!("{}: {permission}, {method} {rest} of {}", caller.name, machine.name);
        assert_eq!(answer.status, status_of(decision, allowed), "{case}: {}", answer.text());
        if rest.starts_with("/commands") && decision == AccessDecision::Allow {
            let reads = caller.is_allowed(&Permission::CommandsRead, machine);
            assert_eq!(answer.text().contains("echo secret"), reads, "{case}: {}", answer.text());
        }
    }

    async fn on_command(&mut self, caller: usize) {
        let (is_output, index) = (self.dice.below(2) == 0, self.dice.below(SATELLITES as u64) as usize);
        let (caller, machine) = (&self.callers[caller], &self.machines[index]);
        let path = format!("/api/v1/commands/{}", machine.command);
        let sees = caller.may(&Permission::SatellitesRead, machine.scope());
        let reads = caller.is_allowed(&Permission::CommandsRead, machine);
        let case = format!("{}: the command of {}", caller.name, machine.name);
        if is_output {
            let answer = caller.rest.get(&format!("{path}/output?channel=stdout")).await;
            // Who sees a command without its output learns that there is some.
            let expected = if sees == AccessDecision::Allow && !reads { 403 } else { status_of(sees, 200) };
            assert_eq!(answer.status, expected, "{case}: {}", answer.text());
            return;
        }
        let answer = caller.rest.get(&path).await;
        assert_eq!(answer.status, status_of(sees, 200), "{case}: {}", answer.text());
        assert_eq!(answer.text().contains("echo secret"), sees == AccessDecision::Allow && reads, "{case}");
    }

    async fn on_job(&mut self, caller: usize) {
        let number = self.dice.below(self.jobs.len() as u64) as usize;
        let (caller, (id, targets)) = (&self.callers[caller], self.jobs.iter().nth(number).unwrap());
        let machines: Vec<_> = targets.iter().map(|index| &self.machines[*index]).collect();
        let all = |permission: &Permission| machines.iter().all(|machine| caller.is_allowed(permission, machine));
        let is_hidden = |machine: &&RandomSatellite| {
            caller.may(&Permission::SatellitesRead, machine.scope()) == AccessDecision::Hide
        };
        let expected = if all(&Permission::SatellitesRead) {
            200
        // A key for some satellites does not learn of jobs on others.
        } else if machines.iter().any(is_hidden) || caller.principal.satellite_tags.is_some() {
            404
        } else {
            403
        };
        let case = format!("{}: job on {targets:?}", caller.name);
        for rest in ["", "/targets"] {
            let answer = caller.rest.get(&format!("/api/v1/jobs/{id}{rest}")).await;
            assert_eq!(answer.status, expected, "{case}: {}", answer.text());
            if rest.is_empty() && expected == 200 {
                let job = answer.data();
                assert_eq!(job["redacted"] == true, !all(&Permission::CommandsRead), "{case}: {job}");
                // One hidden command line hides that of the job, which is the same.
                assert_eq!(job["summary"] == "", !all(&Permission::CommandsRead), "{case}: {job}");
            }
        }
    }

    async fn on_group(&mut self, caller: usize) {
        let group = &self.groups[self.dice.below(self.groups.len() as u64) as usize];
        let caller = &self.callers[caller];
        let decision = caller.may(&Permission::SatellitesRead, ResourceScope::team(group.team));
        let answer = caller.rest.get(&format!("/api/v1/groups/{}", group.id)).await;
        let case = format!("{}: group of {}", caller.name, group.tag);
        assert_eq!(answer.status, status_of(decision, 200), "{case}: {}", answer.text());
        if decision == AccessDecision::Allow {
            let count = self.of_group(caller, group, &Permission::SatellitesRead).len();
            assert_eq!(answer.data()["satellite_count"], json!(count), "{case}");
        }
    }

    /// The satellites of a group on which a caller has a permission.
    fn of_group(&self, caller: &RandomCaller, group: &RandomGroup, permission: &Permission) -> BTreeSet<usize> {
        let is_in = |machine: &RandomSatellite| {
            let is_of_team = group.team.is_none() || machine.team == group.team;
            is_of_team && machine.tags.iter().any(|tag| tag == group.tag) && caller.is_allowed(permission, machine)
        };
        (0..SATELLITES).filter(|index| is_in(&self.machines[*index])).collect()
    }

    /// A job of the caller runs on the satellites on which it may run one, and on no others.
    async fn targets(&mut self, caller: usize) {
        if self.jobs.len() >= MAX_JOBS {
            return;
        }
        let (kind, number) = (self.dice.below(4), self.dice.below(SATELLITES as u64) as usize);
        let run = Permission::JobsRun;
        // Such a caller is refused before its targets are read.
        let is_nowhere = visible_scope(&self.callers[caller].principal, &Permission::JobsRun).is_nothing();
        let caller = &self.callers[caller];
        let on = |is_meant: &dyn Fn(&RandomSatellite) -> bool| -> BTreeSet<usize> {
            let is_in = |machine: &RandomSatellite| is_meant(machine) && caller.is_allowed(&run, machine);
            (0..SATELLITES).filter(|index| is_in(&self.machines[*index])).collect()
        };
        // What a target selects, or the status of its refusal.
        let (target, selected) = match kind {
            0 => ("all".to_owned(), Ok(on(&|_| true))),
            1 => {
                let tag = TAGS[number % 3];
                (format!("tag:{tag}"), Ok(on(&|machine| machine.tags.iter().any(|one| one == tag))))
            }
            2 => {
                let group = &self.groups[number % self.groups.len()];
                let decision = caller.may(&run, ResourceScope::team(group.team));
                let selected = match decision {
                    AccessDecision::Allow => Ok(self.of_group(caller, group, &run)),
                    refused => Err(status_of(refused, 0)),
                };
                (format!("group:{}", group.id), selected)
            }
            _ => {
                let machine = &self.machines[number];
                let selected = match caller.may(&run, machine.scope()) {
                    AccessDecision::Allow => Ok([number].into()),
                    refused => Err(status_of(refused, 0)),
                };
                (machine.name.clone(), selected)
            }
        };
        let answer = caller.rest.post("/api/v1/jobs", &json!({ "targets": [target], "command": "echo own" })).await;
        let case = format!("{}: {target}", caller.name);
        match selected {
            Ok(selected) if !selected.is_empty() => {
                assert_eq!(answer.status, 202, "{case}: {}", answer.text());
                let id = text(&answer.data()["id"]).to_owned();
                // Asked as the admin, who sees also what the caller should not have reached.
                let listed = self.hive.rest().get(&format!("/api/v1/jobs/{id}/targets")).await.data();
                let expected: BTreeSet<_> = selected.iter().map(|index| self.machines[*index].name.clone()).collect();
                assert_eq!(names(&listed, "satellite_name"), expected, "{case}");
                self.jobs.insert(id, selected);
            }
            // Input that selects nothing is refused as such, unless the caller may run jobs nowhere.
            Ok(_) => assert_eq!(answer.status, if is_nowhere { 403 } else { 400 }, "{case}: {}", answer.text()),
            Err(status) => assert_eq!(answer.status, status, "{case}: {}", answer.text()),
        }
    }

    /// Lists and totals of all callers.
    async fn lists(&self) {
        for caller in &self.callers {
            let visible = visible_scope(&caller.principal, &Permission::SatellitesRead);
            let machines: Vec<_> =
                self.machines.iter().filter(|machine| visible.covers(machine.team, Some(&machine.tags))).collect();
            let get = async |path: &str| caller.rest.get(path).await;
            let check = |answer: &Answer, field: &str, expected: BTreeSet<String>| {
                let answer = answer.json();
                assert_eq!(names(&answer["data"], field), expected, "{}", caller.name);
                assert_eq!(answer["pagination"]["total"], json!(expected.len()), "{}", caller.name);
            };
            let seen = |machine: &&&RandomSatellite| machine.name.clone();
            let all: BTreeSet<_> = machines.iter().map(|machine| machine.name.clone()).collect();
            check(&get("/api/v1/satellites").await, "name", all);
            for tag in TAGS {
                let tagged = machines.iter().filter(|machine| machine.tags.iter().any(|one| one == tag));
                let tagged: BTreeSet<_> = tagged.map(|machine| seen(&machine)).collect();
                check(&get(&format!("/api/v1/satellites?tag={tag}")).await, "name", tagged);
            }
            for team in &self.teams {
                let of_team = machines.iter().filter(|machine| machine.team == Some(*team));
                let of_team: BTreeSet<_> = of_team.map(|machine| seen(&machine)).collect();
                check(&get(&format!("/api/v1/satellites?team={team}")).await, "name", of_team);
            }
            let mut counts: BTreeMap<_, u64> = BTreeMap::new();
            // Counts are under the same scope: a number would tell of satellites that are hidden.
            for tag in machines.iter().flat_map(|machine| &machine.tags) {
                *counts.entry(tag.clone()).or_default() += 1;
            }
            let tags = get("/api/v1/tags").await.data();
            let listed = tags.as_array().unwrap().iter();
            let listed: BTreeMap<_, _> =
                listed.map(|tag| (text(&tag["tag"]).to_owned(), tag["satellites"].as_u64().unwrap())).collect();
            assert_eq!(listed, counts, "{}", caller.name);
            let sees = |index: &usize| {
                let machine = &self.machines[*index];
                visible.covers(machine.team, Some(&machine.tags))
            };
            let jobs = self.jobs.iter().filter(|(_, targets)| targets.iter().all(sees));
            check(&get("/api/v1/jobs?per_page=100").await, "id", jobs.map(|(id, _)| id.clone()).collect());
            let groups = self.groups.iter().filter(|group| visible.covers(group.team, None));
            check(&get("/api/v1/groups").await, "id", groups.map(|group| group.id.clone()).collect());
            let teams = self.teams.iter().filter(|team| visible.teams.covers(Some(**team)));
            let teams: BTreeSet<_> = teams.map(ToString::to_string).collect();
            assert_eq!(names(&get("/api/v1/teams").await.data(), "id"), teams, "{}", caller.name);
        }
    }

    /// Each caller hears of the satellites that it sees. Another reader of events joins here: what it shows is compared with the same
    /// set.
    async fn events(&self) {
        let mut streams = Vec::new();
        for caller in &self.callers {
            streams.push(caller.rest.call("GET", "/api/v1/events").events().await);
        }
        for machine in &self.machines {
            self.hive.rest().put(&machine.path(""), &json!({ "region": "changed" })).await.data();
        }
        // All at once: each is read until it is silent for a while.
        let heard = join_all(streams.into_iter().map(updated)).await;
        for (caller, heard) in self.callers.iter().zip(heard) {
            let visible = visible_scope(&caller.principal, &Permission::SatellitesRead);
            let seen = self.machines.iter().filter(|machine| visible.covers(machine.team, Some(&machine.tags)));
            let expected: BTreeSet<_> = seen.map(|machine| machine.id.clone()).collect();
            assert_eq!(heard, expected, "{}", caller.name);
        }
    }
}
