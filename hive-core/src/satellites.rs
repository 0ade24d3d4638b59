//! Satellites: which there are, how they register, and how far their journals have come.

pub(crate) mod journal_check;
pub(crate) mod journal_positions;
pub(crate) mod registration;
pub(crate) mod registry;
pub(crate) mod tags;
mod takeover;
