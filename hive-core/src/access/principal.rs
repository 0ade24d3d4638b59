//! Who acts: the credential of a call, and the rights that come with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hive_wire::api::{Actor, PlatformRole, Role};
use hive_wire::{ApiKeyId, TeamId, UserId};

use super::{Permission, ResourceScope, implied_by, is_granted};

/// The credential with which a caller was authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Credential {
    /// A login of this user.
    Login(UserId),
    /// An API key of this user.
    ApiKey(ApiKeyId, UserId),
    /// The admin key of the configuration, which belongs to no user.
    Configured,
    /// None: the caller is this process, such as the server's own commands or an embedding program.
    System,
}

impl Credential {
    /// Returns its user; `None` for the hive itself, and for the key of its configuration.
    pub fn user(self) -> Option<UserId> {
        match self {
            Self::Login(user) | Self::ApiKey(_, user) => Some(user),
            Self::Configured | Self::System => None,
        }
    }
}

/// Which secret of a credential a caller presented: the hash of a key, or the generation of a login. A key has two secrets during the
/// overlap of a rotation.
#[derive(Clone, PartialEq, Eq)]
pub struct CredentialVersion(pub(crate) String);

impl std::fmt::Debug for CredentialVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A hash of a secret is nothing for a log.
        f.write_str("CredentialVersion(…)")
    }
}

hive_wire::with_setters! {
    /// An authenticated caller.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Principal {
        /// The credential.
        pub credential: Credential,
        /// The name for people, and for the audit log.
        pub name: String,
        /// The IP address of the call.
        pub ip: Option<String>,
        /// The platform role.
        pub role: PlatformRole,
        /// The role in each team.
        pub teams: BTreeMap<TeamId, Role>,
        /// The permissions to which an API key is limited; `None` if it has all permissions of its owner.
        pub scopes: Option<BTreeSet<Permission>>,
        /// The tags of which a satellite has to have one for an API key; `None` if the key is not limited to some satellites.
        pub satellite_tags: Option<BTreeSet<String>>,
        /// The calls that an API key may make in a minute; `None` if it has no limit. The edges count them.
        pub rate_per_minute: Option<u32>,
        /// The keys with which its key was made and that have such a limit, each with it. A call counts against all of them.
        pub ancestor_rates: Arc<[(ApiKeyId, u32)]>,
        /// The secret that was presented. Streams end with it. `None` for a caller that the embedding program has authenticated.
        pub credential_version: Option<CredentialVersion>,
    }
}

impl Principal {
    /// A principal without an address and teams, and with no limit beside its role.
    pub fn new(credential: Credential, name: impl Into<String>, role: PlatformRole) -> Self {
        Self {
            credential,
            name: name.into(),
            ip: None,
            role,
            teams: BTreeMap::new(),
            scopes: None,
            satellite_tags: None,
            rate_per_minute: None,
            ancestor_rates: Arc::default(),
            credential_version: None,
        }
    }

    /// The hive itself, with every permission.
    pub fn system() -> Self {
        Self::new(Credential::System, "system", PlatformRole::GlobalAdmin)
    }

    /// Returns the user behind the credential.
    pub fn user(&self) -> Option<UserId> {
        self.credential.user()
    }

    /// Whether its key has less than all rights of its owner.
    pub fn is_limited(&self) -> bool {
        self.scopes.is_some() || self.satellite_tags.is_some()
    }

    /// Returns the principal as an actor of the audit log.
    pub fn actor(&self) -> Actor {
        // The key and not its user: one user has several keys, and the record must show which of them was used.
        let (kind, id) = match self.credential {
            Credential::Login(user) => ("user", user.to_string()),
            Credential::ApiKey(key, _) => ("api_key", key.to_string()),
            Credential::Configured => ("configured", "admin_api_key".to_owned()),
            Credential::System => ("system", "system".to_owned()),
        };
        Actor { kind: kind.into(), id, name: self.name.clone(), ip: self.ip.clone() }
    }

    /// Returns the role in a scope, whatever the credential is limited to.
    pub(super) fn role_at(&self, scope: ResourceScope<'_>) -> Option<Role> {
        match (&self.role, scope) {
            (PlatformRole::GlobalAdmin, _) => Some(Role::Admin),
            // The role on a satellite is the role in its team. Tags only ever take away.
            (_, ResourceScope::Satellite { team, tags: _ }) => self.role_at(ResourceScope::team(team)),
            (PlatformRole::GlobalUser, ResourceScope::Team(team)) => self.teams.get(&team).cloned(),
            // The lowest role is enough: it has the permission for one's own API keys.
            (PlatformRole::GlobalUser, ResourceScope::Own) => Some(Role::Viewer),
            // Satellites without a team are for global admins only. A role of a later version grants nothing here, although
            // its teams may be known: it may be a role with fewer rights.
            (PlatformRole::GlobalUser, ResourceScope::Platform) | (PlatformRole::Unknown(_), _) => None,
        }
    }

    /// Whether a role gives a permission to this caller. Scopes restrict a key and never give it more than its owner has.
    pub(super) fn has(&self, permission: &Permission, role: &Role) -> bool {
        let is_in = |scopes: &BTreeSet<Permission>| {
            scopes.contains(permission) || implied_by(permission).iter().any(|broader| scopes.contains(broader))
        };
        is_granted(permission, role) && self.scopes.as_ref().is_none_or(is_in)
    }
}
