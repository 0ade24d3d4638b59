//! Why a hive cannot be reached, told apart as far as somebody can do something about it.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};

/// A hive that cannot be reached: the source of [`Error::Unavailable`](crate::Error::Unavailable).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot reach {url}: {cause}")]
pub struct Unreachable {
    /// Where it should be.
    pub url: String,
    /// What stands in the way.
    pub obstacle: Obstacle,
    /// The innermost cause, in words: "connection refused" says more than "error sending request".
    pub cause: String,
}

/// What stands between a caller and a hive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Obstacle {
    /// The host's name has no address.
    UnknownHost,
    /// Nothing listens there.
    Refused,
    /// There was no answer in time, or no route.
    Timeout,
    /// The certificate is not one that this machine trusts.
    Certificate,
    /// It does not speak TLS, and was called by `https`.
    NoTls,
    /// It does not speak HTTP; one that speaks TLS looks so when it is called by `http`.
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

/// An error and what is behind it, the innermost last.
pub(super) fn causes<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (**error).source())
}

fn obstacle(causes: &[&(dyn StdError + 'static)]) -> Obstacle {
    causes.iter().rev().find_map(|cause| of_cause(*cause)).unwrap_or(Obstacle::Other)
}

fn of_cause(cause: &(dyn StdError + 'static)) -> Option<Obstacle> {
    if let Some(error) = cause.downcast_ref::<rustls::Error>() {
        return of_tls(error);
    }
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        // What an `io::Error` carries is not among its causes, and it may carry another one.
        let carried = error.get_ref().and_then(|inner| of_cause(inner));
        return carried.or_else(|| of_io(error));
    }
    // The types of these are private to the HTTP client.
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
