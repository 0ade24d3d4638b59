//! A call of any path of the API, for what the service traits have no method for.

use bytes::Bytes;
use reqwest::{Method, Response, Url, header};
use serde_json::Value;

use super::transport::{MAX_ANSWER, Patience, Transport, interrupted, read};
use super::{Client, RemoteHive};
use crate::{Error, Result};

/// The methods of the API.
const METHODS: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// A call of a path of the API. `GET /api/v1/openapi.json` describes all of them.
///
/// ```
/// use hive_core::client::ApiRequest;
///
/// let mut request = ApiRequest::new("get", "/api/v1/satellites?tag=web");
/// request.query.push(("per_page".into(), "10".into()));
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ApiRequest {
    /// The method: GET, HEAD, POST, PUT, PATCH or DELETE, in any case.
    pub method: String,
    /// The path from the server's root, such as `/api/v1/satellites`, encoded, with or without a query.
    pub path: String,
    /// Further parameters of the query. They are encoded.
    pub query: Vec<(String, String)>,
    /// The body, sent as JSON.
    pub body: Option<Value>,
    /// The `Idempotency-Key`, with which the call may be repeated.
    pub idempotency_key: Option<String>,
}

impl ApiRequest {
    /// A call without a body.
    pub fn new(method: impl Into<String>, path: impl Into<String>) -> Self {
        Self { method: method.into(), path: path.into(), ..Self::default() }
    }
}

/// The successful answer to an [`ApiRequest`], whose body is read piece by piece, because it may have no end.
#[derive(Debug)]
pub struct ApiResponse {
    response: Response,
}

impl ApiResponse {
    /// The status, from 200 to 299.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// The media type of the body, without its parameters and in lower case.
    pub fn media_type(&self) -> Option<String> {
        let value = self.response.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
        value.split(';').next().map(|kind| kind.trim().to_ascii_lowercase())
    }

    /// Returns the next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// `Unavailable` if the connection breaks.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        self.response.chunk().await.map_err(interrupted)
    }

    /// Reads the whole body as JSON. An empty body is `null`.
    ///
    /// # Errors
    /// `PayloadTooLarge` if it has more than 64 MiB, `Other` if it is no JSON.
    pub async fn json(self) -> Result<Value> {
        // Bounded, because the caller holds it in memory. An answer of any length is read by `chunk`.
        let body = read(self.response, MAX_ANSWER).await?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|error| Error::Other(format!("the answer is no JSON: {error}").into()))
    }
}

impl RemoteHive {
    /// Calls a path of the API. The call has no time limit, because the answer may be a stream or wait for a command.
    ///
    /// # Errors
    /// `InvalidInput` for another method or a path that does not begin with `/`; the error of the hive if it refuses the call.
    pub async fn request(&self, request: ApiRequest) -> Result<ApiResponse> {
        self.client.request(request).await
    }
}

impl Client {
    async fn request(&self, request: ApiRequest) -> Result<ApiResponse> {
        let ApiRequest { method, path, query, body, idempotency_key } = request;
        let mut call = self.transport.request_url(parse_method(&method)?, self.transport.join(&path)?);
        if !query.is_empty() {
            call = call.query(&query);
        }
        if let Some(body) = body {
            call = call.json(&body);
        }
        if let Some(key) = idempotency_key {
            // With a key the call may be sent again, which without one it is not.
            call = call.header("idempotency-key", key);
        }
        Ok(ApiResponse { response: self.transport.send(call, Patience::Command).await? })
    }
}

fn parse_method(text: &str) -> Result<Method> {
    let method = METHODS.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(text));
    method.ok_or_else(|| Error::invalid("method", "must be GET, HEAD, POST, PUT, PATCH or DELETE"))
}

impl Transport {
    /// Returns the URL of a path with its query. It stays on the server and below the base URL.
    fn join(&self, path: &str) -> Result<Url> {
        let refused = || Error::invalid("path", "must be a path of the API, such as /api/v1/satellites");
        if !path.starts_with('/') {
            return Err(refused());
        }
        let url = Url::parse(&format!("{}{path}", self.base())).map_err(|_| refused())?;
        // `..` is resolved by the parser: the credential must not be sent to another program behind the same proxy.
        let base = Url::parse(self.base()).map_err(|_| refused())?;
        // Compared as parsed: a path such as `@other/x` moves the host into what looks like a user.
        let is_below = url.path().starts_with(base.path().trim_end_matches('/')) && url.origin() == base.origin();
        if is_below { Ok(url) } else { Err(refused()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::transport::RemoteCredential;

    fn check(base: &str, path: &str, expected: Option<&str>) {
        let transport = Transport::new(base, RemoteCredential::None).unwrap();
        assert_eq!(transport.join(path).ok().as_ref().map(Url::as_str), expected, "{base} {path}");
    }

    #[test]
    fn a_path_stays_on_the_server_and_below_its_base() {
        check("http://hive:3000", "/api/v1/jobs?page=2", Some("http://hive:3000/api/v1/jobs?page=2"));
        check("http://hive/behind/proxy/", "/health", Some("http://hive/behind/proxy/health"));
        check("http://hive/behind/proxy", "/../../other", None);
        check("http://hive", "//other/x", Some("http://hive//other/x"));
        check("http://hive", "@other/x", None);
        check("http://hive", "api/v1", None);
        check("http://hive", "", None);
    }

    #[test]
    fn a_method_of_the_api_is_read_in_any_case() {
        assert_eq!(parse_method("delete").unwrap(), Method::DELETE);
        for bad in ["", "CONNECT", "GET ", "G\nT"] {
            assert!(parse_method(bad).is_err(), "{bad:?}");
        }
    }
}
