//! What goes in and comes out, as plain values.
//!
//! They are the bodies of `hive_core::wire::api` in the types that every language has: ids and status words are text, times
//! are the language's own, and what has no fixed shape is JSON.

mod audit;
mod command;
mod convert;
mod identity;
mod job;
mod satellite;
mod session;

use hive_core::wire::{agent, api};

pub use audit::{AuditEntry, AuditFilter, AuditVerification};
pub use command::{Channel, Command, CommandInfo, CommandResult, ExecEvent, PowerAction, Priority};
pub(crate) use convert::{parse_enum, parse_id};
pub use identity::{ApiKey, Me, NewApiKey, NewRegistrationToken, NewUser, RegistrationToken, Team, TeamMember, User};
pub use job::{FanOut, FanOutOptions, Job, JobEvent, JobTarget};
pub use satellite::{Satellite, SatelliteEvent, SatelliteFilter, SatelliteScope, SatelliteUpdate};
pub use session::{Session, SessionOptions, Size, TerminalEvent, ViewMode};

/// Which part of a list to return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct PageRequest {
    /// From 1.
    #[uniffi(default = 1)]
    pub page: u32,
    /// The most entries, up to 1000.
    #[uniffi(default = 100)]
    pub per_page: u32,
}

impl From<PageRequest> for api::PageRequest {
    fn from(PageRequest { page, per_page }: PageRequest) -> Self {
        Self { page, per_page }
    }
}

/// Why something failed that did not raise an error: the reason is part of a result.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct ErrorBody {
    /// For programs, such as `SATELLITE_OFFLINE`.
    pub code: String,
    /// For people.
    pub message: String,
}

impl From<agent::ErrorBody> for ErrorBody {
    fn from(agent::ErrorBody { code, message }: agent::ErrorBody) -> Self {
        Self { code: code.as_str().to_owned(), message }
    }
}
