//! The server from outside: requests to its router, sockets to its address, its binary.

#![expect(clippy::unwrap_used, reason = "a failed check panics")]

mod binary;
mod door;
mod exec;
mod harness;
mod link;
mod rest;
mod satellite_api;
mod sessions;
mod shell;
mod stop;
mod strict;
mod viewers;
