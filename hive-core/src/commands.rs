//! Commands: stored, queued, handed to links, and what becomes of them.

pub(crate) mod dispatch;
pub(crate) mod in_flight;
pub(crate) mod payload;
pub(crate) mod queue;
pub(crate) mod result;
mod revocation;
pub(crate) mod service;
