//! Errors of the libraries as they nest them, and their words.

use super::*;
use rustls::InvalidMessage;

fn check(error: impl StdError + 'static, expected: &ConnectFailure) {
    assert_eq!(&ConnectFailure::of(&error), expected, "{error:?}");
}

#[test]
fn the_innermost_known_cause_decides() {
    check(io::Error::from(ErrorKind::ConnectionRefused), &ConnectFailure::Refused);
    check(SocketError::Io(ErrorKind::ConnectionReset.into()), &ConnectFailure::Closed);
    check(SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake), &ConnectFailure::Closed);
    let unknown = CertificateError::UnknownIssuer;
    let nested = io::Error::other(io::Error::other(rustls::Error::InvalidCertificate(unknown.clone())));
    check(SocketError::Io(nested), &ConnectFailure::Certificate(unknown));
    let no_tls = rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType);
    check(io::Error::new(ErrorKind::InvalidData, no_tls), &ConnectFailure::NoTls);
}

#[test]
fn an_unknown_cause_keeps_its_text() {
    check(io::Error::other("something new"), &ConnectFailure::Other("something new".into()));
    let too_many = io::Error::from_raw_os_error(nix::libc::EMFILE);
    check(SocketError::Io(too_many), &ConnectFailure::Other("Too many open files".into()));
}

#[tokio::test]
async fn a_name_without_an_address_says_so() {
    let error = tokio::net::lookup_host("no-such-host.invalid:80").await.err().unwrap();
    let ConnectFailure::UnknownHost(reason) = ConnectFailure::of_lookup(&error) else { panic!("{error:?}") };
    assert!(!reason.contains("lookup") && !reason.contains("os error"), "{reason}");
}

#[test]
fn a_certificate_is_refused_for_a_reason_in_both_languages() {
    let presented = vec!["DnsName(\"other.example.com\u{1b}[2J\")".to_owned()];
    let expected = rustls::pki_types::ServerName::try_from("hive.example.com").unwrap();
    let errors = [
        CertificateError::UnknownIssuer,
        CertificateError::Expired,
        CertificateError::NotValidYet,
        CertificateError::NotValidForName,
        CertificateError::NotValidForNameContext { expected, presented },
        CertificateError::Revoked,
    ];
    for language in [Language::English, Language::German] {
        let texts: Vec<_> =
            errors.iter().map(|error| ConnectFailure::Certificate(error.clone()).describe(language)).collect();
        for (n, text) in texts.iter().enumerate() {
            assert!(!texts[..n].contains(text) && !text.contains('\u{1b}'), "{text}");
        }
    }
}
