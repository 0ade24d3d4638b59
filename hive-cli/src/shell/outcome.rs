//! The outcome of the view of a session.

use hive_core::wire::agent::ErrorBody;
use hive_core::wire::api::SessionEnd;

/// How the view of a session ended.
#[derive(Debug)]
pub(crate) enum ViewOutcome {
    /// The program has ended.
    Ended(SessionEnd),
    /// The user detached.
    Detached,
    /// A signal with this number ended the view.
    Signal(i32),
    /// The hive refuses the viewer.
    Refused(ErrorBody),
}
