//! Shared by the HTTPS calls and the WebSocket upgrade: the authorization header, `Retry-After`, TLS.

use std::time::Duration;

use hyper::header;
use secrecy::{ExposeSecret as _, SecretString};

use crate::config::ServerUrl;
use crate::error::Error;

/// The largest `Retry-After` that is honoured, so that a hostile server cannot send its satellites away for good.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// The value of the `Authorization` header.
pub(crate) fn authorization(bearer: &SecretString) -> String {
    format!("Bearer {}", bearer.expose_secret())
}

/// The delay that a server asks for.
pub(crate) fn retry_after(headers: &hyper::HeaderMap) -> Option<Duration> {
    // Only the form in seconds is read. A date would depend on the clock of this machine.
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

/// TLS with the system's root certificates. They are loaded only for an `https://` address.
pub(crate) fn tls_config(server: &ServerUrl) -> Result<rustls::ClientConfig, Error> {
    use hyper_rustls::ConfigBuilderExt as _;
    // Set explicitly: a process that links a second provider has no default one.
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Certificates(std::io::Error::other(error)))?;
    if server.is_tls() {
        let trusting = builder.with_native_roots().map_err(Error::Certificates)?;
        Ok(trusting.with_no_client_auth())
    } else {
        Ok(builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: Option<u64>) {
        let headers = [(header::RETRY_AFTER, value.parse().unwrap())].into_iter().collect();
        assert_eq!(retry_after(&headers), expected.map(Duration::from_secs), "{value:?}");
    }

    #[test]
    fn a_server_is_left_alone_for_an_hour_at_most() {
        check("7", Some(7));
        check(" 0 ", Some(0));
        check("86400", Some(3600));
        check("18446744073709551615", Some(3600));
        for nonsense in ["", "-1", "1.5", "soon", "18446744073709551616", "Wed, 21 Oct 2026 07:28:00 GMT"] {
            check(nonsense, None);
        }
    }
}
