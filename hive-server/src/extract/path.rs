//! Path parameters.

use axum::extract::FromRequestParts;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::http::request::Parts;
use hive_core::Error;
use serde::de::DeserializeOwned;

use crate::error::HttpError;

/// A path parameter, or a tuple of them.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
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
        // axum names no key here: the path has a single parameter, and in our routes that is `id`.
        ErrorKind::Message(message) => Error::invalid("id", message.clone()),
        _ => Error::invalid("path", cause.body_text()),
    }
}
