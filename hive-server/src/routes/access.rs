//! Who may call an operation.

use hive_core::access::Permission;
use hive_core::hive::AccessObject;
use serde_json::{Value, json};

/// The extension of an operation in the document that says who may call it.
pub(super) const ACCESS_EXTENSION: &str = "x-hive-access";

/// Who may call an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody. Nobody is authenticated.
    Public,
    /// Every authenticated user, for what is theirs.
    Person,
    /// Satellites, which authenticate in the handler: by their API key, or by a registration token.
    Satellite,
    /// A user with this permission.
    Permission(Permission, Reach),
}

/// What a permission must cover, and where a caller without it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The hive as a whole.
    Platform,
    /// The rows of the answer: a caller gets those on which the permission is theirs, which may be none.
    Visible,
    /// What the body or the query names. A caller who has the permission nowhere is refused.
    Anywhere,
    /// The caller's own things.
    Own,
    /// The satellite in the path.
    Satellite,
    /// The command in the path.
    Command,
    /// The job in the path.
    Job,
    /// The session in the path.
    Session,
    /// The group in the path.
    Group,
    /// The team in the path.
    Team,
    /// The user in the path.
    User,
    /// The API key in the path, which is the caller's own.
    ApiKey,
    /// The registration token in the path.
    RegistrationToken,
    /// The audit record in the path.
    AuditRecord,
}

impl Access {
    /// Returns whether the guard authenticates the caller as a user.
    pub(crate) fn is_for_users(&self) -> bool {
        matches!(self, Self::Person | Self::Permission(..))
    }

    /// Returns the extension `x-hive-access` of the document.
    pub(super) fn to_extension(&self) -> Value {
        match self {
            Self::Public => json!({ "who": "public" }),
            Self::Person => json!({ "who": "person" }),
            Self::Satellite => json!({ "who": "satellite" }),
            Self::Permission(permission, reach) => {
                json!({ "who": "permission", "permission": permission, "reach": reach.as_str() })
            }
        }
    }
}

impl Reach {
    fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Visible => "visible",
            Self::Anywhere => "anywhere",
            Self::Own => "own",
            Self::Satellite => "satellite",
            Self::Command => "command",
            Self::Job => "job",
            Self::Session => "session",
            Self::Group => "group",
            Self::Team => "team",
            Self::User => "user",
            Self::ApiKey => "api_key",
            Self::RegistrationToken => "registration_token",
            Self::AuditRecord => "audit_record",
        }
    }

    /// Returns whether the path names an object, which may be hidden from the caller.
    pub(super) fn is_of_path(self) -> bool {
        !matches!(self, Self::Platform | Self::Visible | Self::Anywhere | Self::Own)
    }

    /// Returns the object about which a caller's access is checked. A text that is no id of the kind names nothing: then it counts
    /// whether the caller has the permission at all.
    pub(super) fn object(self, id: &str) -> AccessObject {
        let parsed = match self {
            Self::Platform => Some(AccessObject::Platform),
            Self::Visible => Some(AccessObject::Visible),
            Self::Own => Some(AccessObject::Own),
            Self::Anywhere => None,
            Self::Satellite => id.parse().ok().map(AccessObject::Satellite),
            Self::Command => id.parse().ok().map(AccessObject::Command),
            Self::Job => id.parse().ok().map(AccessObject::Job),
            Self::Session => id.parse().ok().map(AccessObject::Session),
            Self::Group => id.parse().ok().map(AccessObject::Group),
            Self::Team => id.parse().ok().map(AccessObject::Team),
            Self::User => id.parse().ok().map(AccessObject::User),
            Self::ApiKey => id.parse().ok().map(AccessObject::ApiKey),
            Self::RegistrationToken => id.parse().ok().map(AccessObject::RegistrationToken),
            Self::AuditRecord => id.parse().ok().map(AccessObject::AuditRecord),
        };
        parsed.unwrap_or(AccessObject::Anywhere)
    }
}
