//! What a request carries, parsed once: a body, a query, the parts of a path. What does not parse is `INVALID_INPUT` and
//! names its field.

use std::str::FromStr;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use hive_core::Error;
use hive_core::wire::api::PageRequest;
use hive_core::wire::open::{OpenEnum, known};
use serde::de::value::{Error as WordError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};
use tokio::time::timeout;

use crate::error::Failure;

/// How long a body may take. Bodies are small: one that takes longer is held back on purpose.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A JSON body. No body is an object without fields.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let is_json = is_json(request.headers());
        let read = timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await;
        let bytes = read.map_err(|_| Error::invalid("body", "did not come in time"))?.map_err(unreadable)?;
        if bytes.is_empty() {
            return parse(b"{}").map(Self);
        }
        // A browser sends any other type across origins without asking first.
        if !is_json {
            return Err(Error::invalid("Content-Type", "must be application/json").into());
        }
        parse(&bytes).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn unreadable(rejection: BytesRejection) -> Failure {
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

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    // Every body is one; a struct would be read from a list too.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(Error::invalid("body", "must be a JSON object").into());
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let rule = error.inner().to_string();
        Error::invalid(field_of(&error.path().to_string(), &rule), rule)
    })?;
    json.end().map_err(|error| Error::invalid("body", error.to_string()))?;
    Ok(value)
}

/// The field that a message of serde is about. Of a missing one only the message knows the name, and of a body that ends
/// too soon nobody.
fn field_of(path: &str, message: &str) -> String {
    let quoted = ["missing field `", "unknown field `"].iter().find_map(|start| message.strip_prefix(start));
    let name = quoted.and_then(|rest| rest.split('`').next());
    match (path, name) {
        (".", Some(name)) => name.to_owned(),
        ("." | "?", None) => "body".to_owned(),
        (path, Some(name)) if !path.ends_with(name) => format!("{path}.{name}"),
        (path, _) => path.to_owned(),
    }
}

/// The variable part of a path.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|path| Self(path.0)).map_err(|rejection| wrong_path(rejection).into())
    }
}

fn wrong_path(rejection: PathRejection) -> Error {
    let PathRejection::FailedToDeserializePathParams(cause) = rejection else {
        return Error::internal(rejection);
    };
    match cause.kind() {
        ErrorKind::DeserializeError { key, message, .. } => Error::invalid(key.clone(), message.clone()),
        ErrorKind::ParseErrorAtKey { key, expected_type, .. } => {
            Error::invalid(key.clone(), format!("not a {expected_type}"))
        }
        ErrorKind::Message(message) => Error::invalid("id", message.clone()),
        _ => Error::invalid("path", cause.body_text()),
    }
}

/// A query, by name.
#[derive(Default)]
pub(crate) struct Pairs(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Pairs {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let query = Query::try_from_uri(&parts.uri);
        query.map(|query| Self(query.0)).map_err(|error| Error::invalid("query", error.body_text()).into())
    }
}

impl Pairs {
    /// All values of this name.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|pair| pair.0 == name).map(|pair| pair.1.clone()).collect()
    }

    /// The text of this name.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|pair| pair.0 == name).map(|pair| pair.1.as_str())
    }

    /// The number, id, time … of this name.
    pub(crate) fn value<T: FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<Option<T>, Error> {
        let read = |text: &str| text.parse().map_err(|error: T::Err| Error::invalid(name, error.to_string()));
        self.text(name).map(read).transpose()
    }

    /// The word of an enum of this name, to which other versions may add.
    pub(crate) fn known<T: OpenEnum>(&self, name: &str) -> Result<Option<T>, Error> {
        let read = |text: &str| {
            let word: StrDeserializer<'_, WordError> = text.into_deserializer();
            known(word).map_err(|error| Error::invalid(name, error.to_string()))
        };
        self.text(name).map(read).transpose()
    }

    /// The word of an enum of this name.
    pub(crate) fn word<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let read = |text: &str| {
            let word: StrDeserializer<'_, WordError> = text.into_deserializer();
            T::deserialize(word).map_err(|error| Error::invalid(name, error.to_string()))
        };
        self.text(name).map(read).transpose()
    }
}

/// Which page of a list is wanted: `page` and `per_page`.
pub(crate) struct Paging(pub(crate) PageRequest);

impl<S: Send + Sync> FromRequestParts<S> for Paging {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let pairs = Pairs::from_request_parts(parts, state).await?;
        let default = PageRequest::default();
        let page = pairs.value("page")?.unwrap_or(default.page);
        let per_page = pairs.value("per_page")?.unwrap_or(default.per_page);
        Ok(Self(PageRequest { page, per_page }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_core::wire::api::{ExecCommand, ExecManyRequest, JobCreate, RegistrationTokenCreate, UserUpdate};

    fn check<T: DeserializeOwned>(body: &str, field: &str) {
        match parse::<T>(body.as_bytes()) {
            Err(Failure::Hive(Error::InvalidInput { field: named, .. })) => assert_eq!(named, field, "{body}"),
            Err(other) => panic!("{body} gave {other:?}"),
            Ok(_) => panic!("{body} was accepted"),
        }
    }

    #[test]
    fn what_is_wrong_with_a_body_is_named() {
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
    fn what_is_wrong_with_a_command_for_many_is_named_too() {
        check::<ExecManyRequest>(r#"{"command":"x"}"#, "targets");
        check::<ExecManyRequest>(r#"{"targets":["all"],"command":5}"#, "command");
        check::<ExecManyRequest>(r#"{"targets":["all"],"command":"x","env":{"A":1}}"#, "env.A");
        check::<ExecManyRequest>(r#"{"targets":["all"],"command":"x","timeout_second":5}"#, "timeout_second");
        check::<ExecManyRequest>(r#"{"targets":["all"],"command":"x","deadline_seconds":5}"#, "deadline_seconds");
        check::<JobCreate>(r#"{"targets":["all"],"command":{"command":"x","args":[1]}}"#, "command.args[0]");
        check::<JobCreate>(r#"{"targets":["all"],"command":{"command":"x"},"cwd":"/"}"#, "cwd");
    }
}
