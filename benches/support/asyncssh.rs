//! The peer of a command's round trip: asyncssh on an open connection to an sshd of our own.
//!
//! The sshd listens on a loopback port, with its own keys and configuration and an empty home, so that nobody's start-up
//! files are measured.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout};

const SSHD: &str = "/usr/sbin/sshd";
/// How often the start of sshd is looked for, 20 ms apart.
const ATTEMPTS: u32 = 250;

/// An open SSH connection that runs one command again and again.
pub(crate) struct Asyncssh {
    /// What was measured: the client, the server and the shell that it starts.
    pub(crate) name: String,
    /// The user's login shell, by which sshd starts every command.
    pub(crate) shell: String,
    to_client: ChildStdin,
    from_client: Lines<BufReader<ChildStdout>>,
    _client: Child,
    _sshd: Child,
    _directory: tempfile::TempDir,
}

#[derive(Deserialize)]
struct Hello {
    version: String,
    server: String,
    shell: String,
}

impl Asyncssh {
    /// Starts an sshd and connects to it, ready to run `command`.
    pub(crate) async fn connect(command: &str) -> anyhow::Result<Self> {
        let python = python_with_asyncssh()?;
        install_sshd()?;
        let directory = tempfile::tempdir()?;
        let (sshd, port) = start_sshd(directory.path()).await?;
        let mut client = tokio::process::Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/support/asyncssh_peer.py"))
            .arg(port.to_string())
            .arg(directory.path().join("user_key"))
            .arg(directory.path().join("host_key.pub"))
            .arg(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let to_client = client.stdin.take().context("stdin was piped")?;
        let mut from_client = BufReader::new(client.stdout.take().context("stdout was piped")?).lines();
        let hello = from_client.next_line().await?.context("asyncssh did not connect")?;
        let Hello { version, server, shell } = serde_json::from_str(&hello)?;
        let name = format!("asyncssh {version} on an open connection to {server}, login shell {shell}");
        Ok(Self { name, shell, to_client, from_client, _client: client, _sshd: sshd, _directory: directory })
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

/// Installs sshd where that starts no service behind anybody's back: as root, on a machine without systemd.
fn install_sshd() -> anyhow::Result<()> {
    if Path::new(SSHD).exists() {
        return Ok(());
    }
    let may_install = nix::unistd::geteuid().is_root() && !Path::new("/run/systemd/system").exists();
    ensure!(may_install, "{SSHD} is missing: install openssh-server to measure the peer");
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-q", "--no-install-recommends", "openssh-server"]);
    run(install.env("RUNLEVEL", "1").env("DEBIAN_FRONTEND", "noninteractive"))
}

async fn start_sshd(directory: &Path) -> anyhow::Result<(Child, u16)> {
    for key in ["host_key", "user_key"] {
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(directory.join(key)))?;
    }
    let home = directory.join("home");
    std::fs::create_dir(&home)?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let configuration = directory.join("sshd_config");
    std::fs::write(&configuration, sshd_config(directory, &home, port))?;
    if nix::unistd::geteuid().is_root() {
        // Where sshd, started by root, locks up its unprivileged half.
        std::fs::create_dir_all("/run/sshd")?;
    }
    let mut sshd = tokio::process::Command::new(SSHD);
    let sshd = sshd.args(["-D", "-e", "-f"]).arg(&configuration).kill_on_drop(true).spawn()?;
    for _ in 0..ATTEMPTS {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() {
            return Ok((sshd, port));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bail!("sshd did not listen")
}

fn sshd_config(directory: &Path, home: &Path, port: u16) -> String {
    let directory = directory.display();
    let home = home.display();
    format!(
        "ListenAddress 127.0.0.1:{port}\n\
         HostKey {directory}/host_key\n\
         AuthorizedKeysFile {directory}/user_key.pub\n\
         PidFile none\n\
         UsePAM no\n\
         StrictModes no\n\
         PermitRootLogin yes\n\
         PasswordAuthentication no\n\
         PrintMotd no\n\
         LogLevel QUIET\n\
         SetEnv HOME={home}\n"
    )
}

/// Runs a preparation; what it prints goes to standard error, for standard output holds figures alone.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.stdout(std::io::stderr()).status().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
