//! What a request carries, parsed once: a body, a query, the parts of a path. What does not parse is `INVALID_INPUT` and
//! names its field.

mod body;
mod idempotency;
mod path;
mod query;

pub(crate) use self::body::Body;
pub(crate) use self::idempotency::idempotency_key;
pub(crate) use self::path::Path;
pub(crate) use self::query::{Paging, Pairs};
