//! The meaning of a 401: which ones reject a key, and which ones come from somewhere else.

use hive_wire::HiveId;
use hive_wire::satellite_api::{ErrorResponse, RejectionClass};

/// The meaning of a 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthRejection {
    /// The satellite's own hive does not accept the key. Only this is a rejection.
    Rejected {
        /// Whether the hive knows the key as replaced.
        is_superseded: bool,
    },
    /// The server is another hive.
    OtherHive(HiveId),
    /// The server is a hive, and the satellite does not know the id of its own: an older agent registered it.
    UnknownHive(HiveId),
    /// The answer comes from something else, such as a proxy.
    NotAHive,
}

impl AuthRejection {
    /// Reads the body of a 401 as a satellite of the hive `known`. `None` is a body that no hive has written.
    pub(super) fn of(body: Option<&ErrorResponse>, known: Option<HiveId>) -> Self {
        let Some(answering) = body.and_then(|body| body.hive_id) else { return Self::NotAHive };
        match (known, body.and_then(|body| body.class.as_ref())) {
            (None, _) => Self::UnknownHive(answering),
            // Compared first: another hive cannot know whether the key is valid.
            (Some(known), _) if known != answering => Self::OtherHive(answering),
            (_, Some(RejectionClass::UnknownKey)) => Self::Rejected { is_superseded: false },
            (_, Some(RejectionClass::Superseded)) => Self::Rejected { is_superseded: true },
            // A class of a later version may be no rejection, and a key that is set aside by mistake costs a token.
            _ => Self::NotAHive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::satellite_api::CallError;
    use hyper::StatusCode;

    #[test]
    fn only_a_401_of_the_own_hive_with_a_known_class_rejects_a_key() {
        let hive = |n| HiveId::new(hive_wire::id::Seed { unix_millis: 1, random: [n; 10] });
        let check = |body: &str, known: Option<HiveId>, expected: Option<AuthRejection>| {
            let error = CallError::Status {
                status: if expected.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN },
                retry_after: None,
                refusal: serde_json::from_str(body).ok().map(Box::new),
            };
            assert_eq!(error.auth_rejection(known), expected, "{body}");
        };
        let body = |class: &str| {
            let start = r#"{"success":false,"error":"auth_invalid","message":"x""#;
            format!(r#"{start},"hive_id":"{}"{class}}}"#, hive(1))
        };
        let (unknown, superseded) = (body(r#","class":"unknown_key""#), body(r#","class":"superseded""#));
        check(&unknown, Some(hive(1)), Some(AuthRejection::Rejected { is_superseded: false }));
        check(&superseded, Some(hive(1)), Some(AuthRejection::Rejected { is_superseded: true }));
        check(&unknown, Some(hive(2)), Some(AuthRejection::OtherHive(hive(1))));
        check(&unknown, None, Some(AuthRejection::UnknownHive(hive(1))));
        check(&body(r#","class":"other_hive""#), Some(hive(1)), Some(AuthRejection::NotAHive));
        check(&body(r#","class":"of a later version""#), Some(hive(1)), Some(AuthRejection::NotAHive));
        check(&body(""), Some(hive(1)), Some(AuthRejection::NotAHive));
        for of_a_proxy in ["<html>", "", r#"{"error":"auth_invalid","message":"x","success":false}"#] {
            check(of_a_proxy, Some(hive(1)), Some(AuthRejection::NotAHive));
        }
        check(&unknown, Some(hive(1)), None);
    }
}
