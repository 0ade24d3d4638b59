//! Follows running commands and shows them.
//!
//! [`collect`], [`groups`] and [`line_buffer`] hold the decisions and do no I/O. For one satellite, [`follow`] waits
//! for the command and for [`interrupts`], and [`display`] shows it. For several, [`job`] waits under a [`progress`]
//! bar, [`target_results`] reads each result as its target ends, and [`results`] reads all of them at the end.

pub(crate) mod collect;
pub(crate) mod display;
pub(crate) mod follow;
pub(crate) mod groups;
pub(crate) mod interrupts;
pub(crate) mod job;
pub(crate) mod line_buffer;
pub(crate) mod progress;
pub(crate) mod results;
pub(crate) mod target_results;
