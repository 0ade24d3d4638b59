//! One real satellite of a hive.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::binaries::binary;
use crate::process::Process;

/// How a satellite is started.
#[derive(Debug, Clone, Default)]
pub struct SatelliteOptions {
    /// The server it dials, where that is not the hive's own address: a proxy.
    pub server: Option<String>,
    /// The team it registers for.
    pub team_id: Option<String>,
    /// Its labels.
    pub tags: Vec<String>,
    /// Further arguments.
    pub args: Vec<String>,
    /// Further environment.
    pub env: Vec<(String, String)>,
    /// Its data directory, where that does not lie in the hive's own folder.
    pub data_dir: Option<PathBuf>,
}

impl SatelliteOptions {
    /// Adds arguments.
    pub fn args<const N: usize>(&mut self, args: [&str; N]) -> &mut Self {
        self.args.extend(args.map(String::from));
        self
    }
}

/// A running `satellite-agent`.
#[derive(Debug)]
pub struct TestSatellite {
    name: String,
    id: String,
    dir: PathBuf,
    data_dir: PathBuf,
    server: String,
    options: SatelliteOptions,
    process: Process,
}

impl TestSatellite {
    /// Starts it with a token and waits until it can be used.
    pub async fn start(name: &str, server: &str, token: &str, dir: &Path, options: SatelliteOptions) -> Self {
        let data_dir = options.data_dir.clone().unwrap_or_else(|| dir.join(name));
        let server = options.server.clone().unwrap_or_else(|| server.to_owned());
        let mut command = command(&server, name, dir, &data_dir, &options);
        command.args(["--registration-token", token]);
        let mut process = Process::spawn(name, command, &logs(dir));
        let id = id_of(&process.event("online").await);
        Self { name: name.to_owned(), id, dir: dir.to_owned(), data_dir, server, options, process }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The path of its resource, with what is behind it.
    pub fn path(&self, rest: &str) -> String {
        format!("/api/v1/satellites/{}{rest}", self.id)
    }

    /// Its API key, out of the one file that is there to hold it.
    pub fn api_key(&self) -> String {
        let stored = std::fs::read(self.data_dir.join("backend.key.json")).unwrap();
        let stored: Value = serde_json::from_slice(&stored).unwrap();
        stored["api_key"].as_str().expect("a stored key").to_owned()
    }

    /// Where it keeps its key and its journal.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// How it is started again.
    pub fn options(&mut self) -> &mut SatelliteOptions {
        &mut self.options
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Starts it again, without a token, on the data it left; waits until it can be used.
    pub async fn restart(&mut self) {
        self.start_again();
        assert_eq!(id_of(&self.process.event("online").await), self.id, "a restart is the same satellite");
    }

    /// Starts it again, without a token, and does not wait.
    pub fn start_again(&mut self) {
        let command = command(&self.server, &self.name, &self.dir, &self.data_dir, &self.options);
        self.process = Process::spawn(&self.name, command, &logs(&self.dir));
    }
}

fn id_of(online: &Value) -> String {
    online["satellite_id"].as_str().expect("an online line names its satellite").to_owned()
}

fn logs(dir: &Path) -> PathBuf {
    dir.join("logs")
}

/// The home of whoever the satellites of a hive run commands for: what the profile of this machine's user does when a shell
/// starts is nothing that a test may depend on.
pub(crate) fn home(dir: &Path) -> PathBuf {
    let home = dir.join("home");
    std::fs::create_dir_all(&home).unwrap();
    home
}

/// The command line of a satellite without a token, in an environment of its own.
fn command(server: &str, name: &str, dir: &Path, data_dir: &Path, options: &SatelliteOptions) -> Command {
    let mut command = Command::new(binary("satellite-agent"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home(dir));
    command.envs(options.env.iter().map(|(name, value)| (name, value)));
    command.args(["--server", server, "--name", name, "--data-dir"]).arg(data_dir);
    for tag in &options.tags {
        command.args(["--tag", tag]);
    }
    command.args(&options.args);
    command
}
