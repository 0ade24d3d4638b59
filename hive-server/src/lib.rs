//! The hive on the network: REST, the HTTPS API for satellites and the agent WebSocket.
//!
//! In the order in which a call meets them:
//!
//! - [`config`] says where to listen, whom to trust and how much of everything is too much;
//! - [`server`] accepts connections and ends them again; `limits` says how many strangers may wait in it;
//! - [`routes`] finds the handler, `extract` parses what came, `auth` says who is calling and from where;
//! - `rest`, `satellites` and `ws` are the three edges: each parses, calls the hive as somebody, and maps the answer;
//! - `error` is where an error becomes an answer, `ws::close` where it becomes a close code;
//! - [`telemetry`] writes the log.
//!
//! Nothing here decides: who may do what, and what happens then, is said by `hive-core`. No edge calls another.

#![forbid(unsafe_code)]

pub mod config;
pub mod routes;
pub mod server;
pub mod state;
pub mod telemetry;

mod auth;
mod error;
mod extract;
mod health;
mod limits;
mod rest;
mod satellites;
mod ws;

pub use config::{Config, Limits};
pub use routes::router;
pub use server::{BindError, Server, serve};
pub use state::AppState;
