//! The satellite's end of a link, whatever carries it.

use std::fmt::Debug;

use crate::message::{FromHive, FromSatellite};

/// How a link ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedByHive {
    /// The close code of the hive, if it sent one.
    pub code: Option<u16>,
}

/// The satellite's end of a link.
pub trait SatelliteLink: Send {
    /// Why a message was not taken.
    type Refusal: Debug;

    /// Sends a message. It may wait for [`Self::flush`].
    fn feed(&mut self, message: FromSatellite) -> impl Future<Output = Result<(), Self::Refusal>> + Send;

    /// Sends what waits.
    fn flush(&mut self) -> impl Future<Output = Result<(), Self::Refusal>> + Send;

    /// The next message, or how the link has ended. Cancel-safe.
    fn next(&mut self) -> impl Future<Output = Result<FromHive, ClosedByHive>> + Send;
}
