//! The origin check of WebSockets. Browsers open them across origins without a preflight request, so the server has to
//! check.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use hive_core::Error;

use crate::error::HttpError;

/// The request comes from a page of this server, or not from a browser.
pub(super) struct SameOrigin;

impl<S: Send + Sync> FromRequestParts<S> for SameOrigin {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        if is_same_origin(&parts.headers) { Ok(Self) } else { Err(Error::Forbidden("another origin".into()).into()) }
    }
}

fn is_same_origin(headers: &HeaderMap) -> bool {
    // Only browsers send the header, and they always send it with a WebSocket (RFC 6455, section 4.1).
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let page = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let (Some(host), Some((scheme, authority))) = (host, page) else { return false };
    // Browsers leave the default port out of Origin (RFC 6454, section 6.2), but a proxy may add it to Host.
    let default_port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let bare = |authority: &str| authority.strip_suffix(default_port).unwrap_or(authority).to_ascii_lowercase();
    bare(authority) == bare(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(origin: Option<&str>, host: &str, expected: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        assert_eq!(is_same_origin(&headers), expected, "{origin:?} at {host}");
    }

    #[test]
    fn another_origin_is_refused() {
        check(None, "hive:3000", true);
        check(Some("http://hive:3000"), "hive:3000", true);
        check(Some("https://Hive.Example.com"), "hive.example.com", true);
        check(Some("https://hive.example.com"), "hive.example.com:443", true);
        check(Some("https://evil.example.com"), "hive.example.com", false);
        check(Some("http://hive:3001"), "hive:3000", false);
        check(Some("https://hive.example.com.evil.com"), "hive.example.com", false);
        check(Some("null"), "hive:3000", false);
        check(Some(""), "hive:3000", false);
    }
}
