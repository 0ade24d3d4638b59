//! The satellite agent: connects to a hive and runs the commands and sessions that the hive asks for.
//!
//! The modules, in the order in which a command passes through them:
//!
//! - [`agent`] assembles the parts. [`config`] holds the settings, [`error`] the reasons why an agent cannot start or
//!   continue, and [`messages`] their explanations for people.
//! - `identity` and `registration` make the machine a satellite of its hive: data directory, API keys, registration
//!   token. `satellite_api` is the client of the HTTPS calls for that.
//! - `reconnect` keeps a link open, with a backoff between attempts. `protocol` is the link without its socket,
//!   `transport` the socket.
//! - `dispatcher` accepts a command from the link: [`policy`] may refuse it, `journal` records its start, `executors`
//!   run it, `spool` keeps its output. `storage` handles files and full disks for all of them.
//! - `pty` does for terminal sessions what `dispatcher` does for commands. Both report progress to the link through a
//!   `dirty_set`. `process_tree` ends the processes that either has started.
//! - `status`, `metrics`, `machine` and `local_api` report the state of the agent. `connect_failure` and `system_error`
//!   put the errors of libraries and of the system into words.
//!
//! The library reads neither flags nor environment, and prints nothing. The feature `program` adds what the binary
//! needs for that; a program that embeds an agent leaves it out.
//!
//! # Example
//!
//! ```no_run
//! use hive_agent::{Agent, AgentConfig};
//! use hive_wire::SatelliteName;
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let name = SatelliteName::try_from("web-server-01")?;
//! let mut config = AgentConfig::new("https://hive.example.com".parse()?, name, "persistent_data");
//! config.registration_token = Some("hive_satellite_global_…".into());
//! let agent = Agent::connect(config).await?;
//! println!("registered as {}", agent.satellite_id());
//! agent.run(CancellationToken::new()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # The contract of a command
//!
//! A command is delivered at least once and executed at most once. The journal's record of the start is on disk before
//! the process exists. On redelivery, a running command is attached to, a finished one sends its stored result again,
//! and one that was started by an agent that crashed results in `outcome_unknown`. Timeout, cancel and the end of the
//! agent end every process that the command started. Background children of a command that ended by itself are left
//! running; their output is read and dropped.
//!
//! # The contract of a session
//!
//! A session outlives the link. Output and input are counted in bytes, and both resume after a disconnect at the offset
//! that the hive states. While a viewer holds a claim on the output, the program waits for that viewer. Otherwise the
//! last MiB is kept, and dropped bytes are reported as a gap. A session ends with its program, on request, and when it
//! was unused or without a link for too long. Its processes are ended first, and only then is the end reported to the
//! hive. A session does not outlive the agent.

#![forbid(unsafe_code)]

pub mod agent;
mod clock;
pub mod config;
mod connect_failure;
mod dirty_set;
mod dispatcher;
pub mod error;
mod executors;
mod http;
mod identity;
mod journal;
mod language;
mod local_api;
mod machine;
pub mod messages;
mod metrics;
pub mod policy;
mod process_tree;
mod protocol;
mod pty;
mod random;
mod reconnect;
mod registration;
mod satellite_api;
mod spool;
mod status;
mod storage;
mod system_error;
#[cfg(test)]
mod tests;
mod transport;

pub use agent::Agent;
pub use config::{AgentConfig, KeyRejectionPolicy};
pub use error::Error;
pub use language::Language;
pub use status::LinkState;
