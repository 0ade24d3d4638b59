//! The origin check of WebSockets. Browsers open them across origins without a preflight request, so the server has to
//! check.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use hive_core::Error;

use crate::error::HttpError;
use crate::origins::OwnOrigins;

/// The request comes from a page of this hive, or not from a browser.
pub(super) struct OwnOrigin;

impl<S: Send + Sync> FromRequestParts<S> for OwnOrigin
where
    OwnOrigins: FromRef<S>,
{
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        check(&OwnOrigins::from_ref(state), &parts.headers).map(|()| Self)
    }
}

fn check(own: &OwnOrigins, headers: &HeaderMap) -> Result<(), HttpError> {
    // Only browsers send the header, and they always send it with a WebSocket (RFC 6455, section 4.1). Programs reach the hive by
    // any name.
    if !headers.contains_key(ORIGIN) {
        return Ok(());
    }
    if !own.contains(text(headers, &ORIGIN)) {
        let rule = "a page of another origin; `--origin` of the server adds one";
        return Err(Error::Forbidden(rule.into()).into());
    }
    // Both: a page of the hive may have been loaded by a name that somebody else resolves.
    if !own.is_own_host(text(headers, &HOST)) {
        return Err(HttpError::MisdirectedHost);
    }
    Ok(())
}

/// A header as text. What is no text is no name of the hive.
fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(origin: Option<&str>, host: &str, expected: Option<u16>) {
        let own = OwnOrigins::new("https://hive.example.com", &[], "127.0.0.1:3000".parse().unwrap());
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        let refused = super::check(&own, &headers).err().map(|error| error.into_parts().status.as_u16());
        assert_eq!(refused, expected, "{origin:?} at {host}");
    }

    #[test]
    fn another_origin_is_refused_and_another_host_is_misdirected() {
        check(None, "any.name:1234", None);
        check(Some("http://127.0.0.1:3000"), "127.0.0.1:3000", None);
        check(Some("https://Hive.Example.com"), "hive.example.com", None);
        check(Some("https://hive.example.com"), "hive.example.com:443", None);
        check(Some("https://evil.example.com"), "hive.example.com", Some(403));
        check(Some("http://rebound.evil.com:3000"), "rebound.evil.com:3000", Some(403));
        check(Some("http://127.0.0.1:3001"), "127.0.0.1:3000", Some(403));
        check(Some("https://hive.example.com"), "rebound.evil.com", Some(421));
        check(Some("null"), "127.0.0.1:3000", Some(403));
        check(Some(""), "127.0.0.1:3000", Some(403));
    }
}
