//! The other side of each connection, for tests of every level: what a satellite, a hive and a caller say.
//!
//! - [`FakeSatellite`] is what a hive talks to, over a WebSocket or any other link;
//! - [`FakeHive`] is what agents and command lines call;
//! - [`Rest`] calls a server over HTTP, [`UiClient`] holds the UI socket of one;
//! - [`until`] waits for a condition: nothing here waits for a time.
//!
//! This crate knows the messages of hive-wire and nothing of a hive or an agent. The unit tests of hive-core can therefore use
//! it: types of hive-core that come through another crate would be other types than those under test.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a failed check panics")]

pub mod hive;
mod message;
mod rest;
pub mod satellite;
mod ui;
mod wait;

pub use hive::FakeHive;
pub use message::{FromHive, FromSatellite};
pub use rest::{Answer, Call, Rest, StreamedEvents};
pub use satellite::FakeSatellite;
pub use ui::{ClosedByServer, UiClient};
pub use wait::{PATIENCE, until, until_some};
