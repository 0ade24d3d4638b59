//! JSON bodies.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use hive_core::Error;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tokio::time::timeout;

use crate::error::HttpError;

/// How long receiving a body may take. Bodies are small, so a slower one is most likely an attack.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A JSON body. An empty body is an object without fields.
pub(crate) struct Body<T>(pub(crate) T);

/// Reads a body, within the limits of its size and time.
pub(crate) async fn read_body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, HttpError> {
    let read = timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await;
    read.map_err(|_| Error::invalid("body", "was not received in time"))?.map_err(unreadable)
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = HttpError;

    async fn from_request(request: Request, state: &S) -> Result<Self, HttpError> {
        let is_json = is_json(request.headers());
        let bytes = read_body(request, state).await?;
        // Before the check of the type: a POST without a body usually has none.
        if bytes.is_empty() {
            return parse(b"{}").map(Self);
        }
        // Browsers send other types across origins without a preflight request, so accepting them would allow CSRF.
        if !is_json {
            return Err(Error::invalid("Content-Type", "must be application/json").into());
        }
        parse(&bytes).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Parameters such as charset are ignored: JSON is always UTF-8 (RFC 8259, section 8.1).
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn unreadable(rejection: BytesRejection) -> HttpError {
    let BytesRejection::FailedToBufferBody(cause) = rejection else {
        return Error::invalid("body", "could not be read").into();
    };
    match cause {
        FailedToBufferBody::LengthLimitError(_) => {
            Error::PayloadTooLarge("the body is larger than allowed".into()).into()
        }
        _ => Error::invalid("body", "could not be read").into(),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, HttpError> {
    Ok(read_json(bytes, "body")?)
}

/// Reads a JSON object. An error names the field, or `whole` where it is about all of the text.
pub(crate) fn read_json<T: DeserializeOwned>(bytes: &[u8], whole: &str) -> Result<T, Error> {
    // serde would read a struct from a list too.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(Error::invalid(whole, "must be a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let rule = rule_of(error.inner());
        Error::invalid(field_of(&error.path().to_string(), &rule, whole), rule)
    })?;
    json.end().map_err(|error| Error::invalid(whole, rule_of(&error)))?;
    Ok(value)
}

/// The rule that a body breaks, in words for its sender. The position is of use only where the text is no JSON: otherwise the
/// field is named.
fn rule_of(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Data => {
            let text = error.to_string();
            text.rsplit_once(" at line ").map_or(text.clone(), |(rule, _)| rule.to_owned())
        }
        Category::Io | Category::Syntax | Category::Eof => {
            format!("must be one JSON document; the error is at line {}, column {}", error.line(), error.column())
        }
    }
}

/// The field that an error of serde is about. The name of a missing or unknown field is only in the message, and a truncated
/// body has none.
fn field_of(path: &str, message: &str, whole: &str) -> String {
    let quoted = ["missing field `", "unknown field `"].iter().find_map(|start| message.strip_prefix(start));
    let name = quoted.and_then(|rest| rest.split('`').next());
    match (path, name) {
        (".", Some(name)) => name.to_owned(),
        ("." | "?", None) => whole.to_owned(),
        (path, Some(name)) if !path.ends_with(name) => format!("{path}.{name}"),
        (path, _) => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_core::wire::api::{ExecCommand, ExecManyRequest, JobCreate, RegistrationTokenCreate, UserUpdate};

    fn check<T: DeserializeOwned>(body: &str, field: &str) {
        match parse::<T>(body.as_bytes()) {
            Err(HttpError::Hive(Error::InvalidInput { field: named, .. })) => assert_eq!(named, field, "{body}"),
            Err(other) => panic!("{body} gave {other:?}"),
            Ok(_) => panic!("{body} was accepted"),
        }
    }

    #[test]
    fn an_error_names_the_rule_without_words_of_the_parser() {
        let rule = |body: &str| match parse::<ExecCommand>(body.as_bytes()) {
            Err(HttpError::Hive(Error::InvalidInput { rule, .. })) => rule,
            other => panic!("{body} gave {:?}", other.err()),
        };
        assert_eq!(rule("{}"), "missing field `command`");
        assert_eq!(rule("{\"command\":\n1}"), "invalid type: integer `1`, expected a string");
        let no_json = "must be one JSON document; the error is at line 1, column";
        for body in ["{", "{]", r#"{"command":"x"} more"#] {
            assert!(rule(body).starts_with(no_json), "{body}: {}", rule(body));
        }
    }

    #[test]
    fn an_error_names_the_field() {
        check::<ExecCommand>("{}", "command");
        check::<ExecCommand>("nonsense", "body");
        check::<ExecCommand>(r#"["x"]"#, "body");
        check::<ExecCommand>("{", "body");
        check::<ExecCommand>(r#"{"command":"x"} more"#, "body");
        check::<ExecCommand>(r#"{"command":"x","args":["a",1]}"#, "args[1]");
        check::<ExecCommand>(r#"{"command":"x","commmand":"y"}"#, "commmand");
        check::<RegistrationTokenCreate>(r#"{"scope":"galaxy"}"#, "scope");
        check::<UserUpdate>(r#"{"enabeld":false}"#, "enabeld");
    }

    #[test]
    fn an_error_in_a_command_for_several_targets_names_the_field() {
        check::<ExecManyRequest>(r#"{"command":"x"}"#, "targets");
        check::<ExecManyRequest>(r#"{"targets":["all"],"command":5}"#, "command");
        check::<ExecManyRequest>(r#"{"targets":["all"],"command":"x","env":{"A":1}}"#, "env.A");
        check::<ExecManyRequest>(r#"{"targets":["all"],"command":"x","timeout_second":5}"#, "timeout_second");
        check::<ExecManyRequest>(r#"{"targets":["all"],"command":"x","deadline_seconds":5}"#, "deadline_seconds");
        check::<JobCreate>(r#"{"targets":["all"],"command":{"command":"x","args":[1]}}"#, "command.args[0]");
        check::<JobCreate>(r#"{"targets":["all"],"command":{"command":"x"},"cwd":"/"}"#, "cwd");
    }
}
