//! Why a server cannot be reached, in words for people.
//!
//! The libraries for HTTP, TLS and WebSockets nest their errors in each other. The innermost one that is known here
//! decides: "connection refused" says more than "error sending request".

use std::error::Error as StdError;
use std::io::{self, ErrorKind};

use hive_wire::escape::{self, error_chain};
use rustls::CertificateError;
use tokio_tungstenite::tungstenite::error::{Error as SocketError, ProtocolError};

use crate::language::Language;
use crate::system_error;

/// What stands between this machine and the server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ConnectFailure {
    /// The name of the host has no address, for this reason.
    UnknownHost(String),
    /// Nothing listens there.
    Refused,
    /// The network leads nowhere near it.
    NoRoute,
    /// There was no answer in time.
    TimedOut,
    /// The connection was closed.
    Closed,
    /// The certificate is not one that this machine trusts.
    Certificate(CertificateError),
    /// It does not speak TLS, and was called by `https`.
    NoTls,
    /// It does not speak HTTP; one that speaks TLS looks so when it is called by `http`.
    NoHttp,
    /// Something else.
    Other(String),
}

impl ConnectFailure {
    /// Finds the failure behind an error of a library.
    pub(crate) fn of(error: &(dyn StdError + 'static)) -> Self {
        let causes: Vec<_> = std::iter::successors(Some(error), |error| (**error).source()).collect();
        let known = causes.iter().rev().find_map(|cause| of_cause(*cause));
        known.unwrap_or_else(|| Self::Other(error_chain(error)))
    }

    /// The failure of a lookup of the host's name.
    pub(crate) fn of_lookup(error: &io::Error) -> Self {
        // The resolver says whether the name is unknown or the resolver itself does not answer.
        let text = system_error::text(error);
        Self::UnknownHost(text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_owned())
    }

    /// Returns what stands in the way, as the second half of a sentence about the server.
    pub(crate) fn describe(&self, language: Language) -> String {
        match self {
            Self::UnknownHost(reason) => language.pick(
                format!("its host name cannot be resolved ({reason})"),
                format!("sein Name lässt sich nicht auflösen ({reason})"),
            ),
            Self::Refused => language.pick(
                "nothing listens there (connection refused)",
                "dort lauscht kein Programm (Verbindung abgelehnt)",
            ),
            Self::NoRoute => language.pick("the network has no route to it", "das Netz hat keinen Weg dorthin"),
            Self::TimedOut => language.pick("it does not answer in time", "er antwortet nicht rechtzeitig"),
            Self::Closed => language.pick("it closed the connection", "er hat die Verbindung geschlossen"),
            Self::Certificate(error) => {
                let reason = certificate_fault(error, language);
                language.pick(
                    format!("its TLS certificate is not accepted: {reason}"),
                    format!("sein TLS-Zertifikat wird nicht angenommen: {reason}"),
                )
            }
            Self::NoTls => language.pick(
                "it does not speak TLS on this port; the address may have to begin with http://",
                "er spricht auf diesem Port kein TLS; vielleicht muss die Adresse mit http:// beginnen",
            ),
            Self::NoHttp => language.pick(
                "it does not speak HTTP on this port; the address may have to begin with https://",
                "er spricht auf diesem Port kein HTTP; vielleicht muss die Adresse mit https:// beginnen",
            ),
            Self::Other(text) => text.clone(),
        }
    }
}

fn of_cause(cause: &(dyn StdError + 'static)) -> Option<ConnectFailure> {
    if let Some(error) = cause.downcast_ref::<rustls::Error>() {
        return Some(of_tls(error));
    }
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        // The payload of an `io::Error` is not among its causes, and may be another `io::Error`.
        let of_payload = error.get_ref().and_then(|payload| of_cause(payload));
        return of_payload.or_else(|| of_io(error));
    }
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        return of_http(error);
    }
    if let Some(SocketError::Protocol(error)) = cause.downcast_ref() {
        return of_websocket(error);
    }
    // The type of a failed lookup is private to the HTTP client.
    if cause.to_string() == "dns error" {
        let reason = cause.source().map(|source| io::Error::other(source.to_string()));
        return Some(ConnectFailure::of_lookup(&reason.unwrap_or_else(|| io::Error::other("no address"))));
    }
    None
}

fn of_tls(error: &rustls::Error) -> ConnectFailure {
    match error {
        rustls::Error::InvalidCertificate(error) => ConnectFailure::Certificate(error.clone()),
        // The first bytes of the answer are not those of TLS.
        rustls::Error::InvalidMessage(_) => ConnectFailure::NoTls,
        error => ConnectFailure::Other(format!("the TLS handshake failed: {error}")),
    }
}

fn of_io(error: &io::Error) -> Option<ConnectFailure> {
    match error.kind() {
        ErrorKind::ConnectionRefused => Some(ConnectFailure::Refused),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            Some(ConnectFailure::NoRoute)
        }
        ErrorKind::TimedOut => Some(ConnectFailure::TimedOut),
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => Some(ConnectFailure::Closed),
        _ => error.raw_os_error().map(|_| ConnectFailure::Other(system_error::text(error))),
    }
}

fn of_http(error: &hyper::Error) -> Option<ConnectFailure> {
    if error.is_parse() {
        Some(ConnectFailure::NoHttp)
    } else if error.is_incomplete_message() || error.is_closed() {
        Some(ConnectFailure::Closed)
    } else {
        None
    }
}

fn of_websocket(error: &ProtocolError) -> Option<ConnectFailure> {
    match error {
        ProtocolError::HttparseError(_) => Some(ConnectFailure::NoHttp),
        ProtocolError::ResetWithoutClosingHandshake | ProtocolError::HandshakeIncomplete => {
            Some(ConnectFailure::Closed)
        }
        _ => None,
    }
}

fn certificate_fault(error: &CertificateError, language: Language) -> String {
    match error {
        CertificateError::UnknownIssuer => language.pick(
            "no authority that this machine trusts has issued it",
            "keine Stelle, der diese Maschine vertraut, hat es ausgestellt",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => language.pick(
            "it has expired, or the clock of this machine is wrong",
            "es ist abgelaufen, oder die Uhr dieser Maschine geht falsch",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => language.pick(
            "it is not valid yet, or the clock of this machine is wrong",
            "es ist noch nicht gültig, oder die Uhr dieser Maschine geht falsch",
        ),
        CertificateError::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
            let names = presented.join(", ");
            // The names come from whoever answers, who may not be the hive.
            let names = escape::text(&names);
            language
                .pick(format!("it is for another host ({names})"), format!("es gilt für einen anderen Namen ({names})"))
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            language.pick("it is for another host", "es gilt für einen anderen Namen")
        }
        CertificateError::Revoked => language.pick("it is revoked", "es wurde widerrufen"),
        // The verifier's own errors have no variant. This one is what `openssl req -x509` leads to.
        CertificateError::Other(error) if format!("{error:?}").contains("CaUsedAsEndEntity") => language.pick(
            "it is the certificate of an authority, such as a self-signed one, and not that of a server",
            "es ist das Zertifikat einer Zertifizierungsstelle, etwa ein selbst unterschriebenes, und nicht das eines Servers",
        ),
        error => language.pick(format!("it is invalid ({error})"), format!("es ist ungültig ({error})")),
    }
}

#[cfg(test)]
mod tests;
