//! Lists: pages, cursors, orders and filters, the same for every list of the route table.

use futures_util::future::join_all;
use hive_core::jobs::JobOptions;
use hive_core::wire::api::{
    ApiKeyCreate, AuditTarget, ExecCommand, GroupCreate, PageRequest, PlatformRole, SatelliteFilter, SatelliteUpdate,
    Target, TeamCreate, UserCreate,
};
use hive_test_peers::Answer;
use serde_json::{Value, json};

use super::harness::TestServer;

/// The parameters of every list.
const PARAMETERS: [&str; 4] = ["page", "per_page", "sort", "cursor"];

/// The lists of the document that the server gives out, with their orders.
async fn lists(server: &TestServer) -> Vec<(String, Vec<String>)> {
    let document = server.anonymous().get("/api/v1/openapi.json").await.json();
    let mut lists = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let operation = &methods["get"];
        let body = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        if body["properties"]["data"]["type"] != "array" {
            continue;
        }
        assert!(body["properties"]["pagination"].is_object(), "{path} is a list without pages");
        let parameters = operation["parameters"].as_array().unwrap();
        let parameter = |name: &str| parameters.iter().find(|parameter| parameter["name"] == name);
        for name in PARAMETERS {
            assert!(parameter(name).is_some(), "{path} does not take {name}");
        }
        let orders = parameter("sort").unwrap()["schema"]["enum"].as_array().unwrap().iter();
        lists.push((path.clone(), orders.map(|order| order.as_str().unwrap().to_owned()).collect()));
    }
    lists
}

/// A server on which most lists have several entries, an admin, and what stands in the paths of its lists.
async fn filled() -> (TestServer, String, Vec<(&'static str, String)>) {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let system = server.hive.as_system();
    let team = system.identity().team_create(TeamCreate { slug: "red".into() }).await.unwrap();
    system.identity().team_create(TeamCreate { slug: "blue".into() }).await.unwrap();
    for name in ["bob", "carl"] {
        system
            .identity()
            .user_create(UserCreate { username: name.into(), role: PlatformRole::GlobalUser })
            .await
            .unwrap();
        system.team_member_add("red", name, hive_core::access::Role::Viewer).await.unwrap();
        system.api_key_create_for("anna", ApiKeyCreate::default()).await.unwrap();
    }
    let mut links = Vec::new();
    let mut ids = Vec::new();
    for name in ["web-server-01", "web-server-02", "web-server-03"] {
        let satellite = server.register(name, None).await;
        links.push(server.online(&satellite).await);
        let tags = Some(vec!["web".into(), name.into()]);
        system.satellites().update(satellite.id, SatelliteUpdate { tags, ..SatelliteUpdate::default() }).await.unwrap();
        ids.push(satellite.id);
    }
    let mut group = None;
    for name in ["web", "db"] {
        let create = GroupCreate { members: ids.clone(), ..GroupCreate::new(name.try_into().unwrap()) };
        group = Some(system.groups().create(create).await.unwrap().group);
    }
    let mut job = None;
    for _ in 0..3 {
        let (targets, command) = (vec![Target::Tag("web".into())], ExecCommand::shell("true"));
        job = Some(system.jobs().submit(targets, command, JobOptions::default()).await.unwrap());
    }
    let parts = vec![
        ("/satellites/by-tag/{tag}", "/satellites/by-tag/web".to_owned()),
        ("/satellites/{id}", format!("/satellites/{}", ids[0])),
        ("/teams/{id}", format!("/teams/{}", team.id)),
        ("/groups/{id}", format!("/groups/{}", group.unwrap().id)),
        ("/jobs/{id}", format!("/jobs/{}", job.unwrap().id)),
    ];
    (server, admin, parts)
}

fn assert_refused(answer: &Answer, field: &str, what: &str) {
    answer.assert_error(400, "INVALID_INPUT");
    assert_eq!(answer.json()["error"]["details"]["field"], field, "{what}: {answer:?}");
}

fn unused(mut entry: Value) -> Value {
    entry.as_object_mut().unwrap().remove("last_used_at");
    entry
}

/// Goes through a list by its cursors, one entry at a time.
async fn walk(server: &TestServer, key: &str, path: &str, query: &str) -> Vec<Value> {
    let (mut entries, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = server.get(key, &format!("{path}?per_page=1{query}{cursor}")).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let mut page = answer.json();
        entries.append(page["data"].as_array_mut().unwrap());
        let Some(next) = page["pagination"]["next_cursor"].as_str() else { return entries };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_takes_a_cursor_and_an_order() {
    let (server, admin, parts) = filled().await;
    let lists = lists(&server).await;
    assert!(lists.len() >= 14, "{lists:?}");
    for (template, orders) in lists {
        let part = parts.iter().find(|(of, _)| template.contains(of));
        let path = part.map_or(template.clone(), |(of, with)| template.replace(of, with));
        let refused = async |query: &str, field: &str| {
            assert_refused(&server.get(&admin, &format!("{path}?{query}")).await, field, &format!("{path}?{query}"));
        };
        refused("sort=nonsense", "sort").await;
        refused("sort=password_hash", "sort").await;
        refused("cursor=nonsense", "cursor").await;
        refused("cursor=", "cursor").await;
        refused("page=1&cursor=AQ", "page").await;
        refused("page=10001&per_page=1", "page").await;
        refused("nonsense=1", "nonsense").await;
        for order in &orders {
            let sort = format!("&sort={order}");
            // The records of the audit log become more with each call.
            if template == "/api/v1/audit/logs" && !order.starts_with('-') {
                continue;
            }
            let walked = walk(&server, &admin, &path, &sort).await;
            if template == "/api/v1/audit/logs" {
                assert!(walked.len() > 10, "{walked:?}");
                continue;
            }
            let whole = server.get(&admin, &format!("{path}?per_page=1000{sort}")).await.json();
            // Each call uses the key of the admin, whose last use is in the list.
            let without_use = |entries: &[Value]| entries.iter().cloned().map(unused).collect::<Vec<_>>();
            let listed = whole["data"].as_array().unwrap();
            assert_eq!(without_use(&walked), without_use(listed), "{path} by {order}");
            assert_eq!(whole["pagination"]["total"], walked.len(), "{path}");
            // A session needs a satellite that opens terminals.
            assert!(walked.len() > 1 || path.ends_with("/sessions"), "{path} has {} entries", walked.len());
        }
    }
}

#[tokio::test]
async fn a_cursor_is_for_its_own_list_filter_and_order() {
    let (server, admin, _) = filled().await;
    let first = server.get(&admin, "/api/v1/satellites?tag=web&per_page=1").await.json();
    let cursor = first["pagination"]["next_cursor"].as_str().unwrap().to_owned();
    let next = server.get(&admin, &format!("/api/v1/satellites?tag=web&per_page=2&cursor={cursor}")).await.json();
    assert_eq!(next["data"].as_array().unwrap().len(), 2);
    assert_eq!((&next["pagination"]["page"], &next["pagination"]["total"]), (&Value::Null, &json!(3)));
    for other in ["/satellites?", "/satellites?tag=db&", "/satellites?tag=web&sort=-name&", "/groups?", "/users?"] {
        let answer = server.get(&admin, &format!("/api/v1{other}cursor={cursor}")).await;
        assert_refused(&answer, "cursor", other);
        let rule = answer.json()["error"]["details"]["rule"].to_string();
        assert!(rule.contains("filter"), "{other}: {rule}");
    }
    // With a letter more, less or other than it has, it is another or none.
    for bad in [format!("{cursor}A"), cursor[1..].to_owned(), cursor.replace(&cursor[..4], "AAAA")] {
        let answer = server.get(&admin, &format!("/api/v1/satellites?tag=web&cursor={bad}")).await;
        assert_refused(&answer, "cursor", &bad);
    }
}

#[tokio::test]
async fn a_cursor_shows_nothing_that_its_caller_may_not_see() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let (red, _) = server.team("red").await;
    let (blue, blue_key) = server.team("blue").await;
    for number in 1..=3 {
        server.register(&format!("red-server-{number:02}"), Some(&red)).await;
        server.register(&format!("blue-server-{number:02}"), Some(&blue)).await;
    }
    let first = server.get(&admin, "/api/v1/satellites?per_page=1&sort=-name").await.json();
    let cursor = first["pagination"]["next_cursor"].as_str().unwrap();
    let seen = server.get(&blue_key, &format!("/api/v1/satellites?sort=-name&cursor={cursor}")).await.json();
    let names: Vec<_> = seen["data"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["blue-server-03", "blue-server-02", "blue-server-01"]);
    assert_eq!(seen["pagination"]["total"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_end_at_entry_10_000_and_a_cursor_goes_on() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let audit = server.hive.as_system().audit();
    let target = AuditTarget { kind: "backup".into(), id: "1".into() };
    for _ in 0..67 {
        let notes = (0..150).map(|_| audit.log("backup.checked".into(), target.clone(), Value::Null));
        join_all(notes).await.into_iter().for_each(|noted| drop(noted.unwrap()));
    }
    let path = "/api/v1/audit/logs?action=audit.note&per_page=1000";
    let last = server.get(&admin, &format!("{path}&page=10")).await.json();
    let counted =
        json!({ "page": 10, "per_page": 1000, "total": 10_000, "total_is_estimate": true, "total_pages": 10 });
    let mut pagination = last["pagination"].clone();
    let next = pagination.as_object_mut().unwrap().remove("next_cursor").unwrap();
    assert_eq!((pagination, last["data"].as_array().unwrap().len()), (counted, 1000));
    assert_refused(&server.get(&admin, &format!("{path}&page=11")).await, "page", "page 11");
    let rest = server.get(&admin, &format!("{path}&cursor={}", next.as_str().unwrap())).await.json();
    assert_eq!(rest["data"].as_array().unwrap().len(), 50);
    assert_eq!(rest["pagination"]["next_cursor"], Value::Null);
    let (of_page, of_rest) = (last["data"][999]["seq"].as_u64().unwrap(), rest["data"][0]["seq"].as_u64().unwrap());
    assert_eq!(of_page, of_rest + 1, "nothing is between the last page and the cursor");
    // A caller who reads to the end, as the clients of the hive do.
    let all = hive_core::lists::collect(usize::MAX, None, |page| {
        let query = hive_core::wire::api::AuditQuery { action: Some("audit.note".into()), ..Default::default() };
        audit.query(query, page)
    });
    assert_eq!(all.await.unwrap().len(), 10_050);
}

#[tokio::test]
async fn satellites_are_listed_by_group_and_by_last_heartbeat() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let system = server.hive.as_system();
    let mut ids = Vec::new();
    for name in ["web-server-01", "web-server-02", "web-server-03", "db-server-0001"] {
        ids.push(server.register(name, None).await);
    }
    let _link = server.online(&ids[1]).await;
    let members = ids[..3].iter().map(|satellite| satellite.id).collect();
    let create = GroupCreate { members, ..GroupCreate::new("web".try_into().unwrap()) };
    let group = system.groups().create(create).await.unwrap().group;
    let names = async |query: &str| -> Vec<String> {
        let walked = walk(&server, &admin, "/api/v1/satellites", query).await;
        walked.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("&group=web&sort=-name").await, ["web-server-03", "web-server-02", "web-server-01"]);
    assert_eq!(names(&format!("&group={}&search=02", group.id)).await, ["web-server-02"]);
    assert_eq!(names("&group=web&online=true").await, ["web-server-02"]);
    assert_eq!(names("&group=web&status=offline&sort=-created_at").await, ["web-server-03", "web-server-01"]);
    // Those that were never heard of are last in both directions, by id.
    let by_time = names("&sort=last_seen").await;
    assert_eq!((by_time[0].as_str(), by_time.len()), ("web-server-02", 4));
    let backwards = names("&sort=-last_seen").await;
    assert_eq!((backwards[0].as_str(), backwards.len()), ("web-server-02", 4));
    assert!(backwards[1..].iter().rev().eq(&by_time[1..]), "{by_time:?} {backwards:?}");
    assert_eq!(names("&group=web&sort=last_seen&online=false").await.len(), 2);
    server.get(&admin, "/api/v1/satellites?group=nobody").await.assert_error(404, "NOT_FOUND");
    assert_refused(&server.get(&admin, "/api/v1/satellites?group=no/name").await, "group", "a name that none can have");
    // The group of another team is one that does not exist.
    let (_, key) = server.team("blue").await;
    server.get(&key, "/api/v1/satellites?group=web").await.assert_error(404, "NOT_FOUND");
    let filter = SatelliteFilter { group: Some("web".parse().unwrap()), ..SatelliteFilter::default() };
    let page = system.satellites().list(filter, PageRequest::first(2)).await.unwrap();
    assert_eq!((page.items.len(), page.total, page.next_cursor.is_some()), (2, 3, true));
}
