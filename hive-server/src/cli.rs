//! The commands of `hive-server`. Each works beside a running server on the same data.

mod backup;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use hive_core::access::Role;
use hive_core::hive::{Activation, ClaimedTags, HiveBuilder, MAX_LOST_GRACE, Settings, forget_trail_mark};
use hive_core::store::{Database, InvalidDatabase};
use hive_core::wire::api::{ApiKeyCreate, NewUser, PlatformRole, TeamCreate, UserCreate};
use hive_core::{AuditLogger, Hive, Identity};
use hive_server::telemetry::{self, LogFilter, LogFormat};
use hive_server::{Config, Limits, Server};
use ipnet::IpNet;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Serves a hive: REST, the satellite API and the agent WebSocket.
#[derive(Parser)]
#[command(name = "hive-server", version)]
pub(crate) struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    serve: Serve,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args)]
struct Place {
    /// Where the hive keeps its keys, and its database unless that is elsewhere
    #[arg(long, global = true, env = "HIVE_DATA_DIR", default_value = "./hive-data", value_name = "DIR")]
    data_dir: PathBuf,
    /// The database: sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/NAME; hive.db in the data directory unless given
    #[arg(long, global = true, env = "HIVE_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database: Option<SecretString>,
}

impl Place {
    /// The database. What is wrong about it is said here and not where arguments are parsed: there the
    /// message would hold the password.
    fn database(&self) -> Result<Database, InvalidDatabase> {
        match &self.database {
            Some(database) => database.expose_secret().parse(),
            None => Database::default_in(Some(&self.data_dir)),
        }
    }

    /// Fails where there is no hive. One that is looked through is not to be made by that.
    fn expect_hive(&self) -> Result<(), String> {
        let keys = self.keys();
        if keys.is_dir() { Ok(()) } else { Err(format!("there is no hive: {} is missing", keys.display())) }
    }

    fn keys(&self) -> PathBuf {
        self.data_dir.join("keys")
    }

    /// A hive that is kept here.
    fn builder(self) -> Result<HiveBuilder, InvalidDatabase> {
        let database = self.database()?;
        Ok(Hive::builder().data_dir(self.data_dir).database(database))
    }

    /// What a backup is of.
    fn whole(self) -> Result<hive_core::store::backup::Place, InvalidDatabase> {
        let database = self.database()?;
        Ok(hive_core::store::backup::Place { database, keys: self.keys() })
    }
}

#[derive(Args)]
struct Serve {
    /// Where to listen; port 0 takes a free one
    #[arg(long, env = "HIVE_LISTEN", default_value = "127.0.0.1:3000", value_name = "ADDR")]
    listen: SocketAddr,
    /// The URL by which clients and satellites reach this server; registration tokens are bound to it
    #[arg(long, env = "HIVE_EXTERNAL_URL", value_name = "URL")]
    external_url: Option<String>,
    /// A proxy whose X-Forwarded-For is believed; may be given several times
    #[arg(long, value_name = "IP or CIDR", value_parser = parse_network)]
    trusted_proxy: Vec<IpNet>,
    /// When a registered satellite becomes active: with its first heartbeat, or by an admin
    #[arg(long, value_name = "heartbeat|manual", value_parser = parse_activation)]
    activation: Option<Activation>,
    /// What becomes of tags that an agent claims and its token does not allow: facts that match nothing, or tags
    #[arg(long, value_name = "facts|accept", value_parser = parse_claimed_tags)]
    claimed_tags: Option<ClaimedTags>,
    /// Seconds between the heartbeats of a link
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    heartbeat_interval: Option<Duration>,
    /// Seconds of silence after which a satellite is offline
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    heartbeat_timeout: Option<Duration>,
    /// Seconds beyond its timeout after which a command of which nothing is heard counts as outcome_unknown; at most 600
    #[arg(long, value_name = "SECONDS", value_parser = parse_lost_grace)]
    lost_grace: Option<Duration>,
    #[command(flatten)]
    queues: Queues,
    #[command(flatten)]
    terminals: Terminals,
    #[command(flatten)]
    door: Door,
    /// How log lines look
    #[arg(long, env = "HIVE_LOG_FORMAT", default_value = "text", value_name = "text|json")]
    log_format: LogFormat,
    /// What is logged: a level, or levels by module
    #[arg(long, env = "HIVE_LOG_LEVEL", default_value = "info", value_name = "FILTER")]
    log_level: LogFilter,
}

#[derive(Args)]
struct Queues {
    /// Commands that may be open on one satellite; more of them are refused with 429
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    max_queue_per_satellite: Option<u32>,
    /// Commands of one caller that may be open, those of jobs left out; more of them are refused with 429
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    max_open_per_caller: Option<u32>,
}

#[derive(Args)]
struct Terminals {
    /// The most terminals that may be open on one satellite
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    max_sessions_per_agent: Option<u32>,
    /// Seconds for which a terminal outlives the link of its satellite
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    session_linger: Option<Duration>,
    /// Seconds without input and output after which a terminal is ended
    #[arg(long, value_name = "SECONDS|never", value_parser = parse_idle_timeout)]
    session_idle_timeout: Option<IdleTimeout>,
    /// Seconds for which a program waits for who types and does not read
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, hide = true)]
    claim_stall: Option<Duration>,
    /// Seconds for which keyboard and output of a viewer that was cut off are kept for it
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, hide = true)]
    claim_linger: Option<Duration>,
}

#[derive(Args)]
struct Door {
    /// Satellites that may connect in a second; the others are told when to come back. 0 for any number
    #[arg(long, value_name = "NUMBER")]
    handshake_rate: Option<u32>,
    /// Satellites that may be connecting at the same time; 0 for any number
    #[arg(long, value_name = "NUMBER")]
    max_handshakes: Option<usize>,
    /// Seconds until a new connection must have proved who is calling
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    handshake_timeout: Option<Duration>,
    /// Connections whose callers have not proved who they are; with one more the oldest is cut. 0 for any number
    #[arg(long, value_name = "NUMBER")]
    max_unauthenticated: Option<usize>,
    /// The same of one address; behind a trusted proxy, of the one it forwards for
    #[arg(long, value_name = "NUMBER")]
    max_unauthenticated_per_address: Option<usize>,
}

/// When an idle terminal is ended, if ever.
#[derive(Clone, Copy)]
struct IdleTimeout(Option<Duration>);

#[derive(Subcommand)]
enum Command {
    /// Writes the whole hive to a file: its database as of now, and its keys
    Backup {
        /// The file, or - for standard output; it holds all secrets of the hive
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Restores a backup where there is no hive yet
    Restore {
        /// The file that a backup was written to
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
    },
    /// Accepts that key files are lost or are other ones: makes those that are missing, and notes all as this hive's
    AcceptKeys,
    /// Looks through keys, database and audit trail, and fails where something is damaged
    Check,
    #[command(flatten)]
    SetUp(SetUp),
}

#[derive(Subcommand)]
enum SetUp {
    /// Global admins
    #[command(subcommand)]
    Admin(UserCommand),
    /// Users without rights of their own; teams give them some
    #[command(subcommand)]
    User(UserCommand),
    /// API keys
    #[command(subcommand)]
    ApiKey(ApiKeyCommand),
    /// Teams
    #[command(subcommand)]
    Team(TeamCommand),
}

#[derive(Subcommand)]
enum UserCommand {
    /// Adds one and prints the one-time password
    Create {
        /// The login name
        #[arg(long)]
        username: String,
    },
}

#[derive(Subcommand)]
enum ApiKeyCommand {
    /// Makes a key for a user and prints it
    Create {
        /// Whose key it is
        #[arg(long)]
        username: String,
        /// What it is for
        #[arg(long, default_value = "command line")]
        name: String,
    },
}

#[derive(Subcommand)]
enum TeamCommand {
    /// Makes a team
    Create {
        /// Its short name
        #[arg(long)]
        slug: String,
    },
    /// Puts a user into a team, or changes their role there
    Add {
        /// The team's short name
        #[arg(long, value_name = "SLUG")]
        team: String,
        /// The login name
        #[arg(long)]
        username: String,
        /// What they are in it
        #[arg(long, value_name = "admin|operator|viewer", value_parser = parse_role)]
        role: Role,
    },
}

fn parse_network(text: &str) -> Result<IpNet, &'static str> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).map_err(|_| "must be an address or a network such as 10.0.0.0/8")
}

fn parse_seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|seconds| !seconds.is_zero()).ok_or("must be a number of seconds above 0")
}

fn parse_lost_grace(text: &str) -> Result<Duration, &'static str> {
    let grace = parse_seconds(text).ok().filter(|grace| *grace <= MAX_LOST_GRACE);
    grace.ok_or("must be a number of seconds above 0, and at most 600")
}

fn parse_idle_timeout(text: &str) -> Result<IdleTimeout, &'static str> {
    match text {
        "never" => Ok(IdleTimeout(None)),
        _ => parse_seconds(text).map(|seconds| IdleTimeout(Some(seconds))).map_err(|_| "must be seconds, or never"),
    }
}

fn parse_claimed_tags(text: &str) -> Result<ClaimedTags, &'static str> {
    match text {
        "facts" => Ok(ClaimedTags::Facts),
        "accept" => Ok(ClaimedTags::Accept),
        _ => Err("must be facts or accept"),
    }
}

fn parse_activation(text: &str) -> Result<Activation, &'static str> {
    match text {
        "heartbeat" => Ok(Activation::Heartbeat),
        "manual" => Ok(Activation::Manual),
        _ => Err("must be heartbeat or manual"),
    }
}

fn parse_role(text: &str) -> Result<Role, &'static str> {
    match text {
        "admin" => Ok(Role::Admin),
        "operator" => Ok(Role::Operator),
        "viewer" => Ok(Role::Viewer),
        _ => Err("must be admin, operator or viewer"),
    }
}

/// Does what the command line says; `print` gets the documents for standard output.
pub(crate) async fn run(cli: Cli, print: fn(&Value)) -> Outcome {
    match cli.command {
        None => serve(cli.serve, cli.place, print).await,
        Some(Command::Backup { output }) => {
            backup::create(&cli.place.whole()?, &output).await?.iter().for_each(print);
            Ok(())
        }
        Some(Command::Restore { from }) => {
            let data_dir = cli.place.data_dir.clone();
            print(&backup::restore(&cli.place.whole()?, &from).await?);
            Ok(forget_trail_mark(&data_dir)?)
        }
        Some(Command::AcceptKeys) => {
            let hive = cli.place.builder()?.accept_other_keys().build().await?;
            hive.shutdown().await;
            print(&json!({ "accepted": true, "hive_id": hive.id() }));
            Ok(())
        }
        Some(Command::Check) => {
            cli.place.expect_hive()?;
            let database = cli.place.database()?;
            let hive = cli.place.builder()?.build().await?;
            let found = check(&hive, &database).await;
            hive.shutdown().await;
            let (is_sound, document) = found?;
            print(&document);
            if is_sound { Ok(()) } else { Err("stored data is damaged".into()) }
        }
        Some(Command::SetUp(command)) => {
            let hive = cli.place.builder()?.build().await?;
            let document = set_up(&hive, command).await;
            hive.shutdown().await;
            print(&document?);
            Ok(())
        }
    }
}

async fn set_up(hive: &Hive, command: SetUp) -> hive_core::Result<Value> {
    match command {
        SetUp::Admin(UserCommand::Create { username }) => add_user(hive, &username, PlatformRole::GlobalAdmin).await,
        SetUp::User(UserCommand::Create { username }) => add_user(hive, &username, PlatformRole::GlobalUser).await,
        SetUp::ApiKey(ApiKeyCommand::Create { username, name }) => {
            let wanted = ApiKeyCreate { name, ..ApiKeyCreate::default() };
            let key = hive.as_system().api_key_create_for(&username, wanted).await?;
            Ok(json!({ "api_key": key.api_key }))
        }
        SetUp::Team(TeamCommand::Create { slug }) => {
            let team = hive.as_system().team_create(TeamCreate { slug }).await?;
            Ok(json!(team))
        }
        SetUp::Team(TeamCommand::Add { team, username, role }) => {
            hive.as_system().team_member_add(&team, &username, role.clone()).await?;
            Ok(json!({ "team": team, "username": username, "role": role }))
        }
    }
}

/// What is damaged so that the hive cannot be opened was told before this.
async fn check(hive: &Hive, database: &Database) -> hive_core::Result<(bool, Value)> {
    let (trail, faults) = (hive.as_system().verify().await?, database.check().await?);
    let is_sound = trail.valid && faults.is_empty();
    Ok((is_sound, json!({ "sound": is_sound, "database": { "faults": faults }, "audit": trail })))
}

async fn add_user(hive: &Hive, username: &str, role: PlatformRole) -> hive_core::Result<Value> {
    let wanted = UserCreate { username: username.to_owned(), role };
    let NewUser { user, password } = hive.as_system().user_create(wanted).await?;
    Ok(json!({ "username": user.username, "password": password.0 }))
}

async fn serve(args: Serve, place: Place, print: fn(&Value)) -> Outcome {
    telemetry::init(args.log_format, &args.log_level)?;
    allow_open_files();
    let hive = place.builder()?.settings(settings(&args)).build().await?;
    let (id, is_new) = (hive.id(), hive.is_new());
    let limits = limits(&args.door);
    let config = Config { listen: args.listen, trusted_proxies: args.trusted_proxy, limits };
    let server = Server::bind(config, hive).await?;
    if is_new {
        tracing::warn!(
            hive.id = %id,
            "this is a new hive: nothing was stored here; if satellites and users should be here, check --data-dir and --database, \
             or restore a backup"
        );
    }
    // Before anybody knows that we are here, so that nobody can stop us in the wrong way.
    let shutdown = on_signals()?;
    print(&json!({ "event": "listening", "http": format!("http://{}", server.local_addr()) }));
    server.run(shutdown).await;
    Ok(())
}

/// Takes as many open files as this process may have: each link is one, and 1,024 is what a shell usually starts with.
fn allow_open_files() {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it was");
    }
}

fn limits(door: &Door) -> Limits {
    let default = Limits::default();
    Limits {
        handshake_rate: door.handshake_rate.unwrap_or(default.handshake_rate),
        handshaking: door.max_handshakes.unwrap_or(default.handshaking),
        handshake_timeout: door.handshake_timeout.unwrap_or(default.handshake_timeout),
        strangers: door.max_unauthenticated.unwrap_or(default.strangers),
        strangers_per_address: door.max_unauthenticated_per_address.unwrap_or(default.strangers_per_address),
        ..default
    }
}

fn settings(args: &Serve) -> Settings {
    let default = Settings::default();
    // They are asked to come back as fast as they will be let in.
    let return_rate = args.door.handshake_rate.filter(|rate| *rate > 0).unwrap_or(default.return_rate);
    let terminals = &args.terminals;
    Settings {
        external_url: args.external_url.clone().unwrap_or(default.external_url),
        activation: args.activation.unwrap_or(default.activation),
        claimed_tags: args.claimed_tags.unwrap_or(default.claimed_tags),
        heartbeat_interval: args.heartbeat_interval.unwrap_or(default.heartbeat_interval),
        heartbeat_timeout: args.heartbeat_timeout.unwrap_or(default.heartbeat_timeout),
        lost_grace: args.lost_grace.unwrap_or(default.lost_grace),
        max_queue_per_satellite: args.queues.max_queue_per_satellite.unwrap_or(default.max_queue_per_satellite),
        max_open_per_caller: args.queues.max_open_per_caller.unwrap_or(default.max_open_per_caller),
        max_sessions_per_satellite: terminals.max_sessions_per_agent.unwrap_or(default.max_sessions_per_satellite),
        session_linger: terminals.session_linger.unwrap_or(default.session_linger),
        session_idle_timeout: terminals.session_idle_timeout.map_or(default.session_idle_timeout, |timeout| timeout.0),
        claim_stall: terminals.claim_stall.unwrap_or(default.claim_stall),
        claim_linger: terminals.claim_linger.unwrap_or(default.claim_linger),
        return_rate,
        ..default
    }
}

/// A token that is cancelled when the process is asked to stop.
fn on_signals() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let asked = token.clone();
    TaskTracker::new().spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        asked.cancel();
    });
    Ok(token)
}
