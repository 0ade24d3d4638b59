//! Local status pages for users of the machine: health, metrics, link, running commands and sessions. They are
//! read-only, on the loopback interface by default, and contain no secrets, which includes command lines.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::dispatcher::Dispatcher;
use crate::metrics::Counters;
use crate::pty::AgentSessions;
use crate::status::{AgentStatus, LinkState};

/// Connections at the same time. The next one waits to be accepted.
const CONNECTIONS: usize = 16;
/// How long a connection may last.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The sources of the pages.
#[derive(Debug)]
pub(crate) struct StatusPages {
    pub(crate) status: Arc<AgentStatus>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) sessions: Arc<AgentSessions>,
}

/// Serves the pages until `stop` is cancelled.
pub(crate) async fn serve(listener: TcpListener, pages: Arc<StatusPages>, tasks: TaskTracker, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Acquired before `accept`, so that further connections wait in the kernel.
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((socket, _)) = accepted else {
            // Usually there are too many open files. A pause lets some close.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (pages, stop) = (pages.clone(), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                answered = tokio::time::timeout(TIMEOUT, answer_all(socket, pages)) => drop(answered),
            }
            drop(slot);
        });
    }
}

async fn answer_all(socket: TcpStream, pages: Arc<StatusPages>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let pages = pages.clone();
        async move { Ok::<_, Infallible>(answer(&request, &pages).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        // One request per connection keeps slots free for other users of the machine.
        .keep_alive(false)
        // The pages take no body, so a longer request is a mistake or an attack.
        .max_buf_size(8 * 1024)
        .serve_connection(TokioIo::new(socket), service)
        .await;
    if let Err(error) = served {
        debug!(%error, "a status page was not delivered");
    }
}

async fn answer<B>(request: &Request<B>, pages: &StatusPages) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".into());
    }
    match request.uri().path() {
        "/health" => page(&pages.health().await),
        "/metrics" => plain(StatusCode::OK, pages.metrics()),
        "/api/status/backend" => page(&pages.backend()),
        "/api/status/registration" => page(&pages.registration()),
        "/api/status/processes" => page(&pages.processes()),
        _ => plain(StatusCode::NOT_FOUND, "no such page\n".into()),
    }
}

impl StatusPages {
    async fn health(&self) -> Value {
        let problems = [self.dispatcher.problems().await, self.sessions.problems()].concat();
        json!({
            "status": if problems.is_empty() { "ok" } else { "degraded" },
            "problems": problems,
            "connected": self.counters.is_online(),
            "uptime_seconds": self.counters.uptime().as_secs(),
            "version": env!("CARGO_PKG_VERSION"),
        })
    }

    fn metrics(&self) -> String {
        self.counters.to_prometheus(self.sessions.active())
    }

    fn backend(&self) -> Value {
        let link: LinkState = self.status.link.borrow().clone();
        json!({ "server": self.status.server, "link": link, "reconnects": self.counters.reconnects() })
    }

    fn registration(&self) -> Value {
        let registration = self.status.registration();
        json!({ "registered": registration.is_some(), "satellite": registration })
    }

    fn processes(&self) -> Value {
        let commands = self.dispatcher.commands();
        let running = commands.iter().filter(|command| !command.has_ended());
        // The command line is left out: it may contain passwords.
        let processes: Vec<_> = running
            .map(|command| json!({ "command_id": command.id, "command_type": command.kind, "since": command.delivered_at }))
            .collect();
        let sessions = self.sessions.all();
        let open = sessions.iter().filter(|session| !session.has_ended());
        let sessions: Vec<_> = open
            .map(|session| json!({ "session_id": session.id, "pid": session.pid, "since": session.since }))
            .collect();
        json!({
            "processes": processes,
            "unacknowledged_results": commands.len() - processes.len(),
            "sessions": sessions,
        })
    }
}

fn page(content: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(content.to_string()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
