//! Many at once: satellites that all come back, unauthenticated clients that all send requests.

use std::time::Duration;

use hive_core::RemoteHive;
use hive_testkit::{PATIENCE, Rest, ServerOptions, Simulator, TestHive, enrol, until};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Enough to be a crowd, and few enough for a machine that does other things too.
const FLEET: usize = 200;

/// Half a minute more than the usual: all of them have to come back, one after the other.
const LONG: Duration = PATIENCE.saturating_mul(2);

async fn fleet(hive: &TestHive) -> Simulator {
    let remote = RemoteHive::connect(hive.url(), hive.api_key().into()).unwrap();
    let identities = enrol(&remote, FLEET).await.unwrap();
    let simulator = Simulator::start(hive.url().trim_start_matches("http://"), identities);
    simulator.until("all are online", LONG, |tally| tally.online == FLEET).await;
    simulator
}

/// Calls the hive again and again until all are back: how many calls were answered, and how long the slowest took.
async fn call_until_all_are_back(rest: &Rest, simulator: &Simulator) -> (usize, Duration) {
    let (mut calls, mut slowest) = (0, Duration::ZERO);
    while simulator.tally().online < FLEET {
        let began = Instant::now();
        let page = rest.get("/api/v1/satellites?per_page=100").await.data();
        assert_eq!(page.as_array().map(Vec::len), Some(100));
        calls += 1;
        slowest = slowest.max(began.elapsed());
    }
    (calls, slowest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_comes_back_whatever_ends_its_server() {
    let mut hive = TestHive::start().await;
    let simulator = fleet(&hive).await;

    hive.kill_server();
    simulator.until("nobody has a link", PATIENCE, |tally| tally.online == 0).await;
    hive.restart_server().await;
    let rest = hive.rest();
    let back = timeout(LONG, call_until_all_are_back(&rest, &simulator)).await;
    let (calls, slowest) = back.unwrap_or_else(|_| panic!("not all came back: {:?}", simulator.tally()));
    assert!(calls > 0 && slowest < Duration::from_secs(5), "{calls} calls, the slowest took {slowest:?}");

    let request = json!({"targets": ["all"], "command": "true"});
    let results = rest.post("/api/v1/exec", &request).await.data();
    let succeeded = results.as_array().unwrap().iter().filter(|result| result["status"] == "succeeded");
    assert_eq!(succeeded.count(), FLEET);
    assert_eq!(simulator.tally().runs, FLEET as u64);

    let took = hive.server().stop().await;
    assert!(took < Duration::from_secs(5), "with {FLEET} links it took {took:?}");
    assert_eq!(hive.server().try_code(), Some(0));
    hive.restart_server().await;
    let tally = simulator.until("all are back", LONG, |tally| tally.online == FLEET).await;
    assert_eq!((tally.runs, tally.repeats, tally.rejected), (FLEET as u64, 0, 0), "nothing ran twice: {tally:?}");
    simulator.stop().await;
}

/// Opens connections and says nothing on them, for as long as it is polled.
async fn hold_idle_connections(address: String) {
    let mut sockets = Vec::new();
    loop {
        let Ok(socket) = TcpStream::connect(&address).await else { continue };
        sockets.push(socket);
        // More than the server keeps; the oldest are closed, so that this process does not run out of files.
        if sockets.len() == 650 {
            sockets.drain(..100);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Shows one wrong key after the other; how often it was told so.
async fn show_wrong_keys(rest: Rest) {
    loop {
        let answer = rest.get("/api/v1/auth/me").await;
        assert!([401, 429].contains(&answer.status), "{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unauthenticated_clients_keep_nobody_from_using_the_hive() {
    let hive = TestHive::start().await;
    let address = hive.url().trim_start_matches("http://").to_owned();
    let satellite = hive.satellite("web-server-01").await;
    // A key of the right shape whose id is there: the most work a wrong key can make.
    let mut wrong = hive.api_key().to_owned();
    wrong.replace_range(wrong.len() - 4.., "AAAA");
    let mut unauthenticated = JoinSet::new();
    unauthenticated.spawn(hold_idle_connections(address.clone()));
    for _ in 0..8 {
        unauthenticated.spawn(show_wrong_keys(hive.anonymous().with("x-api-key", &wrong)));
    }
    let mut oldest = TcpStream::connect(&address).await.unwrap();
    let is_crowded =
        timeout(PATIENCE, oldest.read_u8()).await.expect("the limit of unauthenticated connections is never reached");
    assert!(is_crowded.is_err(), "the oldest had to go");
    for _ in 0..50 {
        assert_eq!(hive.exec(&satellite, "echo here").await["stdout"], "here\n");
    }
    assert!(unauthenticated.try_join_next().is_none(), "they are still connected");
}

#[tokio::test]
async fn the_limits_of_unauthenticated_connections_can_be_set() {
    let args = ["--max-unauthenticated-per-address", "2", "--handshake-timeout", "300", "--handshake-rate", "1"];
    let args = args.map(String::from).to_vec();
    let hive = TestHive::start_with(ServerOptions { args, ..ServerOptions::default() }).await;
    let address = hive.url().trim_start_matches("http://");
    let mut oldest = TcpStream::connect(address).await.unwrap();
    let newer = TcpStream::connect(address).await.unwrap();
    let _newest = TcpStream::connect(address).await.unwrap();
    let is_cut = timeout(PATIENCE, oldest.read_u8()).await.expect("the oldest has to go");
    assert!(is_cut.is_err());
    let nothing = newer.try_read(&mut [0; 1]).expect_err("nothing was said to it");
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock, "there is room for two");

    let client = hive.anonymous().bearer("x");
    let register = async || {
        let answer = client.post("/api/satellites/register", &json!({"name": "web-server-01"})).await;
        (answer.status, answer.headers.contains_key("retry-after"))
    };
    assert_eq!(register().await, (401, false));
    until("more than one in a second want in", async || register().await == (503, true)).await;
}
