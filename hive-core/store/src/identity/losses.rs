//! What a user loses with a right, a team or a credential: queued work, unused registration tokens, API keys.

use hive_wire::api::{CommandType, PlatformRole};
use hive_wire::{CommandId, JobId, SatelliteId, TeamId};

use crate::access::Role;

/// The least role in a team that queued work and tokens need. The caller of the store gives it: the permission matrix is not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededRoles {
    /// For a queued command.
    pub exec: Role,
    /// For a queued power command.
    pub power: Role,
    /// For a registration token.
    pub tokens: Role,
}

/// The rights of a user that are left after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemainingRights {
    /// Whether the user is disabled.
    pub is_disabled: bool,
    /// The platform role.
    pub role: PlatformRole,
    /// The role in each team.
    pub teams: Vec<(TeamId, Role)>,
}

impl RemainingRights {
    /// Whether the user still has at least this role in a team; `None` is for what belongs to no team.
    pub fn has(&self, team: Option<TeamId>, least: &Role) -> bool {
        let in_team = |team| self.teams.iter().any(|(of, role)| *of == team && role.is_at_least(least));
        match &self.role {
            _ if self.is_disabled => false,
            PlatformRole::GlobalAdmin => true,
            PlatformRole::GlobalUser => team.is_some_and(in_team),
            PlatformRole::Unknown(_) => false,
        }
    }
}

impl NeededRoles {
    /// The role that a command needs.
    pub fn of_command(&self, command_type: &CommandType) -> &Role {
        if *command_type == CommandType::Power { &self.power } else { &self.exec }
    }
}

/// What was revoked together with a right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses {
    /// The queued commands that were cancelled.
    pub commands: Vec<CancelledCommand>,
    /// The number of registration tokens that were revoked.
    pub registration_tokens: u64,
    /// The number of API keys that were revoked.
    pub api_keys: u64,
}

/// A queued command that was cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelledCommand {
    /// Its id.
    pub id: CommandId,
    /// Its satellite.
    pub satellite_id: SatelliteId,
    /// Its job.
    pub job_id: Option<JobId>,
}

#[cfg(test)]
mod tests {
    use hive_wire::id::Seed;

    use super::*;

    #[test]
    fn a_right_is_left_where_the_role_is_high_enough() {
        let team = |n: u8| TeamId::new(Seed { unix_millis: 1, random: [n; 10] });
        let rights = |is_disabled, role: &str| RemainingRights {
            is_disabled,
            role: role.into(),
            teams: vec![(team(1), Role::Operator), (team(2), Role::from("auditor"))],
        };
        let check = |rights: &RemainingRights, at, least, expected| assert_eq!(rights.has(at, &least), expected);
        let user = rights(false, "global_user");
        check(&user, Some(team(1)), Role::Operator, true);
        check(&user, Some(team(1)), Role::Admin, false);
        check(&user, Some(team(2)), Role::Viewer, false);
        check(&user, Some(team(3)), Role::Viewer, false);
        check(&user, None, Role::Viewer, false);
        check(&rights(false, "global_admin"), None, Role::Admin, true);
        check(&rights(true, "global_admin"), Some(team(1)), Role::Viewer, false);
        check(&rights(false, "global_auditor"), Some(team(1)), Role::Viewer, false);
    }
}
