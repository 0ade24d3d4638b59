//! The layers around the routes.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::auth::Peer;
use crate::error::HttpError;
use crate::state::AppState;

/// Ends requests of a draining server: changes are refused at once, so that the caller retries them with the next server,
/// and open requests are answered 503 after their grace period. The commands they wait for continue.
pub(super) async fn drain(State(state): State<AppState>, request: Request, next: Next) -> Response {
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
pub(super) async fn limit_forwarded(
    State(state): State<AppState>,
    peer: Peer,
    mut request: Request,
    next: Next,
) -> Response {
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
pub(super) async fn add_security_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
