//! Commands while they run: what their events add up to, and how it is shown.
//!
//! [`collect`], [`groups`] and [`lines`] hold the decisions and do no I/O. Of one satellite, [`follow`] waits and [`view`]
//! shows; of several, [`job`] waits and [`results`] reads what became of each and shows it.

pub(crate) mod collect;
pub(crate) mod follow;
pub(crate) mod groups;
pub(crate) mod job;
mod lines;
pub(crate) mod results;
pub(crate) mod view;
