//! Commands while they run: what their events add up to, and how it is shown.
//!
//! [`collect`] and [`prefix`] hold the decisions and do no I/O; [`view`] shows, [`follow`] waits.

pub(crate) mod collect;
pub(crate) mod follow;
mod prefix;
pub(crate) mod view;
