//! The route table. Each area declares its routes beside their handlers as [`Routes`]; `router` joins them.
//!
//! An entry is a method, a path, a handler and an [`Operation`], which says everything else: who may call it, what it takes, what it
//! answers and which rate its calls are under. The router and the OpenAPI document are made of the same entries, and each handler is wrapped in the guard of its entry.

mod access;
mod answers;
mod error_format;
mod guard;
mod idempotency;
mod operation;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRef};
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};
use hive_core::Hive;
use utoipa::openapi::HttpMethod;
use utoipa::openapi::path::{PathItem, Paths};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::auth::TrustedProxies;
use crate::limits::Limiters;

pub(crate) use self::access::{Access, Reach};
pub(crate) use self::error_format::ErrorFormat;
pub(crate) use self::operation::Operation;

use self::guard::{RouteGuard, enforce};
use self::idempotency::{KeyedRoute, answer_once};

/// The routes of one area.
pub(crate) struct Routes<S> {
    tag: &'static str,
    errors: ErrorFormat,
    entries: Vec<RouteEntry<S>>,
}

struct RouteEntry<S> {
    method: HttpMethod,
    path: &'static str,
    handler: MethodRouter<S>,
    operation: Operation,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No routes yet. The tag groups the operations of the area in the document.
    pub(crate) fn tagged(tag: &'static str) -> Self {
        Self { tag, errors: ErrorFormat::REST, entries: Vec::new() }
    }

    /// The same area, with errors of another format.
    pub(crate) fn with_errors(self, errors: ErrorFormat) -> Self {
        Self { errors, ..self }
    }

    /// Adds a route. A GET route answers HEAD too.
    pub(crate) fn get<H: Handler<T, S>, T: 'static>(
        self,
        path: &'static str,
        handler: H,
        operation: Operation,
    ) -> Self {
        self.add(HttpMethod::Get, path, on(MethodFilter::GET, handler), operation)
    }

    /// Adds a route.
    pub(crate) fn post<H: Handler<T, S>, T: 'static>(
        self,
        path: &'static str,
        handler: H,
        operation: Operation,
    ) -> Self {
        self.add(HttpMethod::Post, path, on(MethodFilter::POST, handler), operation)
    }

    /// Adds a route.
    pub(crate) fn put<H: Handler<T, S>, T: 'static>(
        self,
        path: &'static str,
        handler: H,
        operation: Operation,
    ) -> Self {
        self.add(HttpMethod::Put, path, on(MethodFilter::PUT, handler), operation)
    }

    /// Adds a route.
    pub(crate) fn delete<H: Handler<T, S>, T: 'static>(
        self,
        path: &'static str,
        handler: H,
        operation: Operation,
    ) -> Self {
        self.add(HttpMethod::Delete, path, on(MethodFilter::DELETE, handler), operation)
    }

    fn add(mut self, method: HttpMethod, path: &'static str, handler: MethodRouter<S>, operation: Operation) -> Self {
        self.entries.push(RouteEntry { method, path, handler, operation });
        self
    }

    /// Returns the router of these routes, each with its guard, and their part of the document.
    pub(crate) fn into_router(self, state: &S) -> OpenApiRouter<S>
    where
        Hive: FromRef<S>,
        Arc<Limiters>: FromRef<S>,
        TrustedProxies: FromRef<S>,
    {
        let Self { tag, errors, entries } = self;
        let add = |router: OpenApiRouter<S>, entry: RouteEntry<S>| router.routes(entry.into_route(tag, errors, state));
        entries.into_iter().fold(OpenApiRouter::default(), add)
    }
}

impl<S: Clone + Send + Sync + 'static> RouteEntry<S>
where
    Hive: FromRef<S>,
    Arc<Limiters>: FromRef<S>,
    TrustedProxies: FromRef<S>,
{
    fn into_route(self, tag: &'static str, errors: ErrorFormat, state: &S) -> UtoipaMethodRouter<S> {
        let Self { method, path, handler, operation } = self;
        let guard = Arc::new(RouteGuard::new(&method, path, &operation, errors));
        // Inside of the limit on the body, which it reads.
        let handler = match KeyedRoute::of(&guard, &operation) {
            Some(route) => handler.route_layer(from_fn_with_state(Arc::new(route), answer_once)),
            None => handler,
        };
        let handler = match operation.limits().body_bytes {
            Some(bytes) => handler.layer(DefaultBodyLimit::max(bytes)),
            None => handler,
        };
        // A route layer: a method that the path does not take is 405 for everybody.
        let handler = handler.route_layer(from_fn_with_state((state.clone(), guard), enforce::<S>));
        let (operation, schemas) = operation.into_openapi(&method, path, tag, errors);
        (schemas, Paths::builder().path(path, PathItem::new(method, operation)).build(), handler)
    }
}
