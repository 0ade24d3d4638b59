//! Requests and bounded answers. Errors of the hive become the same errors here.

use std::sync::Arc;
use std::time::Duration;

use hive_wire::Timestamp;
use hive_wire::api::{Envelope, ErrorEnvelope, Page};
use hive_wire::query::to_pairs;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, header, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::tls;
use super::unreachable::{Unreachable, causes};
use crate::error::KeyConflict;
use crate::{Error, Result};

const API_KEY: header::HeaderName = header::HeaderName::from_static("x-api-key");
/// The most bytes of an answer. Beyond it the call fails, although the hive has executed it.
pub(super) const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// The most bytes of an answer with the output of commands.
const MAX_RESULTS: usize = 512 * 1024 * 1024;
/// The most bytes of an error.
const MAX_ERROR: usize = 256 * 1024;
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call may take that does not wait for a command.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);
/// The idle time before TCP probes the hive, and the interval of the probes. A hive that answers none for about a minute is
/// gone, however long the command may take.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// The credential of the calls.
#[derive(Debug, Clone)]
pub(super) enum RemoteCredential {
    None,
    ApiKey(SecretString),
    Login(SecretString),
}

#[derive(Debug, Clone)]
pub(super) struct Transport {
    client: Client,
    tls: Arc<rustls::ClientConfig>,
    base: Url,
    credential: RemoteCredential,
    /// How long a call that the hive refuses by a rate, or because its first one still runs, may wait in all.
    rate_limit_wait: Duration,
}

/// How long an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// As long as a plain call: one minute.
    Call,
    /// As long as a command runs: without a limit.
    Command,
}

impl Transport {
    pub(super) fn new(url: &str, credential: RemoteCredential) -> Result<Self> {
        let base = parse_base(url)?;
        let tls = Arc::new(tls::config(base.scheme() == "https")?);
        let client = Client::builder()
            .tls_backend_preconfigured(rustls::ClientConfig::clone(&tls))
            .user_agent(concat!("hive-core/", env!("CARGO_PKG_VERSION")))
            // A redirect would send the credential to another host.
            .redirect(redirect::Policy::none())
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(KEEPALIVE)
            .tcp_keepalive_interval(KEEPALIVE)
            .tcp_keepalive_retries(3)
            .build()
            .map_err(Error::internal)?;
        Ok(Self { client, tls, base, credential, rate_limit_wait: Duration::ZERO })
    }

    /// The same, with calls that wait this long in all where the hive refuses them by a rate.
    pub(super) fn with_rate_limit_wait(self, longest: Duration) -> Self {
        Self { rate_limit_wait: longest, ..self }
    }

    pub(super) fn base(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    pub(super) fn get(&self, path: &[&str]) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(super) fn post(&self, path: &[&str]) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    /// Creates a request below the base URL. Each part of `path` is one segment, and is encoded as such.
    pub(super) fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        self.request_url(method, self.url(path))
    }

    /// Creates a request of a URL of the hive.
    pub(super) fn request_url(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.client.request(method, url);
        match self.authorization() {
            Some((name, value)) => request.header(name, value),
            None => request,
        }
    }

    /// Returns the header with the credential.
    pub(super) fn authorization(&self) -> Option<(header::HeaderName, header::HeaderValue)> {
        match &self.credential {
            RemoteCredential::None => None,
            RemoteCredential::ApiKey(key) => Some((API_KEY, secret_header(key.expose_secret()))),
            RemoteCredential::Login(token) => {
                Some((header::AUTHORIZATION, secret_header(&format!("Bearer {}", token.expose_secret()))))
            }
        }
    }

    /// Returns the TLS configuration, for WebSockets.
    pub(super) fn tls(&self) -> Arc<rustls::ClientConfig> {
        self.tls.clone()
    }

    /// Creates a POST with another credential.
    pub(super) fn post_as(&self, credential: &SecretString, path: &[&str]) -> RequestBuilder {
        self.client.post(self.url(path)).bearer_auth(credential.expose_secret())
    }

    /// Sends a request and returns the `data` of its answer.
    pub(super) async fn fetch<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        Ok(self.envelope(request, Patience::Call).await?.data)
    }

    /// Like [`fetch`](Self::fetch), for a call that waits for commands and returns their output.
    pub(super) async fn fetch_results<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        Ok(self.envelope(request, Patience::Command).await?.data)
    }

    pub(super) async fn fetch_page<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<Page<T>> {
        let Envelope { data, pagination, .. } = self.envelope::<Vec<T>>(request, Patience::Call).await?;
        // A hive of an earlier version has some lists without pages.
        Ok(match pagination {
            Some(pagination) => Page::from_parts(data, pagination),
            None => Page::whole(data),
        })
    }

    /// Sends a request and returns its answer unchanged.
    pub(super) async fn fetch_bytes(&self, request: RequestBuilder) -> Result<bytes::Bytes> {
        let response = self.send(request, Patience::Call).await?;
        Ok(read(response, MAX_ANSWER).await?.into())
    }

    /// Sends a request whose answer has no data.
    pub(super) async fn call(&self, request: RequestBuilder) -> Result<()> {
        let response = self.send(request, Patience::Call).await?;
        // The body is read to its end, so that the connection can be used again.
        read(response, MAX_ANSWER).await.map(drop)
    }

    /// Sends a request and returns status and body, for the API of satellites, whose answers have another form.
    pub(super) async fn exchange(&self, request: RequestBuilder) -> Result<(StatusCode, Vec<u8>)> {
        let request = request.timeout(CALL_TIMEOUT).build().map_err(Error::internal)?;
        let response = self.dispatch(request).await?;
        let status = response.status();
        Ok((status, read(response, MAX_ERROR).await?))
    }

    /// Returns the time in the `Date` header of an answer.
    pub(super) async fn time(&self) -> Result<Timestamp> {
        let answer = self.send(self.get(&["health"]), Patience::Call).await?;
        let untold = || Error::Other(format!("{} does not say what time it is", self.base()).into());
        let date = answer.headers().get(header::DATE).and_then(|date| date.to_str().ok()).ok_or_else(untold)?;
        let time = httpdate::parse_http_date(date).map_err(|_| untold())?;
        let since_epoch = time.duration_since(std::time::UNIX_EPOCH).map_err(|_| untold())?;
        Ok(Timestamp::from_micros(0).plus(since_epoch))
    }

    /// Sends a request. An answer with an error status becomes that error.
    pub(super) async fn send(&self, request: RequestBuilder, patience: Patience) -> Result<Response> {
        let request = match patience {
            // The timeout includes the body.
            Patience::Call => request.timeout(CALL_TIMEOUT),
            Patience::Command => request,
        };
        let mut request = request.build().map_err(Error::internal)?;
        let mut left = self.rate_limit_wait;
        loop {
            let again = request.try_clone();
            match (self.send_once(request).await, again) {
                (Err(error), Some(next)) => match retry_after(&error).filter(|wait| *wait <= left) {
                    Some(wait) => {
                        left = left.saturating_sub(wait);
                        tokio::time::sleep(wait).await;
                        request = next;
                    }
                    None => return Err(error),
                },
                (answer, _) => return answer,
            }
        }
    }

    async fn send_once(&self, request: reqwest::Request) -> Result<Response> {
        let response = self.dispatch(request).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = read(response, MAX_ERROR).await?;
        Err(self.failure(status, &body))
    }

    /// Sends a request. If the connection breaks, a repeatable request is sent once more.
    async fn dispatch(&self, request: reqwest::Request) -> Result<Response> {
        let repeat = if is_repeatable(&request) { request.try_clone() } else { None };
        let first = self.client.execute(request).await;
        let answer = match (first, repeat) {
            // A connection that was kept open may have been closed by the hive at this moment. Other errors would repeat
            // themselves: a hive that refused the connection is not there, and a timeout has waited long enough.
            (Err(error), Some(request)) if !error.is_connect() && !error.is_timeout() => {
                self.client.execute(request).await
            }
            (answer, _) => answer,
        };
        answer.map_err(|error| self.unreachable(error))
    }

    async fn envelope<T: DeserializeOwned>(&self, request: RequestBuilder, patience: Patience) -> Result<Envelope<T>> {
        let response = self.send(request, patience).await?;
        let limit = if patience == Patience::Command { MAX_RESULTS } else { MAX_ANSWER };
        let body = read(response, limit).await?;
        serde_json::from_slice(&body)
            .map_err(|error| Error::Other(format!("cannot read the answer of {}: {error}", self.base()).into()))
    }

    /// Returns the URL of a path below the base URL.
    pub(super) fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        // A base URL that ends with a slash has an empty last segment.
        url.path_segments_mut().expect("http and https URLs have a path").pop_if_empty().extend(path);
        url
    }

    /// Returns the error of an answer with an error status.
    pub(super) fn failure(&self, status: StatusCode, body: &[u8]) -> Error {
        if let Ok(ErrorEnvelope { error, .. }) = serde_json::from_slice(body) {
            return Error::from_wire(error);
        }
        // Not the body of a hive: a proxy in front of it answered, or another server listens there.
        let message = format!("{} answered {status}, and not as a hive does", self.base());
        let is_passing = matches!(status.as_u16(), 502..=504);
        if is_passing { Error::Unavailable(message.into()) } else { Error::Other(message.into()) }
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        Error::Unavailable(Box::new(Unreachable::new(self.base(), &error.without_url())))
    }
}

/// Returns how long to wait before a call that was refused may be sent again. Nothing was carried out by it. The first call with the
/// same key may be one whose connection broke.
fn retry_after(error: &Error) -> Option<Duration> {
    let seconds = match error {
        Error::RateLimited { retry_after_seconds } => *retry_after_seconds,
        Error::KeyConflict(KeyConflict::InProgress) => KeyConflict::RETRY_SECONDS,
        _ => return None,
    };
    Some(Duration::from_secs(seconds.max(1)))
}

/// Returns a header that `Debug` does not print. A key with characters that a header cannot have is not a key of a hive. An
/// empty one is sent instead, which the hive refuses.
fn secret_header(text: &str) -> header::HeaderValue {
    let mut value = header::HeaderValue::from_str(text).unwrap_or(header::HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

fn is_repeatable(request: &reqwest::Request) -> bool {
    request.method() == Method::GET || request.headers().contains_key("idempotency-key")
}

/// Adds a query to a call.
pub(super) fn with_query(call: RequestBuilder, query: &impl Serialize) -> Result<RequestBuilder> {
    Ok(call.query(&to_pairs(query).map_err(Error::internal)?))
}

fn parse_base(text: &str) -> Result<Url> {
    let refused = |rule: &str| Error::invalid("url", rule);
    let mut url = Url::parse(text).map_err(|_| refused("not a URL such as https://hive.example.com"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused("must start with http:// or https://"));
    }
    // The URL appears in errors and logs.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("must not contain credentials"));
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// Reads a body of at most `limit` bytes.
pub(super) async fn read(mut response: Response, limit: usize) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(interrupted)? {
        // Counted while reading: the length in the header may be missing or wrong.
        if body.len() + chunk.len() > limit {
            return Err(Error::PayloadTooLarge(format!("the answer is larger than {limit} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

pub(super) fn interrupted(error: reqwest::Error) -> Error {
    Error::Unavailable(format!("the answer broke off: {}", root_cause(&error.without_url())).into())
}

/// The innermost cause: "connection refused" says more than "error sending request".
fn root_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".into();
    }
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport(url: &str) -> Transport {
        Transport::new(url, RemoteCredential::ApiKey("hive_key_secret".to_owned().into())).unwrap()
    }

    fn check_path(base: &str, path: &[&str], expected: &str) {
        let request = transport(base).get(path).build().unwrap();
        assert_eq!(request.url().as_str(), expected);
    }

    #[test]
    fn a_path_stays_below_the_base_url() {
        check_path("http://hive:3000", &["api", "v1"], "http://hive:3000/api/v1");
        check_path("http://hive:3000/behind/proxy/", &["api", "v1"], "http://hive:3000/behind/proxy/api/v1");
        check_path("http://hive", &["by-tag", "a/../b?c"], "http://hive/by-tag/a%2F..%2Fb%3Fc");
    }

    #[test]
    fn a_text_that_is_no_base_url_is_refused() {
        for bad in ["", "hive:3000", "ftp://hive", "http://user:password@hive", "localhost"] {
            let refused = Transport::new(bad, RemoteCredential::None);
            assert!(matches!(refused, Err(Error::InvalidInput { .. })), "{bad:?} was taken");
        }
    }

    #[test]
    fn the_key_is_never_shown() {
        let transport = transport("http://hive");
        let request = transport.get(&["api"]).build().unwrap();
        assert!(!format!("{transport:?} {request:?}").contains("hive_key_secret"));
    }

    #[test]
    fn only_what_does_no_harm_twice_is_repeatable() {
        let transport = transport("http://hive");
        let check = |request: RequestBuilder, expected| assert_eq!(is_repeatable(&request.build().unwrap()), expected);
        check(transport.get(&["x"]), true);
        check(transport.post(&["x"]), false);
        check(transport.request(Method::DELETE, &["x"]), false);
        check(transport.post(&["x"]).header("idempotency-key", "a"), true);
    }

    #[test]
    fn an_answer_that_is_not_a_hives_says_so() {
        let transport = transport("http://hive");
        let check = |status: u16, is_unavailable| {
            let error = transport.failure(StatusCode::from_u16(status).unwrap(), b"<html>");
            assert_eq!(matches!(error, Error::Unavailable(_)), is_unavailable, "{status}");
        };
        check(502, true);
        check(404, false);
    }

    #[test]
    fn a_timeout_of_a_command_is_the_typed_error() {
        let body = br#"{"success":false,"error":{"code":"COMMAND_TIMEOUT","message":"x",
            "details":{"command_id":"cmd_00000000000000000000000001","result":null}}}"#;
        let error = transport("http://hive").failure(StatusCode::GATEWAY_TIMEOUT, body);
        assert!(matches!(error, Error::CommandTimeout { .. }), "{error:?}");
    }
}
