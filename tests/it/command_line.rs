//! `hive`, as somebody meets it who has nothing but the program: at a terminal, in a script, and where something is wrong.

mod api;
mod completing;
mod confirming;
mod errors;
mod keyring;
mod logins;
mod other_servers;
mod people;
mod pipes;
mod shown;
mod tls;
mod up;

use std::ffi::OsStr;
use std::path::Path;

use hive_testkit::{Console, Finished, TestHive, binary};
use tempfile::TempDir;
use tokio::process::Command;

/// Somebody's home directory, in which `hive` was never used.
struct Home {
    dir: TempDir,
    /// The bus of their desktop.
    bus: Option<String>,
}

impl Home {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), bus: None }
    }

    fn on_bus(address: &str) -> Self {
        Self { bus: Some(address.to_owned()), ..Self::new() }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A program in this directory, with nothing else in its environment.
    fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        // No login of the developer may be found.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.bus.iter().map(|address| ("DBUS_SESSION_BUS_ADDRESS", address)));
        command.env("HOME", self.path()).current_dir(self.path());
        command
    }

    fn command<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Command {
        let mut command = self.program(binary("hive"));
        command.args(args);
        command
    }

    async fn run<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Finished {
        Finished::run(self.command(args)).await
    }

    /// Runs it with lines on its standard input.
    async fn run_with<I: IntoIterator<Item: AsRef<OsStr>>>(&self, lines: &str, args: I) -> Finished {
        let mut command = self.program("/bin/sh");
        // What runs a command to its end gives it no standard input: a shell in between has one.
        let path = self.path().join("stdin");
        std::fs::write(&path, lines).unwrap();
        command.args(["-c", "exec \"$@\" < \"$0\""]).arg(&path).arg(binary("hive")).args(args);
        Finished::run(command).await
    }

    /// Runs it on a terminal of 80 columns and 24 rows.
    fn console<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Console {
        let mut command = self.command(args);
        command.env("TERM", "xterm-256color").env("LANG", "C.UTF-8");
        Console::start(command, 80, 24)
    }

    /// Logs in to a hive as its admin.
    async fn log_in(&self, hive: &TestHive, more: &[&str]) -> Finished {
        let args = ["login", hive.url(), "--username", "admin"];
        self.run_with(&format!("{}\n", hive.password()), args.iter().chain(more)).await
    }
}
