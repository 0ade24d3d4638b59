//! Commands while they run: what their events add up to, and how it is shown.
//!
//! [`collect`], [`groups`] and [`lines`] hold the decisions and do no I/O. Of one satellite, [`follow`] waits, listening to [`interrupts`], and [`view`]
//! shows; of several, [`job`] waits under a [`progress`] bar, [`ends`] tells what became of each as it ends, and [`results`]
//! of all of them at the end.

pub(crate) mod collect;
pub(crate) mod ends;
pub(crate) mod follow;
pub(crate) mod groups;
pub(crate) mod interrupts;
pub(crate) mod job;
mod lines;
pub(crate) mod progress;
pub(crate) mod results;
pub(crate) mod view;
