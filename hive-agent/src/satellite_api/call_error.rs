//! Why a call failed, and whether it may succeed later.

use std::time::Duration;

use hive_wire::HiveId;
use hive_wire::satellite_api::ErrorResponse;
use hyper::StatusCode;

use super::AuthRejection;
use crate::connect_failure::ConnectFailure;
use crate::language::Language;

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum CallError {
    /// There was no answer.
    Unreachable(ConnectFailure),
    /// The answer has an error status.
    Status {
        status: StatusCode,
        retry_after: Option<Duration>,
        /// Its body, if it is an error of a hive.
        refusal: Option<Box<ErrorResponse>>,
    },
}

impl CallError {
    /// Whether the same call may succeed later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            // 429 is how a hive asks its callers to come back later.
            Self::Status { status, .. } => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// The meaning of a 401 for a satellite of the hive `known`.
    pub(crate) fn auth_rejection(&self, known: Option<HiveId>) -> Option<AuthRejection> {
        let Self::Status { status: StatusCode::UNAUTHORIZED, refusal, .. } = self else { return None };
        Some(AuthRejection::of(refusal.as_deref(), known))
    }

    /// The minimum delay that the server asked for.
    pub(crate) fn retry_after(&self) -> Duration {
        match self {
            Self::Status { retry_after, .. } => retry_after.unwrap_or_default(),
            Self::Unreachable(_) => Duration::ZERO,
        }
    }

    /// The cause, for the log.
    pub(crate) fn describe(&self, language: Language) -> String {
        match self {
            Self::Unreachable(failure) => failure.describe(language),
            Self::Status { status, .. } => {
                language.pick(format!("it answers {status}"), format!("er antwortet mit {status}"))
            }
        }
    }
}
