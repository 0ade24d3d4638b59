//! The whole server as one router: the tables of all areas, with the layers around them, and the document that they make.

mod document;
mod layers;
mod page;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Uri, header};
use axum::middleware::{from_fn, from_fn_with_state, map_response, map_response_with_state};
use axum::response::{IntoResponse, Response};
use hive_core::Error;
use utoipa_axum::router::OpenApiRouter;

use self::document::ApiDocument;
use self::layers::{add_security_headers, drain, limit_forwarded};
use crate::error::HttpError;
use crate::routes::{Operation, Routes};
use crate::state::AppState;
use crate::{health, rest, satellites, ws};

/// The whole server as one router, to be served by [`Server`](crate::Server) or merged into another app.
///
/// The other app puts `ConnectInfo<SocketAddr>` into its requests, so that the audit log holds the addresses of callers, and
/// shuts the hive down itself.
pub fn router(state: AppState) -> Router {
    let (routes, openapi) = routes(&state).split_for_parts();
    ApiDocument::init(openapi);
    routes
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        // The last layer runs first.
        .layer(from_fn_with_state(state.clone(), limit_forwarded))
        .layer(map_response(add_security_headers))
        .layer(DefaultBodyLimit::max(state.limits().body_bytes))
        .with_state(state)
}

/// All tables, each with its layers.
fn routes(state: &AppState) -> OpenApiRouter<AppState> {
    let with_hive_id = || map_response_with_state(state.hive().id(), satellites::add_hive_id);
    let rest = rest::routes().into_iter().map(|area| area.into_router(state));
    let requests = rest.fold(about_the_api().into_router(state), OpenApiRouter::merge);
    let of_satellites = satellites::routes().into_iter().map(|area| area.into_router(state).layer(with_hive_id()));
    let requests = of_satellites.fold(requests, OpenApiRouter::merge);
    let sockets = ws::routes().into_iter().map(|area| area.into_router(state).layer(with_hive_id()));
    let requests = requests.layer(from_fn_with_state(state.clone(), drain));
    // Not drained: a link or viewer is open for long, and is closed with a reason of its own.
    sockets
        .fold(requests, OpenApiRouter::merge)
        .merge(health::routes().into_router(state).layer(from_fn(health::exempt_from_limits)))
}

/// The document of the API, and its page.
fn about_the_api() -> Routes<AppState> {
    Routes::tagged("api")
        .get(
            "/api/v1/openapi.json",
            openapi,
            Operation::new("openapi", "Returns this document").answer_bare::<ApiDocument>(200, "The document."),
        )
        .get(
            "/api/v1/docs",
            docs,
            Operation::new("docs", "Returns this document as a page").answer_raw(200, "text/html", "The page."),
        )
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], ApiDocument::get().json())
}

async fn docs() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_SECURITY_POLICY, page::content_security_policy()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
    ];
    (headers, ApiDocument::get().page()).into_response()
}

async fn not_found(uri: Uri) -> HttpError {
    Error::NotFound { what: "path", id: uri.path().chars().take(200).collect() }.into()
}

async fn method_not_allowed() -> HttpError {
    HttpError::MethodNotAllowed
}
