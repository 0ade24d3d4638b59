//! The effect of one misbehaving caller on others. Three floods are measured: requests without a key, handshakes of one
//! satellite that never completes them, and unexpected messages on one link.
//!
//! During the first two, 20 real satellites start, and 10 more are registered one after the other. During the third, the growth
//! of the server's log is measured. The flood has its own address on the loopback interface and its own thread.
//! `HIVE_BENCH_LINKS` sets the number of concurrent handshakes, 2,048 by default.

mod support {
    pub(crate) mod background;
    pub(crate) mod figure;
    pub(crate) mod fleet;
    pub(crate) mod rogue;
    pub(crate) mod samples;
    pub(crate) mod stranger;
}

use std::time::Duration;

use anyhow::ensure;
use futures_util::future::join_all;
use hive_testkit::TestHive;
use serde_json::json;
use support::background::Background;
use support::figure::{Figure, Peer, is_asked_for};
use support::fleet;
use support::samples::percentile;
use support::{rogue, stranger};
use tokio::time::{Instant, sleep};

const SATELLITES: usize = 20;
const REGISTRATIONS: usize = 10;
/// Concurrent handshakes of one satellite.
const HANDSHAKES: usize = 2048;
/// How long a flood runs before anything is measured: budgets are used up and connections are open by then.
const WARM_UP: Duration = Duration::from_secs(5);
/// How long unexpected messages are sent.
const HOLD: Duration = Duration::from_secs(10);
/// The pause between two attempts of a registration that was refused.
const PAUSE: Duration = Duration::from_millis(100);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if !is_asked_for() {
        return Ok(());
    }
    let handshakes = fleet::size(HANDSHAKES)?;
    keyless().await?;
    handshaking(handshakes).await?;
    unexpected_messages().await
}

/// How the server serves everybody else.
struct Served {
    all_online: f64,
    registrations: Vec<f64>,
}

impl Served {
    /// Starts real satellites concurrently, and registers further ones in sequence meanwhile.
    async fn by(hive: &TestHive, prefix: &str) -> anyhow::Result<Self> {
        // Made before: only the registrations themselves are measured.
        let mut tokens = Vec::new();
        for _ in 0..REGISTRATIONS {
            tokens.push(hive.new_token(None).await);
        }
        let crowd = async {
            let began = Instant::now();
            let names: Vec<String> = (0..SATELLITES).map(|number| format!("{prefix}-satellite-{number:02}")).collect();
            let satellites = join_all(names.iter().map(|name| hive.satellite(name))).await;
            (began.elapsed().as_secs_f64(), satellites)
        };
        let registering = async {
            let mut milliseconds = Vec::new();
            for (number, token) in tokens.iter().enumerate() {
                milliseconds.push(register(hive, token, &format!("{prefix}-registered-{number:02}")).await?);
            }
            anyhow::Ok(milliseconds)
        };
        let ((all_online, _satellites), registrations) = tokio::join!(crowd, registering);
        Ok(Self { all_online, registrations: registrations? })
    }

    fn report(&self, calm: &Self, [all_online, registration]: [&'static str; 2], flood: &str) {
        let peer = |value| Some(Peer { name: "the same without the flood".into(), value });
        let command = format!("{SATELLITES} real satellites start, register and connect, during {flood}");
        let (name, value, of_peer) = (all_online, self.all_online, peer(calm.all_online));
        Figure { bench: "flood", name, value, unit: "s", peer: of_peer, command }.print(&[value]);
        let command = format!("POST /api/satellites/register until the answer is 200, during {flood}");
        let (value, of_peer) = (percentile(&self.registrations, 50), peer(percentile(&calm.registrations, 50)));
        let name = registration;
        Figure { bench: "flood", name, value, unit: "ms", peer: of_peer, command }.print(&self.registrations);
    }
}

/// Registers a satellite. Returns the milliseconds until that succeeded.
async fn register(hive: &TestHive, token: &str, name: &str) -> anyhow::Result<f64> {
    let began = Instant::now();
    loop {
        let caller = hive.anonymous().bearer(token);
        let answer = caller.post("/api/satellites/register", &json!({ "name": name })).await;
        if answer.is_success() {
            return Ok(began.elapsed().as_secs_f64() * 1000.0);
        }
        // Both ask the caller to come again. Any other refusal is an error of the bench.
        ensure!([429, 503].contains(&answer.status), "not registered: {} {}", answer.status, answer.text());
        sleep(PAUSE).await;
    }
}

async fn keyless() -> anyhow::Result<()> {
    let hive = TestHive::start().await;
    // On the same server and before the flood, which is the peer of the figure.
    let calm = Served::by(&hive, "calm").await?;
    let address = fleet::address_of(&hive).to_owned();
    let flood = Background::start(move |over| async move { stranger::ask(&address, &over).await });
    sleep(WARM_UP).await;
    let served = Served::by(&hive, "flooded").await?;
    let asked = flood.finish()?;
    let flood = format!("{} requests per second from one address without a key", asked.per_second());
    served.report(&calm, ["keyless_all_online", "keyless_registration"], &flood);
    Ok(())
}

async fn handshaking(count: usize) -> anyhow::Result<()> {
    let hive = TestHive::start().await;
    let calm = Served::by(&hive, "calm").await?;
    let (address, identity) = (fleet::address_of(&hive).to_owned(), fleet::register(&hive, 1).await?.remove(0));
    let flood =
        Background::start(move |over| async move { rogue::begin_handshakes(&address, &identity, count, &over).await });
    sleep(WARM_UP).await;
    let served = Served::by(&hive, "flooded").await?;
    let begun = flood.finish()?;
    let flood = format!(
        "{} handshakes per second of one satellite, on {count} connections, none completed",
        begun.per_second()
    );
    served.report(&calm, ["handshakes_all_online", "handshakes_registration"], &flood);
    Ok(())
}

async fn unexpected_messages() -> anyhow::Result<()> {
    let mut hive = TestHive::start().await;
    let (address, identity) = (fleet::address_of(&hive).to_owned(), fleet::register(&hive, 1).await?.remove(0));
    // The log of the start does not count.
    let before = hive.server().log().len();
    let flood = Background::start(move |over| async move { rogue::send_unexpected(&address, &identity, &over).await });
    sleep(HOLD).await;
    let sent = flood.finish()?;
    let logged = hive.server().log().len() - before;
    let value = logged as f64 / sent.seconds;
    let command = format!("one satellite sends {} unexpected messages per second", sent.per_second());
    Figure { bench: "flood", name: "unexpected_messages_logged", value, unit: "bytes/s", peer: None, command }
        .print(&[value]);
    Ok(())
}
