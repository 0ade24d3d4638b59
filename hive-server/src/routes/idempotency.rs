//! Idempotency keys. The entry of each POST that acts says what a key means to it ([`KeyUse`]). Commands and jobs take their key to
//! the hive; the answers of all other calls are kept and given again, here.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hive_core::ActingHive;
use hive_core::answers::{CallAnswer, ClaimedCall, KeyedCall, WholeAnswer};
use hive_core::error::{IDEMPOTENCY_KEY, MAX_IDEMPOTENCY_KEY};
use hive_core::hive::AccessObject;
use serde_json::Value;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::guard::RouteGuard;
use super::{Operation, Reach};
use crate::auth::Authenticated;
use crate::error::HttpError;
use crate::extract::{idempotency_key, read_body};

/// The extension of an operation in the document that says what a key means to it.
pub(super) const KEY_EXTENSION: &str = "x-idempotency-key";
/// The headers of an answer that are kept with it.
const KEPT_HEADERS: [HeaderName; 2] = [header::CONTENT_TYPE, header::LOCATION];

/// What an idempotency key means to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyUse {
    /// Nothing: the header is ignored.
    Ignored,
    /// The handler takes it to the hive. The same key gives the same command or job.
    Command,
    /// The answer is kept, and given again.
    Answer {
        /// Where the answer names the object on which the caller must have the permission, and its kind. `None` where the path
        /// names it.
        object: Option<(&'static str, Reach)>,
    },
    /// The answer has a secret, which is shown once.
    Secret {
        /// Where the answer has the id of what was made. `None` where it is the object of the path.
        id: Option<&'static str>,
    },
}

impl KeyUse {
    /// Returns the word of the document; `None` if no key is taken.
    pub(super) fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Ignored => None,
            Self::Command => Some("command"),
            Self::Answer { .. } => Some("answer"),
            Self::Secret { .. } => Some("secret"),
        }
    }

    /// Returns the header as a parameter of the document.
    pub(super) fn parameter(self) -> Option<Parameter> {
        let description = match self {
            Self::Ignored => return None,
            Self::Command => "Names the request: the same key gives the same command or job, also while it runs.",
            Self::Answer { .. } => "Names the request: the same key gives the same answer, and nothing is done twice.",
            Self::Secret { .. } => {
                "Names the request: nothing is done twice. The answer is shown once; the same key gives `CONFLICT` with the \
                 id of what was made as `details.id`."
            }
        };
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(MAX_IDEMPOTENCY_KEY))
            .pattern(Some("^[!-~]+$"));
        let header = ParameterBuilder::new()
            .name(IDEMPOTENCY_KEY)
            .parameter_in(ParameterIn::Header)
            .description(Some(description))
            .required(Required::False)
            .schema(Some(text));
        Some(header.build())
    }
}

/// An operation whose answers are kept.
pub(super) struct KeyedRoute {
    guard: Arc<RouteGuard>,
    operation: &'static str,
    key: KeyUse,
}

impl KeyedRoute {
    /// `None` for an operation whose answers are not kept.
    pub(super) fn of(guard: &Arc<RouteGuard>, operation: &Operation) -> Option<Self> {
        let key = operation.key_use();
        let is_kept = matches!(key, KeyUse::Answer { .. } | KeyUse::Secret { .. });
        is_kept.then(|| Self { guard: guard.clone(), operation: operation.id(), key })
    }

    async fn call(&self, hive: ActingHive, key: String, request: Request, next: Next) -> Result<Response, HttpError> {
        // Before anything is looked up: a kept answer is given by the rights that the caller has now.
        self.guard.check_access(&hive, request.uri()).await?;
        let (parts, body) = request.into_parts();
        let body = read_body(Request::from_parts(parts.clone(), body), &()).await?;
        // As it was sent, because a query says what a call does.
        let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
        let call = KeyedCall { operation: self.operation, request: &[target.as_bytes(), &body] };
        match hive.claim_call(key, call).await? {
            ClaimedCall::Answered(answer) => self.repeat(&hive, answer).await,
            ClaimedCall::New(running) => {
                let (key, made) = (self.key, self.guard.object_of_path(&parts.uri).map(str::to_owned));
                // With everything that it needs: it outlives the connection of its caller.
                let carry_out = async move {
                    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
                    read_answer(response, key, made).await
                };
                Ok(running.carry_out(carry_out).await?)
            }
        }
    }

    /// Gives a kept answer again.
    async fn repeat(&self, hive: &ActingHive, answer: WholeAnswer) -> Result<Response, HttpError> {
        if let (KeyUse::Answer { object: Some((pointer, reach)) }, Some(permission)) =
            (self.key, self.guard.permission())
        {
            // The path does not say what the call was about, so that it was not checked yet.
            hive.check_access(permission, object_in(&answer.body, pointer, reach)).await?;
        }
        Ok(to_response(answer))
    }
}

/// Answers a call of an operation whose answers are kept.
pub(super) async fn answer_once(State(route): State<Arc<KeyedRoute>>, request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Authenticated>().cloned();
    // Without a key the call is as every other one.
    let (Some(key), Some(Authenticated(hive))) = (idempotency_key(request.headers()), caller) else {
        return next.run(request).await;
    };
    match route.call(hive, key, request, next).await {
        Ok(response) => response,
        Err(error) => route.guard.refuse(error),
    }
}

/// Reads the answer of a handler, to be sent and to be kept.
async fn read_answer(response: Response, key: KeyUse, made: Option<String>) -> (Response, CallAnswer) {
    let (parts, body) = response.into_parts();
    // The handlers of these operations make their bodies in memory.
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let status = parts.status.as_u16();
    let answer = match key {
        KeyUse::Secret { id } => {
            let id = id.map_or(made, |pointer| text_in(&body, pointer));
            // The body is not looked at further, so that no part of the secret can be kept.
            CallAnswer::WithSecret { status, id }
        }
        _ => CallAnswer::Plain(WholeAnswer { status, headers: kept_headers(&parts.headers), body: body.clone() }),
    };
    (Response::from_parts(parts, Body::from(body)), answer)
}

fn kept_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |name: &HeaderName| Some((name.to_string(), headers.get(name)?.to_str().ok()?.to_owned()));
    KEPT_HEADERS.iter().filter_map(text).collect()
}

fn to_response(answer: WholeAnswer) -> Response {
    let WholeAnswer { status, headers, body } = answer;
    let mut response = Body::from(body).into_response();
    // Stored as they were sent, so that both are valid.
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Returns the object that an answer names. One without a team is of the whole hive.
fn object_in(body: &Bytes, pointer: &str, reach: Reach) -> AccessObject {
    text_in(body, pointer).map_or(AccessObject::Platform, |id| reach.object(&id))
}

fn text_in(body: &Bytes, pointer: &str) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    // An answer without the field is about nothing that a caller could ask for.
    answer.pointer(pointer)?.as_str().map(str::to_owned)
}
