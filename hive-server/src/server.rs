//! Accepts connections, serves them, and ends them again within a bounded time.

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
use crate::limits::Stranger;
use crate::routes::router;
use crate::state::AppState;

/// How long to wait when the system gives no more connections, for lack of files or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The most bytes of a request's head.
const MAX_HEAD: usize = 32 * 1024;

/// How long answers that are written already may take to leave.
const LAST_WORDS: Duration = Duration::from_millis(300);

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
        self.accept(&connections, shutdown.cancelled()).await;
        tracing::info!("the server stops");
        let grace = self.state.limits().shutdown_grace;
        if timeout(grace, self.stop(&connections)).await.is_err() {
            tracing::warn!("the server stops with connections still open");
        }
    }

    /// Requests are answered first, so that a command that ends now is still reported, and who calls meanwhile is told to
    /// come back; then the links end with the hive.
    async fn stop(self, connections: &TaskTracker) {
        let limits = self.state.limits();
        self.state.stopping().cancel();
        let answered = timeout(limits.request_grace + LAST_WORDS, self.state.requests_answered());
        self.accept(connections, answered).await;
        let Self { listener, state, .. } = self;
        drop(listener);
        connections.close();
        // What a client has only half sent, or does not read, is not waited for.
        drop(timeout(LAST_WORDS, connections.wait()).await);
        state.cutting().cancel();
        connections.wait().await;
        state.hive().shutdown().await;
        state.links().close();
        state.links().wait().await;
    }

    /// Takes connections until `end`.
    async fn accept<T>(&self, connections: &TaskTracker, end: impl Future<Output = T>) {
        let app = router(self.state.clone());
        let mut end = pin!(end);
        loop {
            tokio::select! {
                _ = end.as_mut() => return,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        // Here, where they come one after the other: their tasks begin in any order.
                        let stranger = stranger(&self.state, peer);
                        connections.spawn(serve_connection(self.state.clone(), app.clone(), stream, peer, stranger));
                    }
                    Err(error) => pause(error).await,
                },
            }
        }
    }
}

async fn pause(error: io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    sleep(ACCEPT_PAUSE).await;
}

/// Takes a connection in at the door, unless it comes through a proxy: of those behind it the requests tell the address.
fn stranger(state: &AppState, peer: SocketAddr) -> Option<Stranger> {
    let address = peer.ip().to_canonical();
    (!state.trusted_proxies().contains(address)).then(|| state.door().enter(address))
}

async fn serve_connection(
    state: AppState,
    app: Router,
    stream: TcpStream,
    peer: SocketAddr,
    stranger: Option<Stranger>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection was gone before it was served");
        return;
    }
    let app = TowerToHyperService::new(app);
    let has_called = AtomicBool::new(false);
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        has_called.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(ConnectInfo(peer));
        if let Some(stranger) = &stranger {
            request.extensions_mut().insert(stranger.clone());
        }
        let (answer, stopping) = (app.call(request), state.stopping());
        async move {
            let mut answer = answer.await?;
            if stopping.is_cancelled() {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(state.limits().header_timeout)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let overstayed = async {
        match &stranger {
            Some(stranger) => stranger.overstayed().await,
            None => std::future::pending().await,
        }
    };
    // What somebody has said is read before they are sent away: it may show that they may stay.
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = overstayed => return,
        () = state.stopping().cancelled() => {
            // It ends when an open request is answered. Who has just come is answered too: a graceful end would be one
            // without a word.
            if has_called.load(Ordering::Relaxed) {
                connection.as_mut().graceful_shutdown();
            }
            tokio::select! {
                ended = connection => ended,
                () = state.cutting().cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
