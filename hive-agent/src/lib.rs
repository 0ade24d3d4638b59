//! The satellite: dials out to a hive and runs what it is asked to.
//!
//! In the order in which a command meets them:
//!
//! - [`agent`] puts the parts together; [`config`] is what it needs to know, [`error`] why it cannot go on, and
//!   [`messages`] how a person is told;
//! - `identity` and `registration` make the machine a satellite of its hive: a data directory, a key, a token;
//! - `reconnect` keeps a link up, with [`backoff`] between attempts: `transport` carries it, `protocol` says what is sent;
//! - `dispatch` takes a command from the link: [`policy`] may refuse it, `journal` remembers that it starts, `executors`
//!   run it, `spool` keeps its output, and `storage` says where neither can be written;
//! - `pty` is for terminals what `dispatch` is for commands; in a `dirty_set` both leave word for the link, and
//!   `process_tree` ends what either has started;
//! - `status`, `metrics`, `machine` and `local_api` say how all of this is going.
//!
//! The library reads neither flags nor environment, and prints nothing. What the binary needs for that is the feature
//! `program`, which a program that embeds an agent leaves out.
//!
//! # Example
//!
//! ```no_run
//! use hive_agent::{Agent, Config};
//! use hive_wire::SatelliteName;
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let name = SatelliteName::try_from("web-server-01")?;
//! let mut config = Config::new("https://hive.example.com".parse()?, name, "persistent_data");
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
//! Delivered at least once, executed at most once. The journal's record of a start is on disk before the process exists.
//! Delivered again, a command that runs is attached to, one that ended gives its result again, and one whose end a crash
//! has hidden gives `outcome_unknown`. Timeout and cancel end everything the command started, and so does the end of the
//! agent; background children of commands that ended by themselves are left alone, and what they say is read and dropped.
//!
//! # The contract of a terminal
//!
//! It outlives the link: output and input count their bytes, and go on after a cut where the hive says it stands. While
//! somebody needs its output, its program waits for them; else the last MiB is kept, and what is lost is said to be lost.
//! It ends with its program, when it is told to, and when nobody has come back or used it for too long; then everything
//! in it is ended, and only when that is gone does the hive hear of it. It does not outlive the agent.

#![forbid(unsafe_code)]

pub mod agent;
pub mod backoff;
mod clock;
pub mod config;
mod dirty_set;
mod dispatch;
pub mod error;
mod executors;
mod http;
mod identity;
mod journal;
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
mod spool;
mod status;
mod storage;
#[cfg(test)]
mod tests;
mod transport;

pub use agent::Agent;
pub use config::{Config, WhenRejected};
pub use error::Error;
pub use status::LinkState;
