//! `hive up`: a hive and one satellite in one process, for a first try and for a single machine.
//!
//! Both are ordinary: `hive-server` could serve the same data directory, and the satellite registers with a token and
//! connects over a WebSocket. A second start uses the data of the first.

mod name;
mod welcome;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use hive_agent::messages::explain;
use hive_agent::{Agent, AgentConfig, KeyRejectionPolicy, Language, LinkState};
use hive_core::hive::{Settings, VerifyMode};
use hive_core::wire::SatelliteId;
use hive_core::wire::api::{ApiKeyCreate, PlatformRole, RegistrationTokenCreate, TokenScope, UserCreate};
use hive_core::{Error, Hive, RemoteHive};
use hive_server::{BindError, Limits, Server};
use secrecy::{ExposeSecret, SecretString};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::args::UpArgs;
use crate::error::{CliError, Result};
use crate::output::Printer;
use crate::profiles::Profiles;
use crate::settings::{self, Credentials, UP_FILE};
use welcome::WelcomeMessage;

/// The first user.
const ADMIN: &str = "admin";
/// How long a hive that may run here already has to answer.
const PROBE_TIME: Duration = Duration::from_secs(2);
/// How long the satellite may take to come online.
const START_TIME: Duration = Duration::from_secs(30);
/// How long the satellite may take to end its commands, and then the server to end its connections: 5 s in all.
const SATELLITE_GRACE: Duration = Duration::from_millis(2500);
const SERVER_GRACE: Duration = Duration::from_secs(2);

pub(super) async fn run(printer: Printer, args: UpArgs) -> Result<()> {
    // Before anything is started, so that Ctrl-C ends it in order at any time.
    let stop = on_signals().map_err(CliError::Runtime)?;
    reject_second_instance(&args.data_dir).await?;
    let hive = open(&args).await?;
    let server = bind(&args, hive.clone()).await?;
    let url = format!("http://{}", reachable(server.local_addr()));
    let password = first_admin(&hive).await?;
    // Printed at once: the store keeps only its hash, so an error later on would lose it.
    if let Some(password) = password.as_ref().filter(|_| !printer.is_json()) {
        welcome::password(ADMIN, password)?;
    }
    save_credentials(&hive, &args.data_dir, &url).await?;

    let (tasks, stop_server) = (TaskTracker::new(), CancellationToken::new());
    let server_task = tasks.spawn(server.run(stop_server.clone()));
    let result = run_satellite(printer, &args, &hive, &url, password, &stop).await;
    // The satellite has ended before: its last results reached the hive.
    stop_server.cancel();
    server_task.await.map_err(|error| CliError::Runtime(error.into()))?;
    result
}

/// Fails where a hive with this data directory runs already: its satellite would connect twice with one identity.
async fn reject_second_instance(data_dir: &Path) -> Result<()> {
    let Some(Credentials { url, api_key, .. }) = settings::load(&data_dir.join(UP_FILE))? else { return Ok(()) };
    let running = RemoteHive::connect(&url, api_key)?;
    // The port may belong to another hive by now. Only the one that issued the key accepts it.
    let is_running = timeout(PROBE_TIME, running.identity().me()).await.is_ok_and(|me| me.is_ok());
    if !is_running {
        return Ok(());
    }
    let message = format!("a hive with the data of {} runs already, at {url}", data_dir.display());
    Err(CliError::Up(message)
        .with_hint("Use it from here: `hive satellites list`; it ends with Ctrl-C where it was started"))
}

async fn open(args: &UpArgs) -> Result<Hive> {
    let settings = Settings::default().external_url(format!("http://{}", reachable(args.listen)));
    Ok(Hive::builder().data_dir(&args.data_dir).settings(settings).build().await?)
}

async fn bind(args: &UpArgs, hive: Hive) -> Result<Server> {
    let limits = Limits::default().shutdown_grace(SERVER_GRACE);
    let config = hive_server::Config { listen: args.listen, limits, ..hive_server::Config::default() };
    Server::bind(config, hive).await.map_err(|error| cannot_listen(args.listen, &error))
}

fn cannot_listen(address: SocketAddr, error: &BindError) -> CliError {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    // The next port, or 3001 after the last one.
    let other = SocketAddr::new(address.ip(), address.port().checked_add(1).unwrap_or(3001));
    CliError::Up(format!("cannot listen on {address}{cause}"))
        .with_hint(format!("Does another hive run there? Take another address with --listen {other}"))
}

/// Returns the address at which this machine reaches a listener.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Creates the first user and returns the password; `None` where that user exists.
async fn first_admin(hive: &Hive) -> Result<Option<SecretString>> {
    let admin = UserCreate { username: ADMIN.to_owned(), role: PlatformRole::GlobalAdmin };
    match hive.as_system().identity().user_create(admin).await {
        Ok(new) => Ok(Some(new.password.0.into())),
        Err(Error::Conflict(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn is_valid(hive: &Hive, api_key: &SecretString) -> bool {
    hive.authenticate_api_key(api_key.expose_secret(), None, VerifyMode::Full).await.is_ok()
}

/// Stores the URL and a key, by which other commands in this directory find the hive.
async fn save_credentials(hive: &Hive, data_dir: &Path, url: &str) -> Result<()> {
    let path = data_dir.join(UP_FILE);
    let api_key = match settings::load(&path)? {
        Some(Credentials { api_key, .. }) if is_valid(hive, &api_key).await => api_key,
        _ => {
            let request = ApiKeyCreate { name: "hive up".into(), ..ApiKeyCreate::default() };
            hive.as_system().api_key_create_for(ADMIN, request).await?.api_key.into()
        }
    };
    settings::save(&path, url, &api_key)
}

/// Runs the satellite until the process is asked to stop.
async fn run_satellite(
    printer: Printer,
    args: &UpArgs,
    hive: &Hive,
    url: &str,
    password: Option<SecretString>,
    stop: &CancellationToken,
) -> Result<()> {
    let starting = timeout(START_TIME, connect(args, hive, url));
    let agent = tokio::select! {
        started = starting => started.map_err(|_| CliError::Up("the satellite did not start in time".into()))??,
        () = stop.cancelled() => return Ok(()),
    };
    let (name, link, stop_agent) = (agent.name().to_owned(), agent.link_state(), CancellationToken::new());
    let mut agent_task = TaskTracker::new().spawn(agent.run(stop_agent.clone()));
    let result = tokio::select! {
        ended = &mut agent_task => return outcome(ended),
        satellite_id = online(link) => {
            let satellite_id = satellite_id?;
            let (data_dir, login) = (args.data_dir.as_path(), current_login());
            let welcome = WelcomeMessage { url, name: &name, satellite_id, data_dir, user: ADMIN, password, login };
            welcome.print(printer)
        }
        () = stop.cancelled() => Ok(()),
    };
    // An error here means that the message cannot be printed. Nobody would know about the hive, so it ends.
    if result.is_ok() {
        tokio::select! {
            ended = &mut agent_task => return outcome(ended),
            () = stop.cancelled() => {}
        }
    }
    stop_agent.cancel();
    end(agent_task).await?;
    result
}

/// Returns the profile that other commands use instead of this hive.
fn current_login() -> Option<String> {
    Profiles::load().ok()?.current().map(|(name, _)| name.to_owned())
}

type AgentTask = JoinHandle<Result<(), hive_agent::Error>>;

/// Waits until the satellite has ended its commands, for a limited time.
async fn end(running: AgentTask) -> Result<()> {
    timeout(SATELLITE_GRACE, running).await.map_or(Ok(()), outcome)
}

fn outcome(ended: Result<Result<(), hive_agent::Error>, tokio::task::JoinError>) -> Result<()> {
    ended.map_err(|error| CliError::Runtime(error.into()))?.map_err(|error| agent_error(&error))
}

/// Connects the satellite: with its stored key, else with a new registration token.
async fn connect(args: &UpArgs, hive: &Hive, url: &str) -> Result<Agent> {
    use hive_agent::Error::{KeyRejected, TokenMissing};

    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let server = url.parse().map_err(|error| agent_error(&error))?;
    let mut config = AgentConfig::new(server, name::of_host(&host), args.data_dir.join("satellite"));
    // The local API of the agent would open a second port without need.
    config.local_api = None;
    // A rejected key ends the agent instead of waiting for an operator: a new token can be made here.
    config.key_rejection = KeyRejectionPolicy::Exit;
    match Agent::connect(config.clone()).await {
        Err(TokenMissing | KeyRejected) => {
            config.registration_token = Some(registration_token(hive).await?);
            Agent::connect(config).await.map_err(|error| agent_error(&error))
        }
        connected => connected.map_err(|error| agent_error(&error)),
    }
}

async fn registration_token(hive: &Hive) -> Result<SecretString> {
    let request = RegistrationTokenCreate {
        scope: TokenScope::Global,
        team_id: None,
        description: Some("hive up".into()),
        ..RegistrationTokenCreate::global()
    };
    Ok(hive.as_system().identity().registration_token_create(request).await?.token.into())
}

async fn online(mut link: watch::Receiver<LinkState>) -> Result<SatelliteId> {
    let is_online = link.wait_for(|state| matches!(state, LinkState::Online { .. }));
    let state = timeout(START_TIME, is_online).await.ok().and_then(Result::ok);
    match state.as_deref() {
        Some(LinkState::Online { satellite_id, .. }) => Ok(*satellite_id),
        _ => Err(CliError::Up("the satellite did not come online".into())),
    }
}

fn agent_error(error: &hive_agent::Error) -> CliError {
    CliError::Up(explain(error, Language::English))
}

/// A token that is cancelled when the process is asked to stop.
fn on_signals() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let on_signal = stop.clone();
    TaskTracker::new().spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        on_signal.cancel();
    });
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_reached_on_this_machine() {
        let check = |listen: &str, expected: &str| assert_eq!(reachable(listen.parse().unwrap()).to_string(), expected);
        check("0.0.0.0:3000", "127.0.0.1:3000");
        check("[::]:3000", "[::1]:3000");
        check("192.0.2.7:80", "192.0.2.7:80");
    }
}
