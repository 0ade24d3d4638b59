//! How long a keystroke takes from the keyboard to the screen, by `hive shell` and by the library.
//!
//! A program on the far side answers each byte with the same byte. Beside it stand the ssh client and the bare program,
//! each on a PTY of its own, and all take turns, so that whatever else the machine does hits them alike.

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

const NAME: &str = "echoing-satellite";
const WARM_UP: usize = 200;
const ROUNDS: usize = 3_000;

/// Milliseconds of each round.
#[derive(Default)]
struct EchoSamples {
    shell: Vec<f64>,
    library: Vec<f64>,
    ssh: Vec<f64>,
    local: Vec<f64>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if !is_asked_for() {
        return Ok(());
    }
    let hive = TestHive::start().await;
    let satellite = hive.satellite(NAME).await;
    let program = script(&hive, "mirror.sh", "exec cat")?;
    let sshd = Sshd::start().await?;
    let mut shell = Typist::hive(&hive, NAME, &program)?;
    let mut library = Screen::open(&hive, &satellite, &program).await?;
    let mut ssh = Typist::ssh(&sshd, &program)?;
    // The floor: what a PTY and the program take alone.
    let mut local = Typist::local(&program)?;

    let mut samples = EchoSamples::default();
    for round in 0..WARM_UP + ROUNDS {
        // By turns within one round, so that all see the same machine.
        let seconds = [shell.press(1)?, library.press(1).await?, ssh.press(1)?, local.press(1)?];
        let milliseconds = seconds.map(|seconds| seconds * 1000.0);
        // The first rounds fill caches and pools on all sides.
        if round >= WARM_UP {
            samples.shell.push(milliseconds[0]);
            samples.library.push(milliseconds[1]);
            samples.ssh.push(milliseconds[2]);
            samples.local.push(milliseconds[3]);
        }
    }
    report("p50", 50, &samples.shell, "hive shell", ("ssh -tt on loopback", &samples.ssh));
    report("p95", 95, &samples.shell, "hive shell", ("ssh -tt on loopback", &samples.ssh));
    report("library_p50", 50, &samples.library, "hive_core::terminal::Terminal", ("a local PTY", &samples.local));
    report("library_p95", 95, &samples.library, "hive_core::terminal::Terminal", ("a local PTY", &samples.local));
    Ok(())
}

fn report(name: &'static str, percent: usize, ours: &[f64], of: &str, (peer, theirs): (&str, &[f64])) {
    Figure {
        bench: "terminal_echo",
        name,
        value: percentile(ours, percent),
        unit: "ms",
        peer: Some(Peer { name: peer.into(), value: percentile(theirs, percent) }),
        command: format!("`stty raw -echo; cat` behind {of}, one byte at a time, {ROUNDS} rounds by turns"),
    }
    .print(ours);
}
