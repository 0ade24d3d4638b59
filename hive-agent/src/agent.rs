//! The agent as a whole: [`Agent::connect`] makes it a satellite of its hive, [`Agent::run`] is its life.

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

use crate::config::Config;
use crate::dispatch::Dispatch;
use crate::error::Error;
use crate::http;
use crate::identity::DataDir;
use crate::local_api::{self, Pages};
use crate::machine;
use crate::metrics::Counters;
use crate::pty::Terminals;
use crate::reconnect::Connection;
use crate::registration::{Enrolment, HiveApi};
use crate::status::{LinkState, Status};

/// A satellite that belongs to its hive.
pub struct Agent {
    connection: Connection,
    dispatch: Arc<Dispatch>,
    terminals: Arc<Terminals>,
    status: Arc<Status>,
    local: LocalPages,
    // Held for its lock, to the very end.
    _data: Arc<DataDir>,
}

/// The local pages end when this is dropped.
struct LocalPages {
    address: Option<SocketAddr>,
    tasks: TaskTracker,
    stop: DropGuard,
}

impl Agent {
    /// Opens the data directory, serves the local pages, and enrols: by the stored key, else by the registration token.
    ///
    /// A hive that cannot be reached is tried again for ever, so this may take long; dropping the future gives up.
    pub async fn connect(config: Config) -> Result<Self, Error> {
        let data = Arc::new(DataDir::open(&config.data_dir)?);
        let counters = Arc::new(Counters::new());
        let boot_id = config.boot_id.clone().or_else(machine::boot_id);
        let dispatch = Dispatch::open(&config, &data, boot_id, counters.clone())
            .map_err(|source| Error::DataDir { path: config.data_dir.clone(), source })?;
        dispatch.end_leftovers().await;
        let dispatch = Arc::new(dispatch);
        let terminals = Arc::new(Terminals::new(&config, &data));
        terminals.end_leftovers().await;
        let status = Arc::new(Status::new(config.server.to_string()));
        let pages = Pages {
            status: status.clone(),
            counters: counters.clone(),
            dispatch: dispatch.clone(),
            terminals: terminals.clone(),
        };
        let local = LocalPages::serve(config.local_api, pages).await?;

        let tls = http::tls_config(&config.server)?;
        let enrolment = Enrolment::new(&config, data.clone(), HiveApi::new(config.server.clone(), &tls));
        let identity = enrolment.enrol().await?;
        status.registered(&identity);
        let connector = if config.server.is_tls() { Connector::Rustls(Arc::new(tls)) } else { Connector::Plain };
        Ok(Self {
            connection: Connection::new(
                &config,
                connector,
                (enrolment, identity),
                dispatch.clone(),
                terminals.clone(),
                status.clone(),
                counters,
            ),
            dispatch,
            terminals,
            status,
            local,
            _data: data,
        })
    }

    /// Which satellite it is.
    pub fn satellite_id(&self) -> SatelliteId {
        self.connection.identity().satellite_id
    }

    /// The name it is registered under.
    pub fn name(&self) -> &str {
        &self.connection.identity().satellite_name
    }

    /// Where its local pages are.
    pub fn local_api(&self) -> Option<SocketAddr> {
        self.local.address
    }

    /// Whether it can be used, now and later.
    pub fn link_state(&self) -> watch::Receiver<LinkState> {
        self.status.link.subscribe()
    }

    /// Keeps the link up and runs what the hive asks for, until `shutdown`. Then commands and terminals are ended, with
    /// everything they started, the hive is told, and this returns within a few seconds.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        // The link outlives commands and terminals, to carry their ends.
        let close_link = CancellationToken::new();
        let stopping = async {
            shutdown.cancelled().await;
            Self::stop_work(&self.dispatch, &self.terminals).await;
            close_link.cancel();
        };
        let mut stopping = pin!(stopping.fuse());
        // A task of its own is woken alone: what happens on the link looks at nothing that our caller waits for.
        let links = TaskTracker::new();
        let mut living = AbortOnDropHandle::new(links.spawn(self.connection.run(close_link.clone())));
        let ended = loop {
            tokio::select! {
                ended = &mut living => break ended.expect("nobody else ends it"),
                () = &mut stopping, if !stopping.is_terminated() => {}
            }
        };
        if ended.is_err() {
            Self::stop_work(&self.dispatch, &self.terminals).await;
        }
        self.local.stop().await;
        ended
    }

    async fn stop_work(dispatch: &Dispatch, terminals: &Terminals) {
        tokio::join!(dispatch.stop(), terminals.stop());
    }
}

impl LocalPages {
    async fn serve(address: Option<SocketAddr>, pages: Pages) -> Result<Self, Error> {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let mut bound = None;
        if let Some(address) = address {
            let refused = |source| Error::LocalApi { address, source };
            let listener = TcpListener::bind(address).await.map_err(refused)?;
            bound = Some(listener.local_addr().map_err(refused)?);
            tasks.spawn(local_api::serve(listener, Arc::new(pages), tasks.clone(), stop.clone()));
        }
        Ok(Self { address: bound, tasks, stop: stop.drop_guard() })
    }

    async fn stop(self) {
        let Self { tasks, stop, .. } = self;
        drop(stop);
        tasks.close();
        tasks.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::fake_hive::{FakeHive, KEY, TOKEN, View, satellite_id, shell, terminal};
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
        let mut hive = FakeHive::start().await;
        let dir = tempfile::tempdir().unwrap();
        let agent = Agent::connect(hive.config(dir.path())).await.unwrap();
        assert_eq!((agent.satellite_id(), agent.name()), (satellite_id(), "web-server-01"));
        let (address, mut state, stop) = (agent.local_api().unwrap(), agent.link_state(), CancellationToken::new());
        let visit = async {
            let mut link = hive.link().await;
            state.wait_for(|state| matches!(state, LinkState::Online { .. })).await.unwrap();
            link.say(shell(1, "sleep 60; echo topsecret", 0)).await;
            link.next().await;
            let mut spec = terminal();
            spec.env.insert("PASSWORD".into(), "topsecret".into());
            View::open(&mut link, spec.clone()).await;
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
