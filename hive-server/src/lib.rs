//! The hive on the network: REST, the HTTPS API for satellites and the agent WebSocket.
//!
//! The modules, in the order in which a request passes them:
//!
//! - [`config`]: addresses, trusted proxies, limits, and the flags that set them;
//! - [`origins`]: the names under which browsers reach the hive;
//! - [`server`] accepts connections and shuts down; `read_ahead` is one of them, `limits` bounds what callers may use;
//! - [`router()`] finds the handler by the tables of `routes`, `auth` authenticates the caller, `extract` parses body, query and path;
//! - `rest`, `satellites` and `ws` are the three edges: each parses a request, calls the hive as a principal and maps the
//!   result;
//! - `error` maps errors to responses, `ws::close` to close codes;
//! - `health` answers probes; [`log`] sets up the log.
//!
//! The server decides nothing: permissions and effects are in `hive-core`. No edge calls another.

#![forbid(unsafe_code)]

pub mod config;
pub mod log;
pub mod server;
pub mod state;

mod auth;
mod error;
mod extract;
mod health;
mod limits;
pub mod origins;
mod read_ahead;
mod rest;
mod router;
mod routes;
mod satellites;
mod ws;

pub use config::{Config, Limits};
pub use limits::RefusedCalls;
pub use router::router;
pub use server::{BindError, Server, serve};
pub use state::AppState;
