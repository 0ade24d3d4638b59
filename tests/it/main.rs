//! What only the parts together can show: real servers, satellites and command lines, driven from outside.
//!
//! Each module is one subject, each test makes its own hive.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a failed check panics")]

mod allow_lists;
mod api_keys;
mod audit;
mod backup;
mod bad_days;
mod behaviour;
mod chaos;
mod clones;
mod command_line;
mod crash;
mod database;
mod driven;
mod events;
mod every_endpoint;
mod exec;
mod fanout;
mod faults;
mod fuzz;
mod groups;
mod idempotency;
mod jobs;
mod keys;
mod later;
mod link;
mod local;
mod lost;
mod queue;
mod rates;
mod registration;
mod retention;
mod rogue;
mod schemathesis;
mod secrets;
mod sessions;
mod shutdown;
mod storm;
mod support;
mod teams;
mod telemetry;
mod tenancy;
mod ui;
