//! The peer of a command's round trip: asyncssh on an open connection to an sshd of our own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use crate::support::sshd::{HOME, Sshd, run};

/// An open SSH connection that runs one command again and again.
pub(crate) struct Asyncssh {
    /// What was measured: the client, the server and the shell that it starts.
    pub(crate) name: String,
    /// The user's login shell, by which sshd starts every command.
    pub(crate) shell: String,
    to_client: ChildStdin,
    from_client: Lines<BufReader<ChildStdout>>,
    _client: Child,
    _sshd: Sshd,
}

#[derive(Deserialize)]
struct AsyncsshHello {
    version: String,
    server: String,
    shell: String,
    home: Vec<PathBuf>,
}

impl Asyncssh {
    /// Starts an sshd and connects to it, ready to run `command`.
    pub(crate) async fn connect(command: &str) -> anyhow::Result<Self> {
        let python = python_with_asyncssh()?;
        let sshd = Sshd::start().await?;
        let mut client = tokio::process::Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/support/asyncssh_peer.py"))
            .arg(sshd.port.to_string())
            .arg(sshd.user_key())
            .arg(sshd.host_key())
            .arg(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let to_client = client.stdin.take().context("stdin was piped")?;
        let mut from_client = BufReader::new(client.stdout.take().context("stdout was piped")?).lines();
        // It says this once its connection is open, which is not measured.
        let hello = from_client.next_line().await?.context("asyncssh did not connect")?;
        let AsyncsshHello { version, server, shell, home } = serde_json::from_str(&hello)?;
        // Otherwise the start-up files of a shell would be measured.
        ensure!(
            home == [sshd.user_key().with_file_name(HOME)],
            "sshd runs commands in another home than an empty one: {home:?}"
        );
        let name = format!("asyncssh {version} on an open connection to {server}, login shell {shell}, empty home");
        Ok(Self { name, shell, to_client, from_client, _client: client, _sshd: sshd })
    }

    /// Runs the command once; returns the milliseconds it took, by the client's own clock.
    pub(crate) async fn run(&mut self) -> anyhow::Result<f64> {
        self.to_client.write_all(b"\n").await?;
        let line = self.from_client.next_line().await?.context("asyncssh could not run the command")?;
        Ok(line.parse()?)
    }
}

/// A Python that has asyncssh: a virtual environment below `target`, made at the first run.
fn python_with_asyncssh() -> anyhow::Result<PathBuf> {
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("asyncssh");
    let python = environment.join("bin/python");
    let has_asyncssh = Command::new(&python).args(["-c", "import asyncssh"]).stderr(Stdio::null()).status();
    if !has_asyncssh.is_ok_and(|status| status.success()) {
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "asyncssh"]))?;
    }
    Ok(python)
}
