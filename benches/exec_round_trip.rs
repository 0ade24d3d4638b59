//! How long a command takes from the request to its result: `true` over `POST /satellites/:id/exec`.
//!
//! A real server and a real satellite, one HTTP connection that stays open, and beside them asyncssh on an open
//! connection. They take turns, so that whatever else the machine does hits them alike. SSH starts the command by the
//! user's login shell; a second figure therefore runs it by that shell here too.

mod support {
    pub(crate) mod asyncssh;
    pub(crate) mod figure;
    pub(crate) mod samples;
    pub(crate) mod sshd;
}

use anyhow::{Context, ensure};
use hive_testkit::TestHive;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use support::asyncssh::Asyncssh;
use support::figure::{Figure, Peer, is_asked_for};
use support::samples::percentile;
use tokio::net::TcpStream;
use tokio::time::Instant;

const WARM_UP: usize = 30;
const ROUNDS: usize = 500;

/// An HTTP connection that stays open.
struct KeepAlive {
    sender: SendRequest<Full<Bytes>>,
    path: String,
    host: String,
    api_key: String,
    _connection: tokio::task::JoinSet<hyper::Result<()>>,
}

impl KeepAlive {
    async fn open(url: &str, satellite: &str, api_key: &str) -> anyhow::Result<Self> {
        let host = url.strip_prefix("http://").context("the server listens without TLS")?.trim_end_matches('/');
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(connection);
        Ok(Self {
            sender,
            path: format!("/api/v1/satellites/{satellite}/exec"),
            host: host.to_owned(),
            api_key: api_key.to_owned(),
            _connection: tasks,
        })
    }

    /// Runs a command; returns the milliseconds from the request to the last byte of the answer.
    async fn exec(&mut self, body: &str) -> anyhow::Result<f64> {
        let request = hyper::Request::post(&self.path)
            .header("host", &self.host)
            .header("x-api-key", &self.api_key)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_owned())))?;
        self.sender.ready().await?;
        let began = Instant::now();
        let answer = self.sender.send_request(request).await?.into_body().collect().await?.to_bytes();
        let milliseconds = began.elapsed().as_secs_f64() * 1000.0;
        let answer: Value = serde_json::from_slice(&answer)?;
        ensure!(answer["data"]["status"] == "succeeded", "the command did not succeed: {answer}");
        Ok(milliseconds)
    }
}

/// Milliseconds of each round.
#[derive(Default)]
struct Samples {
    ours: Vec<f64>,
    ours_by_login_shell: Vec<f64>,
    peer: Vec<f64>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if !is_asked_for() {
        return Ok(());
    }
    let hive = TestHive::start().await;
    let satellite = hive.satellite("round-trip-satellite").await;
    let mut ours = KeepAlive::open(hive.url(), satellite.id(), hive.api_key()).await?;
    let mut peer = Asyncssh::connect("true").await?;
    let samples = measure(&mut ours, &mut peer).await?;
    for (name, percent) in [("p50", 50), ("p95", 95)] {
        report(name, percentile(&samples.ours, percent), "sh -c true", &peer, percentile(&samples.peer, percent));
    }
    let by_login_shell = percentile(&samples.ours_by_login_shell, 50);
    let command = format!("{} -c true", peer.shell);
    report("p50_by_login_shell", by_login_shell, &command, &peer, percentile(&samples.peer, 50));
    Ok(())
}

async fn measure(ours: &mut KeepAlive, peer: &mut Asyncssh) -> anyhow::Result<Samples> {
    let by_login_shell = json!({ "command": peer.shell, "args": ["-c", "true"] }).to_string();
    let mut samples = Samples::default();
    for round in 0..WARM_UP + ROUNDS {
        let milliseconds =
            [ours.exec(r#"{"command":"true"}"#).await?, ours.exec(&by_login_shell).await?, peer.run().await?];
        if round >= WARM_UP {
            samples.ours.push(milliseconds[0]);
            samples.ours_by_login_shell.push(milliseconds[1]);
            samples.peer.push(milliseconds[2]);
        }
    }
    Ok(samples)
}

fn report(name: &'static str, value: f64, command: &str, peer: &Asyncssh, of_peer: f64) {
    Figure {
        bench: "exec_round_trip",
        name,
        value,
        unit: "ms",
        peer: Some(Peer { name: peer.name.clone(), value: of_peer }),
        command: format!(
            "POST /api/v1/satellites/:id/exec of `{command}` on an open connection, {ROUNDS} rounds by turns"
        ),
    }
    .print();
}
