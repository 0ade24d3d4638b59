//! The database below the servers: shared by several, gone, silent and back.
//!
//! What is about a database that goes away is about PostgreSQL alone, and tried in the run on PostgreSQL: SQLite is in the
//! server's own process, and its file is there or the machine is not.

use std::time::Duration;

use futures_util::future::join_all;
use hive_testkit::{Engine, FaultProxy, PostgresDatabase, Rest, ServerOptions, TestHive, until};
use serde_json::json;
use tokio::time::Instant;

/// How long after its return the database must be in use again.
const BACK_WITHIN: Duration = Duration::from_secs(10);
/// How long a call may take while the database is gone.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

async fn make_teams(rest: &Rest, who: &str, count: usize) {
    join_all((0..count).map(async |n| {
        let answer = rest.post("/api/v1/teams", &json!({"slug": format!("{who}-{n}")})).await;
        assert!((200..300).contains(&answer.status), "{}", answer.text());
    }))
    .await;
}

#[tokio::test]
async fn two_servers_write_one_trail() {
    let hive = TestHive::start().await;
    // Two servers on one database, as with a rolling update.
    let (_second, other) = hive.second_server().await;
    let rest = hive.rest();
    tokio::join!(make_teams(&rest, "one", 100), make_teams(&other, "other", 100));
    for rest in [&rest, &other] {
        let found = rest.get("/api/v1/audit/verify").await.data();
        assert!(found["valid"] == true && found["records"].as_u64() >= Some(200), "{found}");
    }
    hive.cli(["audit", "verify"]).await.expect_success();
}

/// A hive whose database is behind a proxy; `None` where there is nothing between.
async fn behind_a_proxy() -> Option<(TestHive, FaultProxy, PostgresDatabase)> {
    if Engine::of_this_run() != Engine::Postgres {
        return None;
    }
    let database = PostgresDatabase::create().await;
    let proxy = FaultProxy::start(&format!("http://{}", database.address()));
    let url = database.url_via(proxy.url().strip_prefix("http://").unwrap());
    let hive = TestHive::start_with(ServerOptions { database: Some(url), ..ServerOptions::default() }).await;
    Some((hive, proxy, database))
}

/// While the database is gone every call that needs it says so, and soon; the server lives.
async fn expect_gone(hive: &TestHive, exec: &str) {
    let begin = Instant::now();
    let rest = hive.rest();
    let echo = json!({"command": "echo never"});
    let (list, exec, ready) =
        tokio::join!(rest.get("/api/v1/satellites"), rest.post(exec, &echo), rest.get("/health/ready"));
    for answer in [list, exec] {
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert_eq!(answer.json()["error"]["code"], "UNAVAILABLE");
    }
    assert_eq!(ready.status, 503);
    assert_eq!(rest.get("/health/live").await.status, 200);
    assert!(begin.elapsed() < ANSWER_WITHIN, "{:?}", begin.elapsed());
}

async fn expect_back(hive: &TestHive) {
    let begin = Instant::now();
    until("the database is in use again", async || hive.rest().get("/api/v1/satellites").await.status == 200).await;
    assert!(begin.elapsed() < BACK_WITHIN, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_database_that_is_gone_is_said_and_comes_back() {
    let Some((mut hive, proxy, _database)) = behind_a_proxy().await else { return };
    let satellite = hive.satellite("web-server-01").await;
    let (path, gate) = (satellite.path("/exec"), hive.dir().join("gate"));
    let line = format!("touch {0}.there; until test -e {0}; do sleep 0.01; done; echo done", gate.display());
    let rest = hive.rest();
    let command = json!({"command": line});
    let waiting = async { rest.post(&path, &command).await };
    let breaking = async {
        until("the command runs", async || gate.with_extension("there").exists()).await;
        // Refused first: a server that is cut off reconnects at once.
        proxy.refuse(true);
        proxy.cut();
        expect_gone(&hive, &path).await;
        // It ends while there is nowhere to store that.
        std::fs::write(&gate, "").unwrap();
        expect_gone(&hive, &path).await;
        proxy.refuse(false);
        expect_back(&hive).await;
    };
    let (answer, ()) = tokio::join!(waiting, breaking);
    let result = answer.data();
    assert_eq!((&result["status"], &result["stdout"]), (&json!("succeeded"), &json!("done\n")));
    hive.until_status(result["command_id"].as_str().unwrap(), "succeeded").await;
    assert_eq!(hive.exec(&satellite, "echo again").await["stdout"], "again\n");
    assert_eq!(hive.server().log().matches("satellite online").count(), 1, "the link stayed up");
    hive.cli(["audit", "verify"]).await.expect_success();
}

#[tokio::test]
async fn a_database_that_says_nothing_holds_nobody_up() {
    let Some((hive, proxy, _database)) = behind_a_proxy().await else { return };
    let satellite = hive.satellite("web-server-01").await;
    proxy.hold(true);
    expect_gone(&hive, &satellite.path("/exec")).await;
    proxy.hold(false);
    expect_back(&hive).await;
    assert_eq!(hive.exec(&satellite, "echo again").await["stdout"], "again\n");
}
