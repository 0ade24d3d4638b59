//! The peer of a fan-out: Salt, its master and its minions on this machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

/// A master with minions, and a client that runs one command on all of them again and again.
pub(crate) struct Salt {
    /// What was measured.
    pub(crate) name: String,
    to_client: ChildStdin,
    from_client: Lines<BufReader<ChildStdout>>,
    _client: Child,
    _directory: tempfile::TempDir,
}

#[derive(Deserialize)]
struct SaltHello {
    version: String,
}

impl Salt {
    /// Starts a master and as many minions, and waits until all of them answer.
    pub(crate) async fn start(minions: usize) -> anyhow::Result<Self> {
        let python = python_with_salt()?;
        let directory = tempfile::tempdir()?;
        let mut client = tokio::process::Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/support/salt_peer.py"))
            .arg(directory.path())
            .arg(minions.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let to_client = client.stdin.take().context("stdin was piped")?;
        let mut from_client = BufReader::new(client.stdout.take().context("stdout was piped")?).lines();
        // It says this once all minions have answered.
        let hello = from_client.next_line().await?.context("Salt did not start")?;
        let SaltHello { version } = serde_json::from_str(&hello)?;
        let name = format!("Salt {version}, cmd.run on {minions} minions by LocalClient");
        Ok(Self { name, to_client, from_client, _client: client, _directory: directory })
    }

    /// Runs `true` on all minions; returns the seconds it took, by the client's own clock.
    pub(crate) async fn run(&mut self) -> anyhow::Result<f64> {
        self.to_client.write_all(b"\n").await?;
        let line = self.from_client.next_line().await?.context("Salt could not run the command")?;
        Ok(line.parse()?)
    }
}

/// A Python that has Salt: a virtual environment below `target`, made at the first run.
fn python_with_salt() -> anyhow::Result<PathBuf> {
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("salt");
    let python = environment.join("bin/python");
    let has_salt = Command::new(&python).args(["-c", "import salt.client"]).stderr(Stdio::null()).status();
    if !has_salt.is_ok_and(|status| status.success()) {
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "salt"]))?;
    }
    Ok(python)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.stdout(Stdio::null()).status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}
