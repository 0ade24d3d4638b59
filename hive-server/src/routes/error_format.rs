//! The format of the errors of an area.

use axum::response::{IntoResponse, Response};
use hive_core::wire::api::ErrorEnvelope;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use crate::error::HttpError;

/// Schemas by name.
pub(super) type Schemas = Vec<(String, RefOr<Schema>)>;

/// How the errors of an area are written, and their schema.
#[derive(Clone, Copy)]
pub(crate) struct ErrorFormat {
    pub(super) respond: fn(HttpError) -> Response,
    pub(super) schema: fn(&mut Schemas) -> String,
}

impl ErrorFormat {
    /// The errors of the REST API.
    pub(crate) const REST: Self = Self::of::<ErrorEnvelope>(HttpError::into_response);

    /// Errors with bodies of this type.
    pub(crate) const fn of<T: ToSchema>(respond: fn(HttpError) -> Response) -> Self {
        Self { respond, schema: add_schema::<T> }
    }
}

/// Adds a schema and those that it refers to. Returns its name.
pub(super) fn add_schema<T: ToSchema>(schemas: &mut Schemas) -> String {
    let name = T::name().into_owned();
    schemas.push((name.clone(), T::schema()));
    T::schemas(schemas);
    name
}
