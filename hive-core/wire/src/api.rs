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
mod list;
mod query;
mod satellite;
mod session;
mod sort;
mod target;
mod team;

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
    RegistrationTokenCreate, RegistrationTokenInfo, RevokedWork, Role, TokenScope, User, UserCreate, UserUpdate,
};
pub use job::{Job, JobCounts, JobCreate, JobEvent, JobStatus, JobTarget};
pub use list::{InvalidSort, MAX_PER_PAGE, Page, PageRequest, Pagination, Sort, SortColumn};
pub use query::{
    ApiKeyFilter, CommandQuery, EventQuery, ExecManyQuery, ExecQuery, OutputQuery, SatelliteListQuery,
    SatelliteSessionsQuery, StatusFilter,
};
pub use satellite::{Satellite, SatelliteEvent, SatelliteFilter, SatelliteStatus, SatelliteType, SatelliteUpdate};
pub use session::{Session, SessionCreate, SessionFilter, SessionInput, SessionStatus};
pub use sort::{
    ApiKeySort, AuditSort, CommandSort, GroupSort, JobSort, JobTargetSort, RegistrationTokenSort, SatelliteSort,
    SessionSort, TagSort, TeamMemberSort, TeamSort, UserSort,
};
pub use target::{InvalidTarget, Target};
pub use team::{AllowList, AllowListUpdate, Team, TeamCreate, TeamMember, TeamMemberPut, TeamRole, TeamUpdate};

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
