//! Tests of the server from outside: its router, its sockets and its binary.

#![expect(clippy::unwrap_used, reason = "a failed check panics")]

mod binary;
mod events;
mod exec;
mod harness;
mod limits;
mod link;
mod lists;
mod remote_sessions;
mod rest;
mod satellite_api;
mod sessions;
mod stop;
mod strict;
mod ui;
mod viewers;
