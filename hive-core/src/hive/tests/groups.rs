//! Groups of satellites: as targets, and for those who may not see them.

use hive_wire::api::{
    ExecCommand, GroupCreate, GroupFilter, GroupRef, GroupUpdate, Job, PageRequest, PlatformRole,
    RegistrationTokenCreate, SatelliteUpdate, Target, TeamCreate, TokenScope, UserCreate,
};
use hive_wire::{ErrorCode, GroupId, SatelliteId, TeamId};

use super::{connect, global, hive, request, token};
use crate::access::Role;
use crate::commands::ExecOptions;
use crate::hive::{ActingHive, Hive};
use crate::identity::authentication::VerifyMode;
use crate::jobs::JobOptions;
use crate::{Error, Result};

/// A hive with two teams, in each of which somebody is an admin.
struct TwoTeams {
    hive: Hive,
    blue: TeamId,
    red: TeamId,
    anna: ActingHive,
    bert: ActingHive,
}

async fn world() -> TwoTeams {
    let hive = hive().await;
    let (blue, anna) = team(&hive, "blue", "anna").await;
    let (red, bert) = team(&hive, "red", "bert").await;
    TwoTeams { hive, blue, red, anna, bert }
}

async fn team(hive: &Hive, slug: &str, admin: &str) -> (TeamId, ActingHive) {
    let system = hive.as_system();
    let team = system.identity().team_create(TeamCreate { slug: slug.into() }).await.unwrap().id;
    member(hive, slug, admin, Role::Admin).await;
    (team, acting(hive, admin).await)
}

async fn member(hive: &Hive, slug: &str, username: &str, role: Role) {
    let (system, user) = (hive.as_system(), UserCreate { username: username.into(), role: PlatformRole::GlobalUser });
    system.identity().user_create(user).await.unwrap();
    system.team_member_add(slug, username, role).await.unwrap();
}

async fn acting(hive: &Hive, username: &str) -> ActingHive {
    let key = hive.as_system().api_key_create_for(username, hive_wire::api::ApiKeyCreate::default()).await;
    hive.acting_as(hive.authenticate_api_key(&key.unwrap().api_key, None, VerifyMode::Full).await.unwrap())
}

impl TwoTeams {
    /// A satellite of a team that was online once.
    async fn satellite(&self, name: &str, team: Option<TeamId>, tags: &[&str]) -> SatelliteId {
        let scope = if team.is_some() { TokenScope::Team } else { TokenScope::Global };
        let create = RegistrationTokenCreate { scope, team_id: team, ..global() };
        let token = token(&self.hive.as_system(), create).await;
        let registered = self.hive.register_satellite(&token, request(name), None, None).await.unwrap();
        // A satellite that was never online is inactive, and no part of the fleet that queries select.
        drop(connect(&self.hive, &registered, name).await);
        let tags = Some(tags.iter().map(|tag| (*tag).to_owned()).collect());
        let update = SatelliteUpdate { tags, ..SatelliteUpdate::default() };
        self.hive.as_system().satellites().update(registered.id, update).await.unwrap().id
    }
}

fn new_group(name: &str, team_id: Option<TeamId>, query: Option<&str>, members: &[SatelliteId]) -> GroupCreate {
    let query = query.map(|query| query.parse().unwrap());
    GroupCreate { name: name.try_into().unwrap(), team_id, query, members: members.to_vec() }
}

fn group(name: &str) -> Vec<Target> {
    vec![format!("group:{name}").parse().unwrap()]
}

async fn submit(who: &ActingHive, targets: Vec<Target>, confirm: Option<u64>) -> Result<Job> {
    let options = JobOptions { confirm, ..JobOptions::default() };
    who.jobs().submit(targets, ExecCommand::shell("true"), options).await
}

async fn names(who: &ActingHive, job: Job) -> Vec<String> {
    let targets = who.jobs().list_targets(job.id, PageRequest::default()).await.unwrap();
    targets.items.into_iter().map(|target| target.satellite_name.to_string()).collect()
}

#[tokio::test]
async fn a_group_is_the_listed_satellites_and_those_of_its_query() {
    let world = world().await;
    let (blue, anna) = (Some(world.blue), &world.anna);
    world.satellite("web-server-01", blue, &["web"]).await;
    world.satellite("web-server-02", blue, &["web", "canary"]).await;
    let db = world.satellite("database-01", blue, &["db"]).await;
    world.satellite("red-server-01", Some(world.red), &["web"]).await;
    // Neither of the two is of the team of the group, and its query must not find them.
    world.satellite("all-server-01", None, &["web"]).await;
    let created = anna.groups().create(new_group("web", blue, Some("web AND NOT canary"), &[db])).await.unwrap();
    assert_eq!((created.satellite_count, &created.members), (2, &vec![db]));
    let found = anna.groups().list_satellites(created.group.id, PageRequest::default()).await.unwrap();
    assert_eq!(found.items.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["database-01", "web-server-01"]);

    let job = submit(anna, group("web"), None).await.unwrap();
    assert_eq!(job.targets, ["group:web"]);
    // The group changes under a job that was submitted.
    let empty = GroupUpdate { query: Some(None), members: Some(Vec::new()), ..GroupUpdate::default() };
    assert_eq!(anna.groups().update(created.group.id, empty).await.unwrap().satellite_count, 0);
    assert_eq!(names(anna, job).await, ["database-01", "web-server-01"], "its targets are frozen");
    let refused = submit(anna, group("web"), None).await.unwrap_err();
    assert_eq!(refused.to_string(), "targets: no satellite for group:web");

    let by_query = submit(anna, vec!["query:all AND NOT web".parse().unwrap()], None).await.unwrap();
    assert_eq!(names(anna, by_query).await, ["database-01"]);
    let of_hive = new_group("web", None, Some("web"), &[]);
    let of_hive = world.hive.as_system().groups().create(of_hive).await.unwrap();
    assert_eq!(of_hive.satellite_count, 4, "a group of the whole hive has satellites of every team");
}

#[tokio::test]
async fn a_group_of_another_team_looks_like_none() {
    let world = world().await;
    let (blue, anna, bert) = (Some(world.blue), &world.anna, &world.bert);
    let satellite = world.satellite("web-server-01", blue, &["web"]).await;
    let id = anna.groups().create(new_group("web", blue, Some("web"), &[satellite])).await.unwrap().group.id;
    let unknown = GroupId::new(world.hive.services().context.seed());
    // The whole text is compared: a difference in one word would tell that the group exists.
    let told = |error: Error, id: &str| error.to_wire().message.replace(id, "ID");
    for (hidden, missing) in [(id.to_string(), unknown.to_string()), ("web".into(), "nothing".into())] {
        let submit = async |word: &str| {
            let error = submit(bert, group(word), None).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::NotFound, "{error}");
            told(error, word)
        };
        assert_eq!(submit(&hidden).await, submit(&missing).await);
        let exec = async |word: &str| {
            let ran = bert.commands().exec_multi(group(word), ExecCommand::shell("true"), ExecOptions::default()).await;
            told(ran.unwrap_err(), word)
        };
        assert_eq!(exec(&hidden).await, exec(&missing).await);
    }
    for who in [id, unknown] {
        let groups = bert.groups();
        assert!(groups.get(who).await.unwrap().is_none());
        let refused = [
            groups.update(who, GroupUpdate::default()).await.map(drop),
            groups.remove(who).await,
            groups.list_satellites(who, PageRequest::default()).await.map(drop),
        ];
        for refused in refused {
            assert_eq!(told(refused.unwrap_err(), &who.to_string()), "no group ID");
        }
    }
    assert_eq!(bert.groups().list(GroupFilter::default(), PageRequest::default()).await.unwrap().total, 0);
    let of_blue = GroupFilter { team: blue, ..GroupFilter::default() };
    assert_eq!(bert.groups().list(of_blue, PageRequest::default()).await.unwrap().total, 0);
    // A team of others looks like none, and so does a satellite of theirs.
    let into_blue = bert.groups().create(new_group("mine", blue, None, &[])).await.unwrap_err();
    assert_eq!(into_blue.code(), ErrorCode::NotFound);
    let foreign = bert.groups().create(new_group("mine", Some(world.red), None, &[satellite])).await.unwrap_err();
    assert_eq!(foreign.code(), ErrorCode::SatelliteNotFound);
    assert_eq!(
        bert.groups().create(new_group("mine", None, None, &[])).await.unwrap_err().code(),
        ErrorCode::Forbidden
    );
    bert.groups().create(new_group("web", Some(world.red), None, &[])).await.expect("names are those of a team");
}

#[tokio::test]
async fn a_role_bounds_what_a_member_does_with_groups() {
    let world = world().await;
    let blue = Some(world.blue);
    world.satellite("web-server-01", blue, &["web"]).await;
    let id = world.anna.groups().create(new_group("web", blue, Some("web"), &[])).await.unwrap().group.id;
    member(&world.hive, "blue", "olga", Role::Operator).await;
    member(&world.hive, "blue", "vera", Role::Viewer).await;
    let (olga, vera) = (acting(&world.hive, "olga").await, acting(&world.hive, "vera").await);
    for who in [&olga, &vera] {
        assert_eq!(who.groups().get(id).await.unwrap().unwrap().satellite_count, 1);
        assert_eq!(who.groups().remove(id).await.unwrap_err().code(), ErrorCode::Forbidden);
        let created = who.groups().create(new_group("mine", blue, None, &[])).await;
        assert_eq!(created.unwrap_err().code(), ErrorCode::Forbidden);
    }
    assert_eq!(names(&olga, submit(&olga, group("web"), None).await.unwrap()).await, ["web-server-01"]);
    assert_eq!(submit(&vera, group("web"), None).await.unwrap_err().code(), ErrorCode::Forbidden);
}

#[tokio::test]
async fn a_satellite_that_moves_or_goes_leaves_its_group() {
    let world = world().await;
    let (blue, anna, system) = (Some(world.blue), &world.anna, world.hive.as_system());
    let moved = world.satellite("web-server-01", blue, &["web"]).await;
    let gone = world.satellite("web-server-02", blue, &["web"]).await;
    let kept = world.satellite("web-server-03", blue, &["web"]).await;
    let created = anna.groups().create(new_group("web", blue, Some("web"), &[moved, gone, kept])).await.unwrap();
    let move_to = async |team_id| {
        let update = SatelliteUpdate { team_id: Some(team_id), ..SatelliteUpdate::default() };
        system.satellites().update(moved, update).await.unwrap();
    };
    move_to(Some(world.red)).await;
    system.satellites().remove(gone).await.unwrap();
    for who in [anna, &system] {
        let found = who.groups().get(created.group.id).await.unwrap().unwrap();
        // Also for the system, which sees the moved satellite in its new team.
        assert_eq!((found.members, found.satellite_count), (vec![kept], 1));
    }
    assert_eq!(names(anna, submit(anna, group("web"), None).await.unwrap()).await, ["web-server-03"]);
    move_to(blue).await;
    let found = anna.groups().get(created.group.id).await.unwrap().unwrap();
    assert_eq!(found.members, [moved, kept], "it is listed still");
}

#[tokio::test]
async fn a_job_is_for_as_many_satellites_as_were_confirmed() {
    let world = world().await;
    let (blue, anna) = (Some(world.blue), &world.anna);
    for number in 1..=3 {
        world.satellite(&format!("web-server-{number:02}"), blue, &["web"]).await;
    }
    anna.groups().create(new_group("web", blue, Some("web"), &[])).await.unwrap();
    let error = submit(anna, group("web"), Some(2)).await.unwrap_err();
    assert!(matches!(error, Error::Unconfirmed { satellites: 3, confirmed: Some(2), .. }), "{error}");
    assert!(error.code() == ErrorCode::Conflict && error.to_string().contains("3 satellites and 2"), "{error}");
    let options = ExecOptions { confirm: Some(2), ..ExecOptions::default() };
    let one = vec!["web-server-01".parse().unwrap()];
    let ran = anna.commands().exec_stream(one, ExecCommand::shell("true"), options.clone()).await;
    assert!(matches!(ran.err(), Some(Error::Unconfirmed { satellites: 1, .. })));
    let ran = anna.commands().exec_multi(group("web"), ExecCommand::shell("true"), options).await;
    assert!(matches!(ran.unwrap_err(), Error::Unconfirmed { satellites: 3, .. }));
    assert_eq!(anna.jobs().list(PageRequest::default()).await.unwrap().total, 0, "nothing was stored");
    assert_eq!(submit(anna, group("web"), Some(3)).await.unwrap().counts.total(), 3);
    assert_eq!(submit(anna, group("web"), None).await.unwrap().counts.total(), 3, "it is not demanded");
}

#[tokio::test]
async fn a_name_of_two_groups_is_no_target() {
    let world = world().await;
    world.satellite("web-server-01", Some(world.blue), &["web"]).await;
    let id = world.anna.groups().create(new_group("web", Some(world.blue), Some("web"), &[])).await.unwrap().group.id;
    world.bert.groups().create(new_group("web", Some(world.red), Some("web"), &[])).await.unwrap();
    let system = world.hive.as_system();
    let error = submit(&system, group("web"), None).await.unwrap_err();
    assert!(error.code() == ErrorCode::InvalidInput && error.to_string().contains(&id.to_string()), "{error}");
    let by_id = submit(&system, vec![Target::Group(GroupRef::Id(id))], None).await.unwrap();
    assert_eq!(names(&system, by_id).await, ["web-server-01"]);
    assert_eq!(names(&world.anna, submit(&world.anna, group("web"), None).await.unwrap()).await, ["web-server-01"]);
}
