//! Accepts connections, serves them, and closes them within a bounded time.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, header};
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
use crate::limits::UnauthenticatedConnection;
use crate::read_ahead::ReadAhead;
use crate::router::router;
use crate::state::AppState;

/// The delay after a failed accept. The system may be out of files or memory, and would fail again at once.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// The most bytes of the head of a request.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// The bytes that the kernel takes of a connection before it has sent those before: more than a fast line sends between two wake-ups.
#[cfg(target_os = "linux")]
const MAX_UNSENT: u32 = 128 * 1024;

/// How long sending a finished response may take during a shutdown.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(300);

/// The server cannot listen on its address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// A server that listens and does not accept connections yet.
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
    /// Listens on the configured address. Connections wait until [`run`](Self::run).
    pub async fn bind(config: Config, hive: Hive) -> Result<Self, BindError> {
        let refused = |source| BindError { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        // With the port that was taken: it is a part of the names of the hive.
        let config = Config { listen: address, ..config };
        Ok(Self { listener, address, state: AppState::new(&config, hive) })
    }

    /// The address, with the actual port where port 0 was configured.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is cancelled; then answers open requests, closes the links and shuts the hive down.
    pub async fn run(self, shutdown: CancellationToken) {
        let connections = TaskTracker::new();
        self.accept(&connections, shutdown.cancelled()).await;
        tracing::info!("the server is stopping");
        let grace = self.state.limits().shutdown_grace;
        if timeout(grace, self.drain(&connections)).await.is_err() {
            tracing::warn!("the server stopped before all connections were closed");
        }
    }

    /// Answers open requests first, so that the result of a command that ends now is still reported. New requests are
    /// accepted meanwhile and answered 503 with `Retry-After`. The links are closed last, by the hive.
    async fn drain(self, connections: &TaskTracker) {
        let limits = self.state.limits();
        self.state.draining().cancel();
        let answered = timeout(limits.request_grace + FLUSH_TIMEOUT, self.state.requests_answered());
        self.accept(connections, answered).await;
        let Self { listener, state, .. } = self;
        // From here on connections are refused. Load balancers have seen /health/ready fail before.
        drop(listener);
        connections.close();
        // Not longer: a client that sent half a request, or reads no response, must not delay the shutdown.
        drop(timeout(FLUSH_TIMEOUT, connections.wait()).await);
        state.force_close().cancel();
        connections.wait().await;
        // After the connections: a request that still runs needs the hive.
        state.hive().shutdown().await;
        state.links().close();
        state.links().wait().await;
    }

    /// Accepts connections until `end`.
    async fn accept<T>(&self, connections: &TaskTracker, end: impl Future<Output = T>) {
        let app = router(self.state.clone());
        let mut end = pin!(end);
        loop {
            tokio::select! {
                _ = end.as_mut() => return,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        // Registered here, in the order of arrival: their tasks may start in any order, and the oldest
                        // connection is evicted first.
                        let limited = register(&self.state, peer);
                        connections.spawn(serve_connection(self.state.clone(), app.clone(), stream, peer, limited));
                    }
                    Err(error) => delay_accept(error).await,
                },
            }
        }
    }
}

/// Bounds what the kernel keeps of a connection and has not sent yet. Without a bound it takes megabytes for a slow line, and a
/// keystroke waits behind them: the order of the lanes is that of the writes.
#[cfg(target_os = "linux")]
fn limit_unsent(stream: &TcpStream) {
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_notsent_lowat(MAX_UNSENT) {
        tracing::debug!(%error, "the unsent bytes of a connection have no bound");
    }
}

#[cfg(not(target_os = "linux"))]
fn limit_unsent(_: &TcpStream) {}

async fn delay_accept(error: io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    sleep(ACCEPT_RETRY_DELAY).await;
}

/// Registers a connection with the limiter. `None` for a trusted proxy: its requests are limited one by one, by the address
/// that they forward.
fn register(state: &AppState, peer: SocketAddr) -> Option<UnauthenticatedConnection> {
    let address = peer.ip().to_canonical();
    (!state.trusted_proxies().contains(address)).then(|| state.limiters().connections.admit(address))
}

async fn serve_connection(
    state: AppState,
    app: Router,
    stream: TcpStream,
    peer: SocketAddr,
    limited: Option<UnauthenticatedConnection>,
) {
    // Keystrokes and their echoes are small packets, which Nagle's algorithm would delay.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection was closed before it was served");
        return;
    }
    limit_unsent(&stream);
    let app = TowerToHyperService::new(app);
    let has_requests = AtomicBool::new(false);
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        has_requests.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(ConnectInfo(peer));
        if let Some(limited) = &limited {
            request.extensions_mut().insert(limited.clone());
        }
        let (response, draining) = (app.call(request), state.draining());
        async move {
            let mut response = response.await?;
            if draining.is_cancelled() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(state.limits().header_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(ReadAhead::new(stream)), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let evicted_or_timed_out = async {
        match &limited {
            Some(limited) => limited.evicted_or_timed_out().await,
            None => std::future::pending().await,
        }
    };
    // The connection first: bytes that have arrived may authenticate its caller, who must not be evicted then.
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = evicted_or_timed_out => return,
        () = state.draining().cancelled() => {
            // A graceful shutdown ends the connection after the open request. A connection without a request is left
            // open, because it would be closed at once, and its client could not tell a shutdown from a failure.
            if has_requests.load(Ordering::Relaxed) {
                connection.as_mut().graceful_shutdown();
            }
            tokio::select! {
                ended = connection => ended,
                () = state.force_close().cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended with an error");
    }
}
