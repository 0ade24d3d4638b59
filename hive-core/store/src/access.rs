//! The access types that are stored or that filter queries: permissions of an API key, the authority behind a command, and
//! the teams whose rows a caller may see.
//!
//! Decisions are not made here. Which role grants which permission is in `hive_core::access`.

mod authority;

use hive_wire::{TeamId, open_enum};

pub use authority::Authority;
pub use hive_wire::api::Role;

open_enum! {
    /// A permission, as in the published matrix.
    #[derive(PartialOrd, Ord)]
    pub enum Permission {
        /// See satellites and their state.
        SatellitesRead = "satellites.read",
        /// Run commands.
        SatellitesExec = "satellites.exec",
        /// Start and cancel jobs.
        JobsRun = "jobs.run",
        /// Change name and tags.
        SatellitesTag = "satellites.tag",
        /// Shut down, reboot, …
        SatellitesPower = "satellites.power",
        /// Remove satellites.
        SatellitesDelete = "satellites.delete",
        /// Set a satellite's status and region.
        SatellitesManage = "satellites.manage",
        /// Open terminals.
        SessionsOpen = "sessions.open",
        /// Read the audit trail.
        AuditRead = "audit.read",
        /// Make, list and revoke registration tokens.
        TokensManage = "tokens.manage",
        /// Add users and change them.
        UsersManage = "users.manage",
        /// Make teams; say who is in one.
        TeamsManage = "teams.manage",
        /// Make, list and revoke one's own API keys.
        ApiKeysOwn = "api_keys.own",
    }
}

/// What of the satellites somebody may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// All.
    Everything,
    /// Those of these teams.
    Teams(Vec<TeamId>),
}

impl Sight {
    /// Whether a satellite of this team is in sight.
    pub fn covers(&self, team: Option<TeamId>) -> bool {
        match self {
            Self::Everything => true,
            Self::Teams(teams) => team.is_some_and(|team| teams.contains(&team)),
        }
    }
}
