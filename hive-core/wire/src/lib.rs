//! The messages between satellites, servers and clients of a hive.
//!
//! The modules, in the order in which a command passes them:
//!
//! - [`open`] makes the enums of words to which other versions may add;
//! - [`with_setters`] makes structs to which fields may be added;
//! - [`id`] names every thing by a type of its own, [`name`] and [`time`] are the other words all messages share;
//! - [`group_name`] and [`tag_query`] are the words by which a caller means several satellites;
//! - [`credential`] is the shape of API keys and registration tokens, [`permission`] the permissions that they may be limited to;
//! - `command` and `terminal` are the words and shapes that the REST interface and the link share;
//! - [`api`] holds the bodies and queries of the REST interface, [`query`] reads and writes the queries, and [`code`] is the
//!   error codes;
//! - [`escape`] makes text from elsewhere harmless where it is shown;
//! - [`satellite_api`] holds the bodies satellites exchange over plain HTTPS;
//! - [`agent`] holds the control messages of the link between server and satellite;
//! - [`session`] holds the messages between a server and whoever looks at a terminal, [`ui`] those of the UI socket;
//! - [`frame`] is the binary envelope of the data on that link, [`stream`] the state machines that send and receive
//!   one stream of it: credit, offsets, resume and priority;
//! - `schema` (feature `openapi`) has the schemas of types that serde reads by code of their own, and of texts with a rule; the others
//!   derive theirs;
//! - [`backoff`] says when a lost server is dialled again.
//!
//! Nothing here does I/O, reads a clock or spawns a task, so that the same code serves a WebSocket, HTTPS polling,
//! an in-memory link and a fuzzer.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod agent;
pub mod api;
pub mod backoff;
pub mod code;
mod command;
pub mod credential;
pub mod escape;
pub mod frame;
pub mod group_name;
pub mod id;
pub mod name;
mod name_rule;
pub mod open;
pub mod permission;
pub mod query;
pub mod satellite_api;
#[cfg(feature = "openapi")]
pub mod schema;
pub mod session;
mod setters;
pub mod stream;
pub mod tag_query;
mod terminal;
pub mod time;
pub mod ui;

pub use code::ErrorCode;
pub use group_name::{GroupName, InvalidGroupName};
pub use id::{
    ApiKeyId, AuditId, CommandId, GroupId, HiveId, JobId, RegistrationTokenId, SatelliteId, SessionId, TeamId, UserId,
    ViewerId,
};
pub use name::{InvalidName, SatelliteName};
pub use permission::Permission;
pub use tag_query::{InvalidTagQuery, TagQuery};
pub use time::Timestamp;
