//! Texts that satellites report: cut to a length that is safe to store.

use hive_wire::ErrorCode;
use hive_wire::agent::{ErrorBody, SystemInfo};

/// Characters of any text that a satellite reports of itself or of an error.
const MAX_TEXT: usize = 1024;

/// Returns the first 1,024 characters of a text.
pub(crate) fn cut(text: String) -> String {
    if text.chars().count() > MAX_TEXT { text.chars().take(MAX_TEXT).collect() } else { text }
}

/// An error as a satellite reports it, with a code that a satellite may report.
pub(crate) fn known_error(error: ErrorBody) -> ErrorBody {
    ErrorBody { code: known_code(error.code), message: cut(error.message) }
}

/// What a machine reports of itself, each text cut.
pub(crate) fn cut_system_info(system: SystemInfo) -> SystemInfo {
    let SystemInfo { hostname, os, os_version, arch, kernel, .. } = system;
    SystemInfo {
        hostname: cut(hostname),
        os: cut(os),
        os_version: cut(os_version),
        arch: cut(arch),
        kernel: cut(kernel),
        ..system
    }
}

fn known_code(code: ErrorCode) -> ErrorCode {
    match code {
        // A satellite must not claim a fault of the hive or of the caller, such as `AUTH_INVALID`.
        ErrorCode::CommandBlocked
        | ErrorCode::InvalidInput
        | ErrorCode::CommandTimeout
        | ErrorCode::RateLimited
        | ErrorCode::Unavailable
        | ErrorCode::Unsupported => code,
        ErrorCode::Unknown(word) if is_code(&word) => ErrorCode::Unknown(word),
        _ => ErrorCode::Internal,
    }
}

/// Returns whether a code of another version has the form of one.
fn is_code(word: &str) -> bool {
    word.len() <= 64 && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}
