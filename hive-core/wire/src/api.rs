//! Bodies of the REST interface `/api/v1`, and what the service traits take and return.

mod api_key;
mod audit;
mod command;
mod command_end;
mod event;
mod exec_body;
mod group;
mod identity;
mod job;
mod query;
mod satellite;
mod session;
mod target;

use serde::{Deserialize, Serialize};

use crate::ErrorCode;
use crate::code::ErrorBody;

pub use crate::command::{CommandEnd, CommandStatus, CommandType, PowerAction};
pub use crate::terminal::{EndReason, MAX_SCREEN, SessionEnd, Size};
pub use api_key::{ApiKeyCreate, ApiKeyInfo, ApiKeyRotate, NewApiKey};
pub use audit::{
    Actor, AuditEntry, AuditExportLine, AuditManifest, AuditQuery, AuditResult, AuditTarget, AuditVerification,
    ChainFault,
};
pub use command::{
    CommandInfo, ExecCommand, ExecEvent, ExecManyRequest, ExecResult, MAX_IN_FLIGHT, OutputEncoding, PowerRequest,
    Priority, TargetStatus,
};
pub use event::{EventCursor, EventCursorError, Resync};
pub use group::{
    ExecGroupRequest, Group, GroupCreate, GroupDetails, GroupFilter, GroupRef, GroupUpdate, MAX_GROUP_MEMBERS,
    TagCount, TagFilter,
};
pub use identity::{
    Changed, LoginRequest, LoginResponse, Me, NewPassword, NewRegistrationToken, NewUser, PasswordChange, PlatformRole,
    RegistrationTokenCreate, RegistrationTokenInfo, RevokedWork, Role, Team, TeamCreate, TeamMember, TeamMemberPut,
    TeamRole, TokenScope, User, UserCreate, UserUpdate,
};
pub use job::{Job, JobCounts, JobCreate, JobEvent, JobStatus, JobTarget};
pub use query::{
    ApiKeyFilter, CommandQuery, EventQuery, ExecManyQuery, ExecQuery, OutputQuery, SatelliteListQuery,
    SatelliteSessionsQuery, StatusFilter,
};
pub use satellite::{Satellite, SatelliteEvent, SatelliteFilter, SatelliteStatus, SatelliteType, SatelliteUpdate};
pub use session::{Session, SessionCreate, SessionFilter, SessionInput, SessionStatus};
pub use target::{InvalidTarget, Target};

/// A successful answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// Always true.
    pub success: bool,
    /// The data of the answer.
    pub data: T,
    /// Where `data` is one page of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pagination: Option<Pagination>,
}

impl<T> Envelope<T> {
    /// Wraps an answer that is no list page.
    pub fn new(data: T) -> Self {
        Self { success: true, data, pagination: None }
    }
}

/// The part of a list that an answer contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pagination {
    /// From 1.
    pub page: u32,
    /// The most entries of a page.
    pub per_page: u32,
    /// Entries of the whole list.
    pub total: u64,
    /// Pages of the whole list.
    pub total_pages: u64,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Entries of the whole list.
    pub total: u64,
    /// From 1.
    pub page: u32,
    /// The most entries of a page.
    pub per_page: u32,
}

impl<T> Page<T> {
    /// The page as an answer.
    pub fn into_envelope(self) -> Envelope<Vec<T>> {
        let pagination = Pagination {
            page: self.page,
            per_page: self.per_page,
            total: self.total,
            total_pages: self.total.div_ceil(u64::from(self.per_page.max(1))),
        };
        Envelope { success: true, data: self.items, pagination: Some(pagination) }
    }
}

/// The request for a page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct PageRequest {
    /// From 1.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub page: u32,
    /// 1 to 1,000 ([`PageRequest::MAX_PER_PAGE`]).
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1000))]
    pub per_page: u32,
}

impl PageRequest {
    /// The most entries of a page.
    pub const MAX_PER_PAGE: u32 = 1000;
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { page: 1, per_page: 20 }
    }
}

/// A failed answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorEnvelope {
    /// Always false.
    pub success: bool,
    /// The error.
    pub error: ApiError,
}

/// The error of a failed answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[error("{message}")]
pub struct ApiError {
    /// The stable code of the error.
    pub code: ErrorCode,
    /// A message for people. It may change between versions.
    pub message: String,
    /// The field that broke a rule, the id of the command that goes on, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<serde_json::Value>,
}

impl From<ApiError> for ErrorBody {
    fn from(error: ApiError) -> Self {
        Self { code: error.code, message: error.message }
    }
}

impl From<String> for ApiError {
    fn from(message: String) -> Self {
        Self { code: ErrorCode::Unknown("UNKNOWN".into()), message, details: None }
    }
}

impl From<&str> for ApiError {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}
