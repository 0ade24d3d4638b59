//! `hive`, as somebody meets it who has nothing but the program: at a terminal, in a script, and where something is wrong.

mod completing;
mod errors;
mod fake;
mod logins;
mod people;
mod shown;
mod tls;
mod up;

use std::ffi::OsStr;
use std::path::Path;

use hive_testkit::{Console, Finished, TestHive, binary};
use tempfile::TempDir;
use tokio::process::Command;

/// Somebody's home directory, in which `hive` was never used.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// `hive` in this directory, with nothing else in its environment.
    fn command<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Command {
        let mut command = Command::new(binary("hive"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path()).current_dir(self.path()).args(args);
        command
    }

    async fn run<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Finished {
        Finished::run(self.command(args)).await
    }

    /// Runs it with lines on its standard input.
    async fn run_with<I: IntoIterator<Item: AsRef<OsStr>>>(&self, lines: &str, args: I) -> Finished {
        let mut command = Command::new("/bin/sh");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path()).current_dir(self.path());
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
