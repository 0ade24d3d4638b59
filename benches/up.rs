//! How long it takes from `hive up` to a terminal that can be used: the hive, its first user, its satellite, and a shell
//! that has answered what was typed.

mod support {
    pub(crate) mod figure;
    pub(crate) mod samples;
}

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use hive_testkit::binary;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::figure::{Figure, is_asked_for};
use support::samples::percentile;
use tokio::time::Instant;

const ROUNDS: usize = 10;

fn main() -> anyhow::Result<()> {
    if !is_asked_for() {
        return Ok(());
    }
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let home = tempfile::tempdir()?;
        first.push(start_to_terminal(home.path())?);
        // In the same directory: the hive, its keys and its satellite are there already.
        again.push(start_to_terminal(home.path())?);
    }
    report("first_start", &first, "in an empty directory");
    report("start_again", &again, "where it was before");
    Ok(())
}

/// Milliseconds from the start of `hive up` to the answer of a shell behind `hive shell`.
fn start_to_terminal(home: &Path) -> anyhow::Result<f64> {
    let began = Instant::now();
    let mut up = Up::start(home)?;
    let name = up.satellite()?;
    answer_of_a_shell(home, &name)?;
    let milliseconds = began.elapsed().as_secs_f64() * 1000.0;
    up.stop()?;
    Ok(milliseconds)
}

fn hive(home: &Path) -> Command {
    let mut command = Command::new(binary("hive"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", home).env("TERM", "xterm-256color").current_dir(home);
    command
}

/// A running `hive up`. It ends with its value.
struct Up(Child);

impl Up {
    fn start(home: &Path) -> anyhow::Result<Self> {
        let mut command = hive(home);
        command.args(["-o", "json", "up", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::null());
        Ok(Self(command.spawn()?))
    }

    /// Waits until it is there; the name of its satellite.
    fn satellite(&mut self) -> anyhow::Result<String> {
        let stdout = self.0.stdout.as_mut().context("stdout was piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let said: serde_json::Value = serde_json::from_str(&line).context("it ended before it was there")?;
        Ok(said["satellite_name"].as_str().context("it names its satellite")?.to_owned())
    }

    fn stop(mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(self.0.id() as i32), Signal::SIGTERM)?;
        ensure!(self.0.wait()?.success(), "it did not end well");
        Ok(())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Opens a terminal, types, and waits for what the shell says to it.
fn answer_of_a_shell(home: &Path, satellite: &str) -> anyhow::Result<()> {
    let (mut pty, terminal) = pty_process::blocking::open()?;
    pty.resize(pty_process::Size::new(24, 80))?;
    let command = pty_process::blocking::Command::new(binary("hive"))
        .env_clear()
        .env("HOME", home)
        .env("TERM", "xterm-256color")
        .current_dir(home)
        .args(["shell", satellite, "--shell", "/bin/sh"]);
    let mut shell = command.spawn(terminal)?;
    // The echo of what is typed has another form than the answer.
    pty.write_all(b"echo us''able\r")?;
    let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
    while !said.windows(6).any(|window| window == b"usable") {
        let len = pty.read(&mut buffer).context("the shell is gone")?;
        said.extend_from_slice(&buffer[..len]);
    }
    shell.kill()?;
    shell.wait()?;
    Ok(())
}

fn report(name: &'static str, milliseconds: &[f64], where_it_starts: &str) {
    let value = percentile(milliseconds, 50);
    let command = format!("`hive up` to the answer of a shell behind `hive shell`, {where_it_starts}, {ROUNDS} starts");
    Figure { bench: "up", name, value, unit: "ms", peer: None, command }.print(milliseconds);
}
