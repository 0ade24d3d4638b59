//! Accepts connections, serves them, and ends them again within a bounded time.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hive_core::Hive;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::router::router;
use crate::state::AppState;

/// How long to wait when the system gives no more connections, for lack of files or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The most bytes of a request's head.
const MAX_HEAD: usize = 64 * 1024;

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// A server that has its address and does not serve yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    state: AppState,
}

/// Serves `hive` until `shutdown` is cancelled.
pub async fn serve(config: Config, hive: Hive, shutdown: CancellationToken) -> Result<(), BindError> {
    Server::bind(config, hive).await?.run(shutdown).await;
    Ok(())
}

impl Server {
    /// Takes the address. Connections wait until [`run`](Self::run).
    pub async fn bind(config: Config, hive: Hive) -> Result<Self, BindError> {
        let refused = |source| BindError { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address, state: AppState::new(&config, hive) })
    }

    /// The address, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is cancelled; then answers what is open, ends the links, shuts the hive down and returns.
    pub async fn run(self, shutdown: CancellationToken) {
        let connections = TaskTracker::new();
        self.accept(&connections, &shutdown).await;
        let Self { listener, state, .. } = self;
        drop(listener);
        tracing::info!("the server stops");
        if timeout(state.limits().shutdown_grace, stop(&state, &connections)).await.is_err() {
            tracing::warn!("the server stops with connections still open");
        }
    }

    async fn accept(&self, connections: &TaskTracker, shutdown: &CancellationToken) {
        let app = router(self.state.clone());
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        connections.spawn(serve_connection(self.state.clone(), app.clone(), stream, peer));
                    }
                    Err(error) => pause(error).await,
                },
                () = shutdown.cancelled() => return,
            }
        }
    }
}

async fn pause(error: io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    sleep(ACCEPT_PAUSE).await;
}

/// Requests are answered first, so that a command that ends now is still reported; then the links end with the hive.
async fn stop(state: &AppState, connections: &TaskTracker) {
    state.stopping().cancel();
    connections.close();
    connections.wait().await;
    state.hive().shutdown().await;
    state.links().close();
    state.links().wait().await;
}

async fn serve_connection(state: AppState, app: Router, stream: TcpStream, peer: SocketAddr) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection was gone before it was served");
        return;
    }
    let app = TowerToHyperService::new(app);
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        app.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(state.limits().header_timeout)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = state.stopping().cancelled() => {
            connection.as_mut().graceful_shutdown();
            // An open request is answered by then; what a client has only half sent is not waited for.
            let Ok(ended) = timeout(2 * state.limits().request_grace, connection).await else { return };
            ended
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
