//! What goes over a link, in both directions.

use hive_wire::agent::{ToAgent, ToServer};
use hive_wire::frame::Frame;

/// A message of a satellite.
#[derive(Debug, Clone, PartialEq)]
pub enum FromSatellite {
    /// A control message.
    Control(ToServer),
    /// A data frame.
    Frame(Frame),
}

/// A message of a hive.
#[derive(Debug, Clone, PartialEq)]
pub enum FromHive {
    /// A control message.
    Control(ToAgent),
    /// A data frame.
    Frame(Frame),
}

impl From<ToServer> for FromSatellite {
    fn from(message: ToServer) -> Self {
        Self::Control(message)
    }
}

impl From<Frame> for FromSatellite {
    fn from(frame: Frame) -> Self {
        Self::Frame(frame)
    }
}
