//! What a list, a search and a single read cost a caller, over a fleet of 10,000 satellites in the database.
//!
//! The peer of the single read is a bare axum server that answers with the same bytes: same machine, same connections, by turns.
//! `HIVE_BENCH_LINKS` says how many satellites there are. None of them is online.

mod support {
    pub(crate) mod figure;
    pub(crate) mod fleet;
    pub(crate) mod http;
    pub(crate) mod roles;
    pub(crate) mod samples;
}

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, ensure};
use axum::Router;
use axum::http::header;
use axum::routing::get;
use hive_core::wire::api::{Envelope, Satellite};
use hive_testkit::TestHive;
use serde_json::{Value, json};
use support::figure::{Figure, Peer, is_asked_for};
use support::fleet;
use support::http::KeepAlive;
use support::roles::{first_line, start, while_wanted};
use support::samples::percentile;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

const SATELLITES: usize = 10_000;
const WARM_UP: usize = 20;
const ROUNDS: usize = 400;
/// Connections of the single reads, which are all busy.
const CONNECTIONS: usize = 16;
/// How long reads are counted, in turns of ours and the peer's.
const TURN: Duration = Duration::from_secs(3);
const TURNS: usize = 5;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[1..] {
        ["bare", body] => while_wanted(bare(body.to_owned())).await,
        _ if is_asked_for() => measure().await,
        _ => Ok(()),
    }
}

async fn measure() -> anyhow::Result<()> {
    let count = fleet::size(SATELLITES)?;
    let hive = TestHive::start().await;
    let identities = fleet::register(&hive, count).await?;
    let mut connection = KeepAlive::open(hive.url(), hive.api_key()).await?;
    let (_, first) = connection.call("GET", "/api/v1/satellites?per_page=1", "").await?;
    let page: Envelope<Vec<Satellite>> = serde_json::from_slice(&first)?;
    let name = page.data.first().context("there are satellites")?.name.to_string();
    let cursor = page.pagination.and_then(|page| page.next_cursor).context("the list goes on")?;
    let lists = [
        ("list_p95", "per_page=50".to_owned()),
        ("list_behind_cursor_p95", format!("per_page=50&cursor={cursor}")),
        ("list_page_200_p95", "per_page=50&page=200".to_owned()),
        ("list_by_last_seen_p95", "per_page=50&sort=-last_seen".to_owned()),
        ("list_offline_p95", "per_page=50&online=false".to_owned()),
        ("search_p95", format!("per_page=50&search={}", &name[name.len() - 4..])),
        ("search_without_result_p95", "per_page=50&search=no-such-machine".to_owned()),
    ];
    for (figure, query) in lists {
        let path = format!("/api/v1/satellites?{query}");
        let samples = time(&mut connection, &path).await?;
        let (value, command) = (percentile(&samples, 95), format!("GET {path}, {count} satellites, one caller"));
        Figure { bench: "lists", name: figure, value, unit: "ms", peer: None, command }.print(&samples);
    }
    let path = format!("/api/v1/satellites/{}", identities[0].id);
    compare_reads(&hive, &mut connection, &path).await
}

/// Calls one after the other; the milliseconds of each.
async fn time(connection: &mut KeepAlive, path: &str) -> anyhow::Result<Vec<f64>> {
    let mut milliseconds = Vec::new();
    for round in 0..WARM_UP + ROUNDS {
        let began = Instant::now();
        let (status, answer) = connection.call("GET", path, "").await?;
        ensure!(status == 200, "{path}: {status} {}", String::from_utf8_lossy(&answer));
        if round >= WARM_UP {
            milliseconds.push(began.elapsed().as_secs_f64() * 1000.0);
        }
    }
    Ok(milliseconds)
}

/// The reads of one satellite in a second, beside those of a server that has nothing to look up.
async fn compare_reads(hive: &TestHive, connection: &mut KeepAlive, path: &str) -> anyhow::Result<()> {
    let (_, body) = connection.call("GET", path, "").await?;
    // It ends with its value.
    let mut peer = start(&["bare", std::str::from_utf8(&body)?])?;
    let address: SocketAddr = first_line(&mut peer).await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        ours.push(reads_per_second(fleet::address_of(hive), hive.api_key(), path).await?);
        theirs.push(reads_per_second(&address.to_string(), hive.api_key(), path).await?);
    }
    let peer = Some(Peer { name: "bare axum, the same bytes".into(), value: percentile(&theirs, 50) });
    let command = format!("GET {path} over {CONNECTIONS} connections, {TURNS} turns of {} s", TURN.as_secs());
    let value = percentile(&ours, 50);
    Figure { bench: "lists", name: "satellite_reads", value, unit: "1/s", peer, command }.print(&ours);
    Ok(())
}

async fn reads_per_second(address: &str, key: &str, path: &str) -> anyhow::Result<f64> {
    let url = format!("http://{address}");
    let mut callers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (mut connection, path) = (KeepAlive::open(&url, key).await?, path.to_owned());
        callers.spawn(async move {
            let (began, mut count) = (Instant::now(), 0_u64);
            while began.elapsed() < TURN {
                let (status, _) = connection.call("GET", &path, "").await?;
                ensure!(status == 200, "{path}: {status}");
                count += 1;
            }
            Ok(count)
        });
    }
    let mut count = 0;
    while let Some(reads) = callers.join_next().await {
        count += reads??;
    }
    Ok(count as f64 / TURN.as_secs_f64())
}

/// The peer: listens on a free port, says which on standard output, and answers every path with the same bytes.
#[expect(clippy::print_stdout, reason = "the bench that started this process reads it")]
async fn bare(body: String) -> anyhow::Result<()> {
    let body: &'static str = body.leak();
    let is_json: Value = serde_json::from_str(body)?;
    ensure!(is_json.is_object(), "an answer of the hive");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", json!(listener.local_addr()?));
    let answer = move || async move { ([(header::CONTENT_TYPE, "application/json")], body) };
    let router = Router::new().route("/api/v1/satellites/{id}", get(answer));
    Ok(axum::serve(listener, router).await?)
}
