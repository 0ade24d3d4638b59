//! How long a command takes from the request to its result: `true` over `POST /satellites/:id/exec`.
//!
//! A real server and a real satellite, one HTTP connection that stays open, and beside them asyncssh on an open
//! connection. They take turns, so that whatever else the machine does hits them alike. SSH starts the command by the
//! user's login shell, in an empty home, so that the shell reads no start-up file; a second figure therefore runs it by that
//! shell here too.

mod support {
    pub(crate) mod asyncssh;
    pub(crate) mod figure;
    pub(crate) mod http;
    pub(crate) mod samples;
    pub(crate) mod sshd;
}

use anyhow::ensure;
use hive_testkit::TestHive;
use serde_json::{Value, json};
use support::asyncssh::Asyncssh;
use support::figure::{Figure, Peer, is_asked_for};
use support::http::KeepAlive;
use support::samples::percentile;
use tokio::time::Instant;

const WARM_UP: usize = 30;
const ROUNDS: usize = 500;

/// Runs a command; returns the milliseconds from the request to the last byte of the answer.
async fn exec(connection: &mut KeepAlive, path: &str, body: &str) -> anyhow::Result<f64> {
    let began = Instant::now();
    let (_, answer) = connection.call("POST", path, body).await?;
    let milliseconds = began.elapsed().as_secs_f64() * 1000.0;
    // After the clock was read: parsing the answer is not part of the figure.
    let answer: Value = serde_json::from_slice(&answer)?;
    ensure!(answer["data"]["status"] == "succeeded", "the command did not succeed: {answer}");
    Ok(milliseconds)
}

/// Milliseconds of each round.
#[derive(Default)]
struct RoundTripSamples {
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
    // First: it may have to be installed, and the server closes a connection that is idle for so long.
    let mut peer = Asyncssh::connect("true").await?;
    let mut ours = KeepAlive::open(hive.url(), hive.api_key()).await?;
    let samples = measure(&mut ours, &satellite.path("/exec"), &mut peer).await?;
    for (name, percent) in [("p50", 50), ("p95", 95)] {
        report(name, percent, &samples.ours, "sh -c true", &peer, &samples.peer);
    }
    let command = format!("{} -c true", peer.shell);
    report("p50_by_login_shell", 50, &samples.ours_by_login_shell, &command, &peer, &samples.peer);
    Ok(())
}

async fn measure(ours: &mut KeepAlive, path: &str, peer: &mut Asyncssh) -> anyhow::Result<RoundTripSamples> {
    // As sshd runs it: by the login shell of the user.
    let by_login_shell = json!({ "command": peer.shell, "args": ["-c", "true"] }).to_string();
    let mut samples = RoundTripSamples::default();
    for round in 0..WARM_UP + ROUNDS {
        let milliseconds = [
            exec(ours, path, r#"{"command":"true"}"#).await?,
            exec(ours, path, &by_login_shell).await?,
            peer.run().await?,
        ];
        // The first rounds fill caches and pools on both sides.
        if round >= WARM_UP {
            samples.ours.push(milliseconds[0]);
            samples.ours_by_login_shell.push(milliseconds[1]);
            samples.peer.push(milliseconds[2]);
        }
    }
    Ok(samples)
}

fn report(name: &'static str, percent: usize, ours: &[f64], command: &str, peer: &Asyncssh, theirs: &[f64]) {
    Figure {
        bench: "exec_round_trip",
        name,
        value: percentile(ours, percent),
        unit: "ms",
        peer: Some(Peer { name: peer.name.clone(), value: percentile(theirs, percent) }),
        command: format!(
            "POST /api/v1/satellites/:id/exec of `{command}` on an open connection, {ROUNDS} rounds by turns"
        ),
    }
    .print(ours);
}
