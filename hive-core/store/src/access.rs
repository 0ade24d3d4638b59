//! The access types that are stored or that filter queries: permissions of an API key, the authority behind a command, and
//! the teams whose rows a caller may see.
//!
//! Decisions are not made here. Which role grants which permission is in `hive_core::access`.

mod authority;

use hive_wire::{TeamId, open_enum};

pub use authority::Authority;
pub use hive_wire::api::Role;

open_enum! {
    /// A permission.
    #[derive(PartialOrd, Ord)]
    pub enum Permission {
        /// Read satellites and their state.
        SatellitesRead = "satellites.read",
        /// Run commands.
        SatellitesExec = "satellites.exec",
        /// Start and cancel jobs.
        JobsRun = "jobs.run",
        /// Change the name and the tags of satellites.
        SatellitesTag = "satellites.tag",
        /// Shut down and reboot satellites.
        SatellitesPower = "satellites.power",
        /// Remove satellites.
        SatellitesDelete = "satellites.delete",
        /// Set the status and the region of satellites.
        SatellitesManage = "satellites.manage",
        /// Open terminal sessions.
        SessionsOpen = "sessions.open",
        /// Read the audit log.
        AuditRead = "audit.read",
        /// Create, list and revoke registration tokens.
        TokensManage = "tokens.manage",
        /// Create and change users.
        UsersManage = "users.manage",
        /// Create teams and change their members.
        TeamsManage = "teams.manage",
        /// Create, list and revoke one's own API keys.
        ApiKeysOwn = "api_keys.own",
    }
}

/// The teams whose rows a caller may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VisibleTeams {
    /// Rows of all teams, and those without a team.
    All,
    /// Rows of these teams.
    Teams(Vec<TeamId>),
}

impl VisibleTeams {
    /// Whether a row of this team is visible.
    pub fn covers(&self, team: Option<TeamId>) -> bool {
        match self {
            Self::All => true,
            Self::Teams(teams) => team.is_some_and(|team| teams.contains(&team)),
        }
    }
}
