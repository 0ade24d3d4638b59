//! One real hive, with a server process of its own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::binaries::binary;
use crate::cli::Finished;
use crate::console::Console;
use crate::database::{Engine, PostgresDatabase};
use crate::process::Process;
use crate::satellite::{SatelliteOptions, TestSatellite, home};
use crate::seed::{ADMIN, TestAdmin, seed};
use hive_test_peers::Rest;
use hive_test_peers::{until, until_some};

/// How a server is started.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    /// Further arguments.
    pub args: Vec<String>,
    /// Further environment.
    pub env: Vec<(String, String)>,
    /// The server's data directory, where it does not lie in the hive's own folder.
    pub data_dir: Option<PathBuf>,
    /// The kind of its database, where it is not the one that the run is about.
    pub engine: Option<Engine>,
    /// The URL of its database, where the test has made one.
    pub database: Option<String>,
}

/// A running hive: a server, its admin and the admin's API key.
#[derive(Debug)]
pub struct TestHive {
    // The server ends before its folder goes.
    server: Process,
    url: String,
    admin: TestAdmin,
    options: ServerOptions,
    dir: TempDir,
    /// Its own, in a run about PostgreSQL. It goes last.
    database: Option<PostgresDatabase>,
}

impl TestHive {
    /// Starts a hive on a free port.
    pub async fn start() -> Self {
        Self::start_with(ServerOptions::default()).await
    }

    /// Starts a hive that keeps its data in SQLite, for tests of what happens to that file.
    pub async fn start_on_sqlite() -> Self {
        Self::start_with(ServerOptions { engine: Some(Engine::Sqlite), ..ServerOptions::default() }).await
    }

    /// Starts a hive on a free port, with options of the server.
    pub async fn start_with(mut options: ServerOptions) -> Self {
        let (dir, database) = storage(&mut options).await;
        let admin = seed(&data_dir(dir.path(), &options), options.database.as_deref()).await;
        let (server, url) = start_server(dir.path(), "127.0.0.1:0", &options).await;
        Self { server, url, admin, options, dir, database }
    }

    /// Starts a hive where there is nothing, and makes its admin with the server's own commands, as an operator does.
    pub async fn start_empty() -> Self {
        let mut options = ServerOptions::default();
        let (dir, database) = storage(&mut options).await;
        let (server, url) = start_server(dir.path(), "127.0.0.1:0", &options).await;
        let admin = TestAdmin { password: String::new(), api_key: String::new() };
        let mut hive = Self { server, url, admin, options, dir, database };
        hive.admin.password = text(&hive.server_command(&["admin", "create", "--username", ADMIN]).await["password"]);
        hive.admin.api_key = hive.new_api_key(ADMIN).await;
        hive
    }

    /// Where it is reached.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The admin's API key.
    pub fn api_key(&self) -> &str {
        &self.admin.api_key
    }

    /// The admin's password.
    pub fn password(&self) -> &str {
        &self.admin.password
    }

    /// Where the server and the satellites keep what they keep, and where their logs are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The home directory of what the satellites run.
    pub fn home(&self) -> PathBuf {
        home(self.dir())
    }

    /// The server's data directory.
    pub fn data_dir(&self) -> PathBuf {
        data_dir(self.dir.path(), &self.options)
    }

    /// Its own PostgreSQL database, in a run about PostgreSQL.
    pub fn database(&self) -> Option<&PostgresDatabase> {
        self.database.as_ref()
    }

    /// The server's process.
    pub fn server(&mut self) -> &mut Process {
        &mut self.server
    }

    /// The admin over HTTP.
    pub fn rest(&self) -> Rest {
        self.anonymous().with("x-api-key", &self.admin.api_key)
    }

    /// Somebody without credentials over HTTP.
    pub fn anonymous(&self) -> Rest {
        Rest::new(&self.url)
    }

    /// Runs `hive` as the admin.
    pub async fn cli<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Finished {
        Finished::run(self.hive_command(&self.url, args)).await
    }

    /// Runs `hive` as the admin, on a terminal of 80 columns and 24 rows.
    pub fn console<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Console {
        self.console_via(&self.url, args)
    }

    /// Runs `hive` as the admin on a terminal, with another way to the server: a proxy.
    pub fn console_via<I: IntoIterator<Item: AsRef<OsStr>>>(&self, url: &str, args: I) -> Console {
        let mut command = self.hive_command(url, args);
        command.env("TERM", "xterm-256color").env("LANG", "C.UTF-8");
        Console::start(command, 80, 24)
    }

    /// `hive` as the admin, knowing nothing but where the hive is and the key.
    pub fn hive_command<I: IntoIterator<Item: AsRef<OsStr>>>(&self, url: &str, args: I) -> Command {
        let mut command = Command::new(binary("hive"));
        // The environment of the developer must not reach the programs under test.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.dir.path()).env("HIVE_URL", url).env("HIVE_API_KEY", &self.admin.api_key);
        command.args(args);
        command
    }

    /// Runs one of the server's own commands beside it, and returns the line it prints.
    pub async fn server_command(&self, args: &[&str]) -> Value {
        self.try_server_command(args).await.expect_success().json()
    }

    /// Runs one of the server's own commands beside it, which may fail.
    pub async fn try_server_command(&self, args: &[&str]) -> Finished {
        let mut command = Command::new(binary("hive-server"));
        command.env_clear().args(args).arg("--data-dir").arg(self.data_dir());
        command.envs(self.options.database.iter().map(|url| ("HIVE_DATABASE_URL", url)));
        Finished::run(command).await
    }

    /// Makes a further API key of a user.
    pub async fn new_api_key(&self, username: &str) -> String {
        text(&self.server_command(&["api-key", "create", "--username", username]).await["api_key"])
    }

    /// Makes a team; its id.
    pub async fn new_team(&self, slug: &str) -> String {
        text(&self.rest().post("/api/v1/teams", &json!({"slug": slug})).await.data()["id"])
    }

    /// Makes a registration token for the whole hive, or for a team.
    pub async fn new_token(&self, team_id: Option<&str>) -> String {
        text(&self.rest().post("/api/v1/registration-tokens", &wanted_token(team_id)).await.data()["token"])
    }

    /// Makes a registration token for the place of this satellite.
    pub async fn new_token_for(&self, satellite: &str) -> String {
        let satellite = self.rest().get(&format!("/api/v1/satellites/{satellite}")).await.data();
        let mut wanted = wanted_token(satellite["team_id"].as_str());
        wanted["for_satellite"] = satellite["id"].clone();
        text(&self.rest().post("/api/v1/registration-tokens", &wanted).await.data()["token"])
    }

    /// Starts a satellite and waits until it can be used.
    pub async fn satellite(&self, name: &str) -> TestSatellite {
        self.satellite_with(name, SatelliteOptions::default()).await
    }

    /// Starts a satellite with options and waits until it can be used.
    pub async fn satellite_with(&self, name: &str, options: SatelliteOptions) -> TestSatellite {
        let mut wanted = wanted_token(options.team_id.as_deref());
        wanted["allowed_tags"] = json!(options.tags);
        let token = text(&self.rest().post("/api/v1/registration-tokens", &wanted).await.data()["token"]);
        self.satellite_with_token(name, &token, options).await
    }

    /// Starts a satellite with this token and waits until it can be used.
    pub async fn satellite_with_token(&self, name: &str, token: &str, options: SatelliteOptions) -> TestSatellite {
        TestSatellite::start(name, &self.url, token, self.dir.path(), options).await
    }

    /// Gets a command as it stands.
    pub async fn command(&self, id: &str) -> Value {
        self.rest().get(&format!("/api/v1/commands/{id}")).await.data()
    }

    /// Waits until a command has this status, and returns it as it then stands; panics when it ends otherwise.
    pub async fn until_status(&self, id: &str, status: &str) -> Value {
        until_some(&format!("{id} is {status}"), async || {
            let command = self.command(id).await;
            let is_there = command["status"] == status;
            assert!(is_there || is_open(&command), "not {status}: {command}");
            is_there.then_some(command)
        })
        .await
    }

    /// Waits until a command has ended, and returns it as it then stands.
    pub async fn until_ended(&self, id: &str) -> Value {
        until_some(&format!("{id} has ended"), async || {
            let command = self.command(id).await;
            (!is_open(&command)).then_some(command)
        })
        .await
    }

    /// Runs a line in the shell of a satellite and returns the result.
    pub async fn exec(&self, satellite: &TestSatellite, line: &str) -> Value {
        self.rest().post(&satellite.path("/exec"), &json!({"command": line})).await.data()
    }

    /// Queues a command for a satellite and returns its id.
    pub async fn submit(&self, satellite: &TestSatellite, command: &Value) -> String {
        let answer = self.rest().post(&satellite.path("/exec?wait=false"), command).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        text(&answer.data()["command_id"])
    }

    /// Waits until the server has the satellite online, or offline.
    pub async fn until_online(&self, satellite: &TestSatellite, is_online: bool) {
        let what = format!("{} is online: {is_online}", satellite.name());
        until(&what, async || self.rest().get(&satellite.path("")).await.data()["online"] == is_online).await;
    }

    /// Kills the server as `kill -9` does.
    pub fn kill_server(&mut self) {
        self.server.kill();
    }

    /// Starts the server on a data directory it is expected to refuse; its exit code, and what it said.
    pub async fn refused_server(&self) -> (i32, String) {
        // Logs of its own: the log of the hive is about the server that runs.
        let logs = self.dir.path().join("refused");
        let options = ServerOptions { data_dir: Some(self.data_dir()), ..self.options.clone() };
        let mut server = spawn_server(&logs, "127.0.0.1:0", &options);
        server.exited().await;
        let said = server.log();
        std::fs::remove_dir_all(logs).unwrap();
        (server.try_code().expect("it has ended"), said)
    }

    /// Starts a second server on the same data, and the admin who calls it.
    pub async fn second_server(&self) -> (Process, Rest) {
        let (server, url) = start_server(self.dir.path(), "127.0.0.1:0", &self.options).await;
        (server, Rest::new(&url).with("x-api-key", &self.admin.api_key))
    }

    /// Sets the further arguments of the server, for its next start.
    pub(crate) fn set_server_args(&mut self, args: &[&str]) {
        self.options.args = args.iter().map(|arg| (*arg).to_owned()).collect();
    }

    /// Starts the server again on the same port and data.
    pub async fn restart_server(&mut self) {
        // The port of before: satellites and callers know no other.
        let address = self.url.strip_prefix("http://").unwrap().to_owned();
        (self.server, _) = start_server(self.dir.path(), &address, &self.options).await;
    }

    /// Restores a backup where there is nothing yet, in this database or in SQLite, and starts the server there on the same
    /// port.
    pub async fn restore_server(&mut self, backup: &Path, database: Option<String>) {
        // Kept and not deleted: its logs may explain a failure.
        let before = tempfile::Builder::new().prefix("server-before-").tempdir_in(self.dir()).unwrap().keep();
        std::fs::rename(self.data_dir(), before.join("server")).unwrap();
        self.options.database = database;
        self.server_command(&["restore", "--from", backup.to_str().unwrap()]).await;
        self.restart_server().await;
    }
}

/// The folder of a new hive, and its own database in a run about PostgreSQL.
async fn storage(options: &mut ServerOptions) -> (TempDir, Option<PostgresDatabase>) {
    let dir = tempfile::tempdir().unwrap();
    let engine = options.engine.unwrap_or_else(Engine::of_this_run);
    if options.database.is_some() || engine == Engine::Sqlite {
        return (dir, None);
    }
    let database = PostgresDatabase::create().await;
    options.database = Some(database.url());
    (dir, Some(database))
}

fn data_dir(dir: &Path, options: &ServerOptions) -> PathBuf {
    options.data_dir.clone().unwrap_or_else(|| dir.join("server"))
}

async fn start_server(dir: &Path, listen: &str, options: &ServerOptions) -> (Process, String) {
    let mut server = spawn_server(dir, listen, options);
    let listening = server.event("listening").await;
    (server, text(&listening["http"]))
}

fn spawn_server(dir: &Path, listen: &str, options: &ServerOptions) -> Process {
    let mut command = std::process::Command::new(binary("hive-server"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.envs(options.env.iter().map(|(name, value)| (name, value)));
    command.envs(options.database.iter().map(|url| ("HIVE_DATABASE_URL", url)));
    command.arg("--data-dir").arg(data_dir(dir, options)).args(["--listen", listen]).args(&options.args);
    Process::spawn("hive-server", command, &dir.join("logs"))
}

/// Whether a command has not ended.
fn is_open(command: &Value) -> bool {
    ["queued", "delivered", "started"].iter().any(|status| command["status"] == *status)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}

/// The request for a registration token for the whole hive, or for a team.
fn wanted_token(team_id: Option<&str>) -> Value {
    match team_id {
        Some(team_id) => json!({"scope": "team", "team_id": team_id}),
        None => json!({"scope": "global"}),
    }
}
