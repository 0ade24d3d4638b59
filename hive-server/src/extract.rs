//! Extractors: body, query and path are parsed once, here. An input that does not parse is `INVALID_INPUT` with the name of
//! its field.

mod body;
mod idempotency;
mod path;
mod query;

pub(crate) use self::body::{Body, read_body, read_json};
pub(crate) use self::idempotency::idempotency_key;
pub(crate) use self::path::Path;
pub(crate) use self::query::{Query, query_pairs};
