//! The agent: [`Agent::connect`] registers the satellite or verifies its key, [`Agent::run`] serves the hive until
//! shutdown.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::FusedFuture as _;
use hive_wire::SatelliteId;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_tungstenite::Connector;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::config::AgentConfig;
use crate::dispatcher::Dispatcher;
use crate::error::Error;
use crate::http;
use crate::identity::DataDir;
use crate::local_api::{self, StatusPages};
use crate::machine;
use crate::metrics::Counters;
use crate::pty::AgentSessions;
use crate::reconnect::ReconnectLoop;
use crate::registration::Registrar;
use crate::satellite_api::SatelliteApiClient;
use crate::status::{AgentStatus, LinkState};

/// A registered satellite, ready to run.
pub struct Agent {
    connection: ReconnectLoop,
    dispatcher: Arc<Dispatcher>,
    sessions: Arc<AgentSessions>,
    status: Arc<AgentStatus>,
    local: LocalApi,
    // Holds the lock of the data directory until everything else has ended.
    _data: Arc<DataDir>,
}

/// The local status pages. They end when this is dropped.
struct LocalApi {
    address: Option<SocketAddr>,
    tasks: TaskTracker,
    stop: DropGuard,
}

impl Agent {
    /// Opens the data directory, starts the local status pages, and obtains an identity: from the stored key, otherwise
    /// with the registration token.
    ///
    /// A hive that cannot be reached is retried without limit, so this may take long. Dropping the future cancels it.
    pub async fn connect(config: AgentConfig) -> Result<Self, Error> {
        // Locked before anything is read: a second agent could otherwise run a command of this one again.
        let data = Arc::new(DataDir::open(&config.data_dir)?);
        let counters = Arc::new(Counters::new());
        let boot_id = config.boot_id.clone().or_else(machine::boot_id);
        let dispatcher = Dispatcher::open(&config, &data, boot_id, counters.clone())
            .map_err(|source| Error::DataDir { path: config.data_dir.clone(), source })?;
        // Before the link opens: the first handshake reports what became of these commands and sessions.
        dispatcher.end_leftovers().await;
        let dispatcher = Arc::new(dispatcher);
        let sessions = Arc::new(AgentSessions::new(&config, &data));
        sessions.end_leftovers().await;
        let status = Arc::new(AgentStatus::new(config.server.to_string()));
        let pages = StatusPages {
            status: status.clone(),
            counters: counters.clone(),
            dispatcher: dispatcher.clone(),
            sessions: sessions.clone(),
        };
        // The pages are served before the registration, so that they can show why it does not succeed.
        let local = LocalApi::serve(config.local_api, pages).await?;

        let tls = http::tls_config(&config.server)?;
        let registrar = Registrar::new(&config, data.clone(), SatelliteApiClient::new(config.server.clone(), &tls));
        let identity = registrar.identify().await?;
        status.set_registration(&identity);
        let connector = if config.server.is_tls() { Connector::Rustls(Arc::new(tls)) } else { Connector::Plain };
        Ok(Self {
            connection: ReconnectLoop::new(
                &config,
                connector,
                (registrar, identity),
                dispatcher.clone(),
                sessions.clone(),
                status.clone(),
                counters,
            ),
            dispatcher,
            sessions,
            status,
            local,
            _data: data,
        })
    }

    /// The satellite's id.
    pub fn satellite_id(&self) -> SatelliteId {
        self.connection.identity().satellite_id
    }

    /// The name under which the satellite is registered.
    pub fn name(&self) -> &str {
        &self.connection.identity().satellite_name
    }

    /// The address of the local status pages, if they are served.
    pub fn local_api(&self) -> Option<SocketAddr> {
        self.local.address
    }

    /// The state of the link, now and on every change.
    pub fn link_state(&self) -> watch::Receiver<LinkState> {
        self.status.link.subscribe()
    }

    /// Keeps the link open and runs what the hive asks for, until `shutdown` is cancelled. Then all commands and
    /// sessions are ended with every process they started, the hive is notified, and this returns within a few seconds.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        // The link closes after commands and sessions have ended, because it carries their results.
        let close_link = CancellationToken::new();
        let stopping = async {
            shutdown.cancelled().await;
            Self::stop_work(&self.dispatcher, &self.sessions).await;
            close_link.cancel();
        };
        let mut stopping = pin!(stopping.fuse());
        // The link runs in a task of its own, so that a message on it does not also poll the caller's other futures.
        let links = TaskTracker::new();
        let mut running = AbortOnDropHandle::new(links.spawn(self.connection.run(close_link.clone())));
        let ended = loop {
            tokio::select! {
                // The link may end before `stopping` has run, with an error such as a rejected key.
                ended = &mut running => break ended.expect("nobody else ends it"),
                () = &mut stopping, if !stopping.is_terminated() => {}
            }
        };
        // After an error `stopping` has not run, and processes must not outlive the agent.
        if ended.is_err() {
            Self::stop_work(&self.dispatcher, &self.sessions).await;
        }
        self.local.stop().await;
        ended
    }

    async fn stop_work(dispatcher: &Dispatcher, sessions: &AgentSessions) {
        // At the same time: each may take its whole time limit, and a service manager kills an agent that takes long.
        tokio::join!(dispatcher.stop(), sessions.stop());
    }
}

impl LocalApi {
    async fn serve(address: Option<SocketAddr>, pages: StatusPages) -> Result<Self, Error> {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let mut bound = None;
        if let Some(address) = address {
            let unusable = |source| Error::LocalApi { address, source };
            let listener = TcpListener::bind(address).await.map_err(unusable)?;
            bound = Some(listener.local_addr().map_err(unusable)?);
            tasks.spawn(local_api::serve(listener, Arc::new(pages), tasks.clone(), stop.clone()));
        }
        Ok(Self { address: bound, tasks, stop: stop.drop_guard() })
    }

    async fn stop(self) {
        let Self { tasks, stop, .. } = self;
        // Cancels the tasks, so that the wait below ends.
        drop(stop);
        tasks.close();
        tasks.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::config_for;
    use hive_test_peers::FakeHive;
    use hive_test_peers::hive::{KEY, SessionView, TOKEN, satellite_id, session_spec, shell};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    async fn get(address: SocketAddr, request: &str) -> String {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(format!("{request} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn the_local_pages_tell_everything_but_secrets() {
        let hive = FakeHive::start().await;
        let dir = tempfile::tempdir().unwrap();
        let agent = Agent::connect(config_for(&hive, dir.path())).await.unwrap();
        assert_eq!((agent.satellite_id(), agent.name()), (satellite_id(), "web-server-01"));
        let (address, mut state, stop) = (agent.local_api().unwrap(), agent.link_state(), CancellationToken::new());
        let visit = async {
            let mut link = hive.link().await;
            state.wait_for(|state| matches!(state, LinkState::Online { .. })).await.unwrap();
            link.send_control(shell(1, "sleep 60; echo topsecret", 0)).await;
            link.next().await;
            let mut spec = session_spec();
            spec.env.insert("PASSWORD".into(), "topsecret".into());
            SessionView::open(&mut link, spec.clone()).await;
            let session = format!("\"session_id\":\"{}\"", spec.session_id);
            let mut all = String::new();
            for (path, part) in [
                ("/health", "\"connected\":true"),
                ("/metrics", "satellite_connection_status 1"),
                ("/api/status/backend", "\"state\":\"online\""),
                ("/api/status/registration", "\"satellite_name\":\"web-server-01\""),
                ("/metrics", "satellite_pty_sessions_active 1"),
                ("/api/status/processes", "\"command_type\":\"exec\""),
                ("/api/status/processes", &session),
            ] {
                let answer = get(address, &format!("GET {path}")).await;
                assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(part), "{answer}");
                all += &answer;
            }
            for secret in [KEY, TOKEN, "topsecret"] {
                assert!(!all.contains(secret), "{secret}");
            }
            assert!(get(address, "POST /health").await.starts_with("HTTP/1.1 405"));
            assert!(get(address, "GET /etc/passwd").await.starts_with("HTTP/1.1 404"));
            stop.cancel();
        };
        let (ended, ()) = tokio::join!(agent.run(stop.clone()), visit);
        ended.unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "the pages have ended");
    }
}
