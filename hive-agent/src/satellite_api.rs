//! The client of the hive's satellite API: health, register, heartbeat.

mod auth_rejection;
mod call_error;

use std::time::Duration;

use bytes::Bytes;
use hive_wire::satellite_api::{HIVE_ID_HEADER, HeartbeatRequest, RegisterRequest, RegisterResponse};
use hive_wire::{HiveId, SatelliteId};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{Method, Request, StatusCode, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::ServerUrl;
use crate::connect_failure::ConnectFailure;
use crate::http::{authorization, retry_after};

pub(crate) use auth_rejection::AuthRejection;
pub(crate) use call_error::CallError;

/// The time limit of the health call.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// The time limit of the other calls.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer that is read.
const MAX_ANSWER: usize = 1024 * 1024;

/// The cause where a credential cannot be sent.
const NOT_A_HEADER: &str = "the key or the token contains characters that a header cannot carry";

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
        // Shorter than a whole call, so that the next address of the host is tried within it.
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
        let json = serde_json::to_vec(body).expect("a request has no keys that are not text");
        let request = self
            .request(Method::POST, path, Some(bearer), hive)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(json));
        let answer = self.call(request, TIMEOUT).await?;
        // The login page of a proxy is answered with 200 as well, and counts as something that is not a hive.
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
            let request = request.map_err(|_| CallError::Unreachable(ConnectFailure::Other(NOT_A_HEADER.into())))?;
            let response = self
                .client
                .request(request)
                .await
                .map_err(|error| CallError::Unreachable(ConnectFailure::of(&error)))?;
            let (head, body) = response.into_parts();
            // A server that is not a hive may send any amount.
            let body = Limited::new(body, MAX_ANSWER).collect().await;
            let body = body.map_err(|error| CallError::Unreachable(body_failure(&*error)))?.to_bytes();
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
            .unwrap_or_else(|_| Err(CallError::Unreachable(ConnectFailure::TimedOut)))
    }
}

/// Why the body of an answer could not be read.
fn body_failure(error: &(dyn std::error::Error + 'static)) -> ConnectFailure {
    if error.is::<LengthLimitError>() {
        return ConnectFailure::Other(format!("its answer is longer than {MAX_ANSWER} bytes, so it is no hive"));
    }
    ConnectFailure::of(error)
}
