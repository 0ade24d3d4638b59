//! The HTTPS calls of a satellite: health, register, heartbeat.

use std::time::Duration;

use bytes::Bytes;
use hive_wire::satellite_api::{
    ErrorResponse, HIVE_ID_HEADER, HeartbeatRequest, RegisterRequest, RegisterResponse, RejectionClass,
};
use hive_wire::{HiveId, SatelliteId};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, StatusCode, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::ServerUrl;
use crate::http::{authorization, retry_after};
use hive_wire::escape::error_chain;

/// The time limit of the health call.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// The time limit of the other calls.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer that is read.
const MAX_ANSWER: usize = 1024 * 1024;

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum CallError {
    /// There was no answer.
    Unreachable(String),
    /// The answer has an error status.
    Status {
        status: StatusCode,
        retry_after: Option<Duration>,
        /// Its body, if it is an error of a hive.
        refusal: Option<Box<ErrorResponse>>,
    },
}

impl CallError {
    /// Whether the same call may succeed later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Status { status, .. } => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// The meaning of a 401 for a satellite of the hive `known`.
    pub(crate) fn unauthorized(&self, known: Option<HiveId>) -> Option<AuthRejection> {
        let Self::Status { status: StatusCode::UNAUTHORIZED, refusal, .. } = self else { return None };
        let Some(answering) = refusal.as_ref().and_then(|refusal| refusal.hive_id) else {
            return Some(AuthRejection::NotAHive);
        };
        Some(match (known, refusal.as_ref().and_then(|refusal| refusal.class.as_ref())) {
            (None, _) => AuthRejection::UnknownHive(answering),
            // Compared first: another hive cannot know whether the key is valid.
            (Some(known), _) if known != answering => AuthRejection::OtherHive(answering),
            (_, Some(RejectionClass::UnknownKey)) => AuthRejection::Rejected { is_superseded: false },
            (_, Some(RejectionClass::Superseded)) => AuthRejection::Rejected { is_superseded: true },
            _ => AuthRejection::NotAHive,
        })
    }

    /// The minimum delay that the server asked for.
    pub(crate) fn retry_after(&self) -> Duration {
        match self {
            Self::Status { retry_after, .. } => retry_after.unwrap_or_default(),
            Self::Unreachable(_) => Duration::ZERO,
        }
    }

    /// The cause, for the log.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Unreachable(cause) => cause.clone(),
            Self::Status { status, .. } => format!("it answers {status}"),
        }
    }
}

/// The meaning of a 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthRejection {
    /// The satellite's own hive does not accept the key. Only this is a rejection.
    Rejected {
        /// Whether the hive knows the key as replaced.
        is_superseded: bool,
    },
    /// The server is another hive.
    OtherHive(HiveId),
    /// The server is a hive, and the satellite does not know the id of its own: an older agent registered it.
    UnknownHive(HiveId),
    /// The answer comes from something else, such as a proxy.
    NotAHive,
}

/// The client of the hive's satellite API.
#[derive(Debug)]
pub(crate) struct SatelliteApiClient {
    server: ServerUrl,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl SatelliteApiClient {
    pub(crate) fn new(server: ServerUrl, tls: &rustls::ClientConfig) -> Self {
        let mut tcp = HttpConnector::new();
        // The connector is wrapped by TLS and must accept `https` URLs.
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(HEALTH_TIMEOUT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        // Calls are minutes apart, so an idle connection would only cost memory on both sides.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Self { server, client }
    }

    pub(crate) fn server(&self) -> &ServerUrl {
        &self.server
    }

    /// Checks whether a hive answers.
    pub(crate) async fn health(&self) -> Result<(), CallError> {
        let request = self.request(Method::GET, "/api/health", None, None).body(Full::default());
        self.call(request, HEALTH_TIMEOUT).await.map(drop)
    }

    /// Registers with a token. With `hive`, only that hive may accept it.
    pub(crate) async fn register(
        &self,
        token: &SecretString,
        hive: Option<HiveId>,
        body: &RegisterRequest,
    ) -> Result<RegisterResponse, CallError> {
        self.post("/api/satellites/register", token, hive, body).await
    }

    /// Verifies a key.
    pub(crate) async fn heartbeat(
        &self,
        id: SatelliteId,
        key: &SecretString,
        hive: Option<HiveId>,
    ) -> Result<(), CallError> {
        let body = HeartbeatRequest { status: "active".into(), version: Some(env!("CARGO_PKG_VERSION").into()) };
        let path = format!("/api/satellites/{id}/heartbeat");
        self.post::<serde_json::Value>(&path, key, hive, &body).await.map(drop)
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        bearer: &SecretString,
        hive: Option<HiveId>,
        body: &impl Serialize,
    ) -> Result<T, CallError> {
        let json = serde_json::to_vec(body).map_err(|error| CallError::Unreachable(error.to_string()))?;
        let request = self
            .request(Method::POST, path, Some(bearer), hive)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(json));
        let answer = self.call(request, TIMEOUT).await?;
        serde_json::from_slice(&answer).map_err(|_| CallError::Status {
            status: StatusCode::OK,
            retry_after: None,
            refusal: None,
        })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&SecretString>,
        hive: Option<HiveId>,
    ) -> hyper::http::request::Builder {
        let agent = concat!("satellite-agent/", env!("CARGO_PKG_VERSION"));
        let mut request =
            Request::builder().method(method).uri(self.server.http(path)).header(header::USER_AGENT, agent);
        if let Some(bearer) = bearer {
            request = request.header(header::AUTHORIZATION, authorization(bearer));
        }
        if let Some(hive) = hive {
            request = request.header(HIVE_ID_HEADER, hive.to_string());
        }
        request
    }

    async fn call(
        &self,
        request: hyper::http::Result<Request<Full<Bytes>>>,
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        let exchange = async {
            let request = request.map_err(|error| CallError::Unreachable(error.to_string()))?;
            let response =
                self.client.request(request).await.map_err(|error| CallError::Unreachable(error_chain(&error)))?;
            let (head, body) = response.into_parts();
            // A server that is not a hive may send any amount.
            let body = Limited::new(body, MAX_ANSWER).collect().await;
            let body = body.map_err(|error| CallError::Unreachable(error.to_string()))?.to_bytes();
            if head.status.is_success() {
                return Ok(body);
            }
            Err(CallError::Status {
                status: head.status,
                retry_after: retry_after(&head.headers),
                refusal: serde_json::from_slice(&body).ok().map(Box::new),
            })
        };
        tokio::time::timeout(timeout, exchange)
            .await
            .unwrap_or_else(|_| Err(CallError::Unreachable(format!("no answer within {} s", timeout.as_secs()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_401_of_the_own_hive_with_a_known_class_rejects_a_key() {
        let hive = |n| HiveId::new(hive_wire::id::Seed { unix_millis: 1, random: [n; 10] });
        let check = |body: &str, known: Option<HiveId>, expected: Option<AuthRejection>| {
            let error = CallError::Status {
                status: if expected.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN },
                retry_after: None,
                refusal: serde_json::from_str(body).ok().map(Box::new),
            };
            assert_eq!(error.unauthorized(known), expected, "{body}");
        };
        let body = |class: &str| {
            let start = r#"{"success":false,"error":"auth_invalid","message":"x""#;
            format!(r#"{start},"hive_id":"{}"{class}}}"#, hive(1))
        };
        let (unknown, superseded) = (body(r#","class":"unknown_key""#), body(r#","class":"superseded""#));
        check(&unknown, Some(hive(1)), Some(AuthRejection::Rejected { is_superseded: false }));
        check(&superseded, Some(hive(1)), Some(AuthRejection::Rejected { is_superseded: true }));
        check(&unknown, Some(hive(2)), Some(AuthRejection::OtherHive(hive(1))));
        check(&unknown, None, Some(AuthRejection::UnknownHive(hive(1))));
        check(&body(r#","class":"other_hive""#), Some(hive(1)), Some(AuthRejection::NotAHive));
        check(&body(r#","class":"of a later version""#), Some(hive(1)), Some(AuthRejection::NotAHive));
        check(&body(""), Some(hive(1)), Some(AuthRejection::NotAHive));
        for of_a_proxy in ["<html>", "", r#"{"error":"auth_invalid","message":"x","success":false}"#] {
            check(of_a_proxy, Some(hive(1)), Some(AuthRejection::NotAHive));
        }
        check(&unknown, Some(hive(1)), None);
    }
}
