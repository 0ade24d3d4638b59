//! A hive with one satellite, for what is tested from outside: `hive up` in a folder of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::run::{built, program, root};

/// How often we look whether it can be used, and how far apart.
const ATTEMPTS: u32 = 300;
const INTERVAL: Duration = Duration::from_millis(100);

/// A running hive. It ends with its value.
pub(crate) struct UpHive {
    child: Child,
    dir: PathBuf,
    url: String,
    api_key: String,
}

impl UpHive {
    /// Starts a hive on a free port and waits until its satellite can be used.
    pub(crate) fn start(profile: &str) -> Result<Self> {
        let dir = built("xtask-hive");
        if dir.exists() {
            std::fs::remove_dir_all(&dir).with_context(|| format!("cannot clear {}", dir.display()))?;
        }
        std::fs::create_dir_all(&dir)?;
        let log = std::fs::File::create(dir.join("up.log"))?;
        let mut up = hive(profile);
        up.args(["up", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&dir);
        // Not the home of whoever runs this: what their profile does when a shell starts is their own affair.
        up.env("HOME", &dir).stdout(log.try_clone()?).stderr(log);
        let child = up.spawn().context("cannot start hive up")?;
        let mut started = Self { child, dir, url: String::new(), api_key: String::new() };
        started.wait_until_usable(profile)?;
        Ok(started)
    }

    /// Tells a program which hive it is.
    pub(crate) fn tell<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("HIVE_URL", &self.url).env("HIVE_API_KEY", &self.api_key)
    }

    fn wait_until_usable(&mut self, profile: &str) -> Result<()> {
        for _ in 0..ATTEMPTS {
            if self.read_access().is_ok() && self.runs_commands(profile) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("hive up ended with {status}; see {}", self.dir.join("up.log").display());
            }
            std::thread::sleep(INTERVAL);
        }
        bail!("hive up is not usable; see {}", self.dir.join("up.log").display())
    }

    /// Reads what `hive up` leaves for the command line.
    fn read_access(&mut self) -> Result<()> {
        let stored: serde_json::Value = serde_json::from_slice(&std::fs::read(self.dir.join("cli.json"))?)?;
        let field = |name: &str| stored[name].as_str().map(String::from).with_context(|| format!("no {name}"));
        (self.url, self.api_key) = (field("url")?, field("api_key")?);
        Ok(())
    }

    fn runs_commands(&self, profile: &str) -> bool {
        let mut exec = hive(profile);
        self.tell(exec.args(["exec", "all", "--", "true"])).stdout(Stdio::null()).stderr(Stdio::null());
        exec.status().is_ok_and(|status| status.success())
    }
}

impl Drop for UpHive {
    fn drop(&mut self) {
        // Asked politely, it ends its satellite too; by force only where it does not.
        let pid = self.child.id().to_string();
        let is_asked = program("sh").args(["-c", "kill $0", &pid]).status().is_ok_and(|status| status.success());
        if !is_asked {
            self.child.kill().ok();
        }
        self.child.wait().ok();
    }
}

fn hive(profile: &str) -> Command {
    let mut command = program(&built(profile).join("hive").to_string_lossy());
    command.current_dir(root());
    command
}
