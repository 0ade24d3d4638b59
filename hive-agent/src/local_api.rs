//! Status pages for whoever is logged in on the machine: health, metrics, where the link stands, what runs. Read-only, on
//! the loopback interface unless told otherwise, and without a secret in any answer, command lines included.

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

use crate::dispatch::Dispatch;
use crate::metrics::Counters;
use crate::pty::Terminals;
use crate::status::{LinkState, Status};

/// Connections at the same time; the next one waits to be accepted.
const CONNECTIONS: usize = 16;
/// How long a connection may live: a page is one short answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the pages show.
#[derive(Debug)]
pub(crate) struct Pages {
    pub(crate) status: Arc<Status>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) dispatch: Arc<Dispatch>,
    pub(crate) terminals: Arc<Terminals>,
}

/// Serves the pages until it is told to stop.
pub(crate) async fn serve(listener: TcpListener, pages: Arc<Pages>, tasks: TaskTracker, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((socket, _)) = accepted else {
            // Mostly too many open files: a pause lets some close.
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

async fn answer_all(socket: TcpStream, pages: Arc<Pages>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = answer(&request, &pages);
        async move { Ok::<_, Infallible>(response) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(8 * 1024)
        .serve_connection(TokioIo::new(socket), service)
        .await;
    if let Err(error) = served {
        debug!(%error, "a status page was not delivered");
    }
}

fn answer<B>(request: &Request<B>, pages: &Pages) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".into());
    }
    match request.uri().path() {
        "/health" => page(&pages.health()),
        "/metrics" => plain(StatusCode::OK, pages.metrics()),
        "/api/status/backend" => page(&pages.backend()),
        "/api/status/registration" => page(&pages.registration()),
        "/api/status/processes" => page(&pages.processes()),
        _ => plain(StatusCode::NOT_FOUND, "no such page\n".into()),
    }
}

impl Pages {
    fn health(&self) -> Value {
        let problems = self.dispatch.problems();
        json!({
            "status": if problems.is_empty() { "ok" } else { "degraded" },
            "problems": problems,
            "connected": self.counters.is_online(),
            "uptime_seconds": self.counters.uptime().as_secs(),
            "version": env!("CARGO_PKG_VERSION"),
        })
    }

    fn metrics(&self) -> String {
        self.counters.to_prometheus(self.terminals.active())
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
        let jobs = self.dispatch.jobs();
        let running = jobs.iter().filter(|job| !job.has_ended());
        let processes: Vec<_> = running
            .map(|job| json!({ "command_id": job.id, "command_type": job.kind, "since": job.delivered_at }))
            .collect();
        let terminals = self.terminals.all();
        let open = terminals.iter().filter(|terminal| !terminal.has_ended());
        let sessions: Vec<_> = open
            .map(|terminal| json!({ "session_id": terminal.id, "pid": terminal.pid, "since": terminal.since }))
            .collect();
        json!({
            "processes": processes,
            "unacknowledged_results": jobs.len() - processes.len(),
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
