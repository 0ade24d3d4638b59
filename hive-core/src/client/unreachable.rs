//! The causes for which a hive cannot be reached, as far as a user can act on them.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};

/// The hive cannot be reached. The source of [`Error::Unavailable`](crate::Error::Unavailable).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot reach {url}: {cause}")]
pub struct Unreachable {
    /// The URL of the hive.
    pub url: String,
    /// The kind of the cause.
    pub obstacle: Obstacle,
    /// The text of the innermost cause, such as "connection refused".
    pub cause: String,
}

/// The kinds of causes for which a hive cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Obstacle {
    /// The host's name has no address.
    UnknownHost,
    /// Nothing listens at the address.
    Refused,
    /// There was no answer in time, or no route.
    Timeout,
    /// This machine does not trust the certificate.
    Certificate,
    /// The URL begins with `https`, but the server does not use TLS.
    NoTls,
    /// The server does not use HTTP. A server with TLS gives this error for a URL that begins with `http`.
    NoHttp,
    /// Something else.
    Other,
}

impl Unreachable {
    pub(super) fn new(url: &str, error: &reqwest::Error) -> Self {
        let causes: Vec<&dyn StdError> = causes(error).collect();
        let obstacle = if error.is_timeout() { Obstacle::Timeout } else { obstacle(&causes) };
        let cause = if error.is_timeout() {
            "it did not answer in time".into()
        } else {
            causes.last().map(ToString::to_string).unwrap_or_default()
        };
        Self { url: url.to_owned(), obstacle, cause }
    }
}

/// Returns an error and its causes, the innermost last.
pub(super) fn causes<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (**error).source())
}

fn obstacle(causes: &[&(dyn StdError + 'static)]) -> Obstacle {
    // The innermost cause that is known counts: the outer ones only say that a request failed.
    causes.iter().rev().find_map(|cause| of_cause(*cause)).unwrap_or(Obstacle::Other)
}

fn of_cause(cause: &(dyn StdError + 'static)) -> Option<Obstacle> {
    if let Some(error) = cause.downcast_ref::<rustls::Error>() {
        return of_tls(error);
    }
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        // The error inside of an `io::Error` is not among its causes, and may itself contain another one.
        let carried = error.get_ref().and_then(|inner| of_cause(inner));
        return carried.or_else(|| of_io(error));
    }
    // These types are private to the HTTP client, so only their texts are left.
    let text = cause.to_string();
    match text.as_str() {
        "dns error" => Some(Obstacle::UnknownHost),
        _ if text.starts_with("invalid HTTP") => Some(Obstacle::NoHttp),
        _ => None,
    }
}

fn of_tls(error: &rustls::Error) -> Option<Obstacle> {
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => Some(Obstacle::Certificate),
        // The answer to the first message of the handshake was no TLS message.
        rustls::Error::InvalidMessage(_) => Some(Obstacle::NoTls),
        _ => None,
    }
}

fn of_io(error: &io::Error) -> Option<Obstacle> {
    match error.kind() {
        ErrorKind::ConnectionRefused => Some(Obstacle::Refused),
        ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Some(Obstacle::Timeout),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cause: impl StdError + 'static, expected: Obstacle) {
        assert_eq!(obstacle(&[&cause]), expected, "{cause:?}");
    }

    #[test]
    fn a_cause_is_told_by_its_kind() {
        check(io::Error::from(ErrorKind::ConnectionRefused), Obstacle::Refused);
        check(io::Error::from(ErrorKind::NetworkUnreachable), Obstacle::Timeout);
        check(io::Error::other("anything"), Obstacle::Other);
    }

    #[test]
    fn what_an_io_error_carries_counts() {
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        check(unknown.clone(), Obstacle::Certificate);
        check(io::Error::other(io::Error::other(unknown)), Obstacle::Certificate);
        let no_tls = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        check(io::Error::new(ErrorKind::InvalidData, no_tls), Obstacle::NoTls);
    }
}
