//! Each message in both languages.

use super::*;
use hive_wire::SatelliteName;

#[test]
fn a_bad_name_is_explained_in_both_languages() {
    let error = Error::from(SatelliteName::try_from("Short").unwrap_err());
    assert!(explain(&error, Language::English).contains("contains 'S'"));
    assert!(explain(&error, Language::German).contains("enthält 'S'"));
    assert!(explain(&error, Language::German).contains("--name"));
}

fn refused(code: &str, instructions: &str) -> Error {
    Error::Refused(Box::new(ErrorResponse {
        success: false,
        error: code.into(),
        message: format!("said \u{1b}[2J{code}"),
        instructions: instructions.into(),
        hive_id: None,
        class: None,
    }))
}

#[test]
fn every_message_is_distinct_and_says_what_next() {
    let io = || io::Error::other("disk");
    let errors = [
        Error::TokenMissing,
        Error::TokenPlaceholder,
        Error::TokenMalformed,
        Error::KeyRejected,
        Error::DataDir { path: "d".into(), source: io() },
        Error::DataDirInUse("d".into()),
        Error::StoredKey { path: "d".into(), source: io() },
        refused("registration_token_expired", ""),
        refused("registration_token_used", ""),
        refused("registration_token_revoked", "ask again"),
        refused("registration_token_invalid", "look closer"),
        Error::NotAHive { server: "http://x".into(), status: 404 },
    ];
    for language in [Language::English, Language::German] {
        let texts: Vec<_> = errors.iter().map(|error| explain(error, language)).collect();
        for (n, text) in texts.iter().enumerate() {
            assert_eq!(text.lines().count(), 2, "{text}");
            assert!(!texts[..n].contains(text) && !text.contains('\u{1b}'), "{text}");
        }
    }
}
