//! The routes of the server, and the layers around them.

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response, map_response_with_state};
use axum::response::{IntoResponse, Response};
use hive_core::Error;

use crate::auth::Peer;
use crate::error::HttpError;
use crate::state::AppState;
use crate::{health, rest, satellites, ws};

/// The whole server as one router, to be served by [`Server`](crate::Server) or merged into another app.
///
/// The other app puts `ConnectInfo<SocketAddr>` into its requests, so that the audit log holds the addresses of callers, and
/// shuts the hive down itself.
pub fn router(state: AppState) -> Router {
    let limits = state.limits();
    let with_hive_id = || map_response_with_state(state.hive().id(), satellites::add_hive_id);
    let requests = Router::new().merge(rest::routes()).merge(satellites::routes().layer(with_hive_id()));
    Router::new()
        .merge(requests.layer(from_fn_with_state(state.clone(), drain)))
        // Not drained: a link or viewer is open for long, and is closed with a reason of its own.
        .merge(ws::routes().layer(with_hive_id()))
        // A route layer: an unknown path is 404 whatever its query is.
        .route_layer(from_fn(rest::check_query_names))
        .merge(health::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        // The last layer runs first.
        .layer(from_fn_with_state(state.clone(), limit_forwarded))
        .layer(map_response(add_security_headers))
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .with_state(state)
}

async fn not_found(uri: Uri) -> HttpError {
    Error::NotFound { what: "path", id: uri.path().chars().take(200).collect() }.into()
}

async fn method_not_allowed() -> HttpError {
    HttpError::MethodNotAllowed
}

/// Ends requests of a draining server: changes are refused at once, so that the caller retries them with the next server,
/// and open requests are answered 503 after their grace period. The commands they wait for continue.
async fn drain(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let open = state.begin_request();
    if open.is_none() && !request.method().is_safe() {
        return HttpError::Draining.into_response();
    }
    let grace_over = async {
        state.draining().cancelled().await;
        tokio::time::sleep(state.limits().request_grace).await;
    };
    tokio::select! {
        response = next.run(request) => response,
        () = grace_over => HttpError::Draining.into_response(),
    }
}

/// Applies the connection limits to a request through a trusted proxy, by the address that it forwards. Other requests are
/// limited by their connection.
async fn limit_forwarded(State(state): State<AppState>, peer: Peer, mut request: Request, next: Next) -> Response {
    let Some(address) = peer.address.filter(|_| peer.is_forwarded) else {
        return next.run(request).await;
    };
    let connection = state.limiters().connections.admit(address);
    request.extensions_mut().insert(connection.clone());
    tokio::select! {
        // The response first: the request that was just served may have authenticated its caller.
        biased;
        response = next.run(request) => response,
        () = connection.evicted_or_timed_out() => {
            HttpError::Overloaded { retry_after: Duration::from_secs(1) }.into_response()
        }
    }
}

/// Responses hold secrets and text from satellites: they must not be cached, and browsers must not guess their type.
async fn add_security_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
