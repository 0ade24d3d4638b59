//! The plain values of arguments and results.
//!
//! They are the bodies of `hive_core::wire::api` in types that every language has: ids and statuses are text, times have the
//! type of the language, and what has no fixed shape is JSON. This is the only list of their fields: the types of Swift and
//! the dataclasses of Python are generated from it, with its documentation.

mod audit;
mod command;
mod command_result;
mod convert;
mod credentials;
mod exec_event;
mod identity;
mod job;
mod satellite;
mod satellite_event;
mod session;
mod terminal_event;
mod text;

use hive_core::wire::api::{Sort, SortColumn};
use hive_core::wire::{agent, api};

use crate::HiveError;

pub use audit::{AuditEntry, AuditFilter, AuditVerification};
pub use command::{Command, PowerAction, Priority};
pub use command_result::{CommandInfo, CommandResult};
pub(crate) use convert::{parse_enum, parse_id};
pub use credentials::{
    ApiKey, ApiKeyOptions, NewApiKey, NewRegistrationToken, RegistrationToken, RegistrationTokenOptions,
};
pub use exec_event::{Channel, ExecEvent};
pub use identity::{Me, NewUser, Team, TeamMember, User};
pub use job::{FanOut, FanOutOptions, Job, JobEvent, JobTarget};
pub use satellite::{Satellite, SatelliteFilter, SatelliteScope, SatelliteUpdate};
pub use satellite_event::SatelliteEvent;
pub use session::{Session, SessionOptions, Size, ViewMode};
pub use terminal_event::TerminalEvent;
pub use text::{Json, JsonObject, Secret};

/// Which part of a list to return.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct PageRequest {
    /// From 1. Pages end at entry 10,000.
    #[uniffi(default = 1)]
    pub page: u32,
    /// The most entries, up to 1000.
    #[uniffi(default = 100)]
    pub per_page: u32,
    /// A column of the list, such as `created_at`, or `-created_at` for the opposite order.
    #[uniffi(default = None)]
    pub sort: Option<String>,
}

impl<C: SortColumn> TryFrom<PageRequest> for api::PageRequest<C> {
    type Error = HiveError;

    fn try_from(PageRequest { page, per_page, sort }: PageRequest) -> Result<Self, HiveError> {
        Ok(Self::numbered(page, per_page).sorted(parse_sort(sort.as_deref())?))
    }
}

/// Parses the order of a list.
pub(crate) fn parse_sort<C: SortColumn>(sort: Option<&str>) -> Result<Option<Sort<C>>, HiveError> {
    sort.map(|sort| parse_id("sort", sort)).transpose()
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
