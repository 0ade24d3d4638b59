//! An sshd of our own on a loopback port, with its own keys and configuration. Its commands run in an empty home and read no
//! start-up file, so that nobody's profile is measured.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::net::TcpStream;
use tokio::process::Child;

const SSHD: &str = "/usr/sbin/sshd";
/// The home directory of the commands, which is empty, beside the keys.
pub(crate) const HOME: &str = "home";
/// How often the start of sshd is looked for, 20 ms apart.
const ATTEMPTS: u32 = 250;

/// A running sshd. It ends with its value.
pub(crate) struct Sshd {
    pub(crate) port: u16,
    directory: tempfile::TempDir,
    _server: Child,
}

impl Sshd {
    /// Starts one on a free port.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        install()?;
        let directory = tempfile::tempdir()?;
        let (server, port) = start(directory.path()).await?;
        Ok(Self { port, directory, _server: server })
    }

    /// The private key it lets in.
    pub(crate) fn user_key(&self) -> PathBuf {
        self.directory.path().join("user_key")
    }

    /// Its own public key.
    pub(crate) fn host_key(&self) -> PathBuf {
        self.directory.path().join("host_key.pub")
    }
}

/// Installs sshd where that starts no service behind anybody's back: as root, on a machine without systemd.
fn install() -> anyhow::Result<()> {
    if Path::new(SSHD).exists() {
        return Ok(());
    }
    let may_install = nix::unistd::geteuid().is_root() && !Path::new("/run/systemd/system").exists();
    ensure!(may_install, "{SSHD} is missing: install openssh-server to measure the peer");
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-q", "--no-install-recommends", "openssh-server"]);
    run(install.env("RUNLEVEL", "1").env("DEBIAN_FRONTEND", "noninteractive"))
}

async fn start(directory: &Path) -> anyhow::Result<(Child, u16)> {
    for key in ["host_key", "user_key"] {
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(directory.join(key)))?;
    }
    let home = directory.join(HOME);
    std::fs::create_dir(&home)?;
    // sshd cannot choose a port by itself. This one was free a moment ago.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let file = directory.join("sshd_config");
    std::fs::write(&file, configuration(directory, &home, port))?;
    if nix::unistd::geteuid().is_root() {
        // Where sshd, started by root, locks up its unprivileged half.
        std::fs::create_dir_all("/run/sshd")?;
    }
    let mut sshd = tokio::process::Command::new(SSHD);
    let sshd = sshd.args(["-D", "-e", "-f"]).arg(&file).kill_on_drop(true).spawn()?;
    for _ in 0..ATTEMPTS {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() {
            return Ok((sshd, port));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bail!("sshd did not listen")
}

fn configuration(directory: &Path, home: &Path, port: u16) -> String {
    let directory = directory.display();
    let home = home.display();
    // SHLVL: a bash that sshd starts, and that finds itself the first shell, reads the .bashrc of its home and of the system.
    format!(
        "ListenAddress 127.0.0.1:{port}\n\
         HostKey {directory}/host_key\n\
         AuthorizedKeysFile {directory}/user_key.pub\n\
         PidFile none\n\
         UsePAM no\n\
         StrictModes no\n\
         PermitRootLogin yes\n\
         PermitUserEnvironment no\n\
         PermitUserRC no\n\
         PasswordAuthentication no\n\
         PrintMotd no\n\
         LogLevel QUIET\n\
         SetEnv HOME={home} SHLVL=1\n"
    )
}

/// Runs a preparation; what it prints goes to standard error, for standard output holds figures alone.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.stdout(std::io::stderr()).status().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
