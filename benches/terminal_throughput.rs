//! How fast a terminal's output comes through `hive shell`, and to the library.
//!
//! Beside it stand the ssh client and the bare program, each on a PTY of its own, by turns. The last PTY is part of what is
//! measured wherever there is one; the library has none.

mod support {
    pub(crate) mod figure;
    pub(crate) mod samples;
    pub(crate) mod screen;
    pub(crate) mod sshd;
    pub(crate) mod typist;
}

use hive_testkit::TestHive;
use support::figure::{Figure, Peer, is_asked_for};
use support::samples::percentile;
use support::screen::Screen;
use support::sshd::Sshd;
use support::typist::{Typist, script};

const NAME: &str = "flooding-satellite";
const ROUNDS: usize = 7;
const BYTES: u64 = 100_000_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if !is_asked_for() {
        return Ok(());
    }
    let hive = TestHive::start().await;
    let satellite = hive.satellite(NAME).await;
    // A byte starts each flood, so that the clock starts with the key.
    let flood = format!("while test -n \"$(head -c 1)\"; do head -c {BYTES} /dev/zero | tr '\\0' x; done");
    let program = script(&hive, "flood.sh", &flood)?;
    let sshd = Sshd::start().await?;
    let mut shell = Typist::hive(&hive, NAME, &program)?;
    let mut library = Screen::open(&hive, &satellite, &program).await?;
    let mut ssh = Typist::ssh(&sshd, &program)?;
    let mut local = Typist::local(&program)?;

    // Megabytes a second of each round.
    let mut rates: [Vec<f64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        let seconds = [shell.press(BYTES)?, library.press(BYTES).await?, ssh.press(BYTES)?, local.press(BYTES)?];
        for (rates, seconds) in rates.iter_mut().zip(seconds) {
            rates.push(BYTES as f64 / 1e6 / seconds);
        }
    }
    let [shell, library, ssh, local] = rates;
    report("shell", &shell, "hive shell", ("ssh -tt on loopback", &ssh));
    report("shell_beside_local", &shell, "hive shell", ("a local PTY", &local));
    report("library", &library, "hive_core::terminal::Terminal", ("ssh -tt on loopback", &ssh));
    Ok(())
}

fn report(name: &'static str, ours: &[f64], of: &str, (peer, theirs): (&str, &[f64])) {
    Figure {
        bench: "terminal_throughput",
        name,
        value: percentile(ours, 50),
        unit: "MB/s",
        peer: Some(Peer { name: peer.into(), value: percentile(theirs, 50) }),
        command: format!(
            "`head -c {BYTES} /dev/zero | tr '\\0' x` on a raw terminal behind {of}, median of {ROUNDS} by turns"
        ),
    }
    .print(ours);
}
