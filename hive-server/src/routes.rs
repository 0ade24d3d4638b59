//! Which path leads where.

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response, map_response_with_state};
use axum::response::{IntoResponse, Response};
use hive_core::Error;

use crate::auth::Peer;
use crate::error::Failure;
use crate::state::AppState;
use crate::{health, rest, satellites, ws};

/// All of the server as one router, to be served by [`Server`](crate::Server) or merged into another app.
///
/// The other app puts `ConnectInfo<SocketAddr>` into its requests, so that the audit trail knows the callers' addresses,
/// and shuts the hive down itself.
pub fn router(state: AppState) -> Router {
    let limits = state.limits();
    let tell_hive = || map_response_with_state(state.hive().id(), satellites::tell_hive);
    let calls = Router::new().merge(rest::routes()).merge(satellites::routes().layer(tell_hive()));
    Router::new()
        .merge(calls.layer(from_fn_with_state(state.clone(), answer_before_the_end)))
        .merge(ws::routes().layer(tell_hive()))
        .route_layer(from_fn(rest::known_names))
        .merge(health::routes())
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(state.clone(), at_the_door))
        .layer(map_response(guarded))
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .with_state(state)
}

async fn unknown_path(uri: Uri) -> Failure {
    Error::NotFound { what: "path", id: uri.path().chars().take(200).collect() }.into()
}

async fn wrong_method() -> Failure {
    Failure::WrongMethod
}

/// Answers a request that still waits when the server has stopped for a while: the command that it waits for goes on. What
/// would change something then is refused, so that the caller tries again with the next server.
async fn answer_before_the_end(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let open = state.begin_request();
    if open.is_none() && !request.method().is_safe() {
        return Failure::Stopping.into_response();
    }
    let end = async {
        state.stopping().cancelled().await;
        tokio::time::sleep(state.limits().request_grace).await;
    };
    tokio::select! {
        response = next.run(request) => response,
        () = end => Failure::Stopping.into_response(),
    }
}

/// Holds a request that a trusted proxy passes on against the limits of the address it comes from. Connections without a
/// proxy are held against them as a whole.
async fn at_the_door(State(state): State<AppState>, peer: Peer, mut request: Request, next: Next) -> Response {
    let Some(address) = peer.address.filter(|_| peer.is_forwarded) else {
        return next.run(request).await;
    };
    let stranger = state.door().enter(address);
    request.extensions_mut().insert(stranger.clone());
    tokio::select! {
        biased;
        response = next.run(request) => response,
        () = stranger.overstayed() => Failure::Overloaded { retry_after: Duration::from_secs(1) }.into_response(),
    }
}

/// Answers hold secrets and the words of satellites: nobody keeps them, and no browser guesses what they are.
async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
