//! A PostgreSQL for the tests: a cluster of their own on a free port, thrown away with its value.
//!
//! Its folder is not in `target`: PostgreSQL does not run as root, and nobody else need be let into a checkout.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::machine;
use crate::run::{self, output_of, program};

/// Where Debian puts the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// How often we look whether it is there, and how far apart.
const ATTEMPTS: u32 = 600;
const INTERVAL: Duration = Duration::from_millis(50);
/// The tests open many connections at once.
const SETTINGS: [&str; 4] =
    ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=400", "shared_buffers=64MB"];
/// What is only for tests: nothing there outlives the machine.
const FORGETFUL: [&str; 3] = ["fsync=off", "full_page_writes=off", "autovacuum=off"];

/// A running cluster.
pub(crate) struct Postgres {
    child: Child,
    dir: PathBuf,
    port: u16,
}

impl Postgres {
    /// Starts a cluster for tests, after having installed PostgreSQL where it is missing.
    pub(crate) fn start() -> Result<Self> {
        Self::start_with(&FORGETFUL)
    }

    /// Starts a cluster whose commits are on disk, as that of a real hive.
    pub(crate) fn start_durable() -> Result<Self> {
        Self::start_with(&[])
    }

    fn start_with(settings: &[&str]) -> Result<Self> {
        if programs().is_none() {
            machine::install(["postgresql"])?;
        }
        let programs = programs().context("there is no PostgreSQL below /usr/lib/postgresql")?;
        let dir = std::env::temp_dir().join(format!("hive-postgres-{}", std::process::id()));
        std::fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        // Nobody drops a cluster that did not start, so that its folder is removed here.
        let started = Self::start_in(&programs, &dir, settings);
        if started.is_err() {
            std::fs::remove_dir_all(&dir).ok();
        }
        started
    }

    fn start_in(programs: &Path, dir: &Path, settings: &[&str]) -> Result<Self> {
        let user = user()?;
        std::os::unix::fs::chown(dir, Some(user), None).context("cannot give the cluster its folder")?;
        let mut initdb = of_user(programs.join("initdb"), user, dir);
        initdb.args(["--auth=trust", "--username=hive", "--encoding=UTF8", "--locale=C", "--no-sync", "--pgdata"]);
        run::run(initdb.arg(dir.join("data")).stdout(Stdio::null()))?;
        // Another process may take the port before the cluster does; then the start fails and says so.
        let port = free_port()?;
        let mut postgres = of_user(programs.join("postgres"), user, dir);
        postgres.arg("-D").arg(dir.join("data")).args(["-p", &port.to_string()]);
        postgres.args(SETTINGS.iter().chain(settings).flat_map(|setting| ["-c", setting]));
        let log = std::fs::File::create(dir.join("log"))?;
        let child = postgres.stdout(log.try_clone()?).stderr(log).spawn().context("cannot start postgres")?;
        let mut cluster = Self { child, dir: dir.to_owned(), port };
        cluster.wait_until_ready(programs)?;
        Ok(cluster)
    }

    /// Where a new database is asked for.
    pub(crate) fn url(&self) -> String {
        format!("postgres://hive@127.0.0.1:{}/postgres", self.port)
    }

    fn wait_until_ready(&mut self, programs: &Path) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let mut ask = program(&programs.join("pg_isready").to_string_lossy());
            ask.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
            if ask.status().is_ok_and(|status| status.success()) {
                return Ok(());
            }
            // It will never be ready: its log says why, and is shown instead of a timeout.
            if let Some(status) = self.child.try_wait()? {
                bail!("postgres ended with {status}: {}", std::fs::read_to_string(self.dir.join("log"))?);
            }
            std::thread::sleep(INTERVAL);
        }
        bail!("postgres does not come up")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGQUIT: its processes end at once, and what they leave behind is thrown away.
        let pid = self.child.id().to_string();
        let is_asked = program("sh").args(["-c", "kill -QUIT $0", &pid]).status().is_ok_and(|status| status.success());
        if !is_asked {
            self.child.kill().ok();
        }
        self.child.wait().ok();
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

/// The folder with the programs of the newest version.
fn programs() -> Option<PathBuf> {
    // Debian puts the programs of each version into a folder of its own, and none of them on the path.
    let versions = std::fs::read_dir(VERSIONS).ok()?.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    let is_there = |bin: &PathBuf| bin.join("initdb").exists() && bin.join("postgres").exists();
    versions.filter(is_there).max_by_key(|bin| version(bin))
}

fn version(bin: &Path) -> u32 {
    let name = bin.parent().and_then(Path::file_name).and_then(OsStr::to_str);
    name.and_then(|name| name.parse().ok()).unwrap_or(0)
}

/// Whom it runs as: us, unless we are root.
fn user() -> Result<u32> {
    let number = |args: &[&str]| -> Result<u32> { Ok(output_of(program("id").args(args))?.trim().parse()?) };
    let us = number(&["-u"])?;
    if us != 0 {
        return Ok(us);
    }
    let other = number(&["-u", "postgres"]).or_else(|_| number(&["-u", "nobody"]))?;
    ensure!(other != 0, "PostgreSQL does not run as root");
    Ok(other)
}

/// A program as this user, with nothing of our environment that would tell it of another cluster.
fn of_user(path: PathBuf, user: u32, dir: &Path) -> Command {
    let mut command = program(&path.to_string_lossy());
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Variables such as `PGHOST` of the caller would lead the programs to another cluster.
    command.env_clear().env("PATH", path).env("LC_ALL", "C").current_dir(dir).uid(user);
    command
}

/// A port that nobody listens on. Somebody may be quicker; then postgres says so.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
