//! Users and teams.

use clap::{Args, Subcommand, ValueEnum};
use hive_core::wire::api::{PlatformRole, Role, TeamSort, UserSort};

use super::sorting::SortArgs;

use super::AddressesArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// List users
    #[command(after_help = "Example:\n  hive users list")]
    List(SortArgs<UserSort>),
    /// Show one user
    #[command(visible_alias = "show", after_help = "Example:\n  hive users get anna")]
    Get {
        /// The user's name or id
        user: String,
    },
    /// Create a user and print the first password once
    #[command(after_help = "\
An admin may do everything; a user what the teams allow, see `hive teams members add`.

Examples:
  hive users create anna
  hive users create ben --role admin")]
    Create {
        /// The username: a-z, 0-9 and . _ @ -
        username: String,
        /// The role in the whole hive
        #[arg(long, value_enum, default_value_t)]
        role: UserRole,
    },
    /// Change the role of a user in the whole hive
    #[command(after_help = "Example:\n  hive users role anna admin")]
    Role {
        /// The user's name or id
        user: String,
        /// The new role
        #[arg(value_enum)]
        role: UserRole,
    },
    /// Disable a user: logins end, and keys are revoked, at once
    #[command(after_help = "Example:\n  hive users disable anna")]
    Disable {
        /// The user's name or id
        user: String,
    },
    /// Enable a user again; keys that were revoked stay revoked
    #[command(after_help = "Example:\n  hive users enable anna")]
    Enable {
        /// The user's name or id
        user: String,
    },
    /// Set a new password and print it once; the user's logins end, the API keys stay valid
    #[command(after_help = "Example:\n  hive users reset-password anna")]
    ResetPassword {
        /// The user's name or id
        user: String,
    },
}

/// The role of a user in the whole hive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum UserRole {
    Admin,
    #[default]
    User,
}

impl From<UserRole> for PlatformRole {
    fn from(role: UserRole) -> Self {
        match role {
            UserRole::Admin => Self::GlobalAdmin,
            UserRole::User => Self::GlobalUser,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
The passwords are asked for, or are the first two lines of standard input. All logins end; API keys stay valid.

Example:
  hive passwd")]
pub(crate) struct PasswdArgs {}

#[derive(Debug, Subcommand)]
pub(crate) enum TeamsCommand {
    /// List your teams
    #[command(after_help = "Example:\n  hive teams list")]
    List(SortArgs<TeamSort>),
    /// Create a team
    #[command(after_help = "Example:\n  hive teams create ops")]
    Create {
        /// The slug of the team: a-z, 0-9 and -
        slug: String,
    },
    /// Set what the members with the role team-user may do
    #[command(after_help = "Example:\n  hive teams update ops --team-user operator")]
    Update {
        /// The team, by slug or id
        team: String,
        /// What they may do from now on
        #[arg(long, value_enum)]
        team_user: TeamUser,
    },
    /// Show or set the networks from which the members of a team may use it
    #[command(after_help = "\
Elsewhere a member is like somebody who is not in the team. Global admins are not limited.

Examples:
  hive teams addresses ops
  hive teams addresses ops 192.0.2.0/24 2001:db8::/32
  hive teams addresses ops --clear")]
    Addresses(AddressesArgs),
    /// Manage the members of a team and their roles
    #[command(subcommand)]
    Members(MembersCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum MembersCommand {
    /// List a team's members
    #[command(after_help = "Example:\n  hive teams members list ops")]
    List {
        /// The team, by slug or id
        team: String,
    },
    /// Add users to a team, or change their role in it
    #[command(after_help = "\
A viewer can see the team's satellites; an operator can also run commands and open terminal sessions; an admin can do everything \
in the team.

Example:
  hive teams members add ops anna ben --role operator")]
    Add {
        /// The team, by slug or id
        team: String,
        /// The usernames
        #[arg(required = true, value_name = "USER")]
        users: Vec<String>,
        /// The role in the team
        #[arg(long, value_enum, default_value_t)]
        role: MemberRole,
    },
    /// Remove users from a team
    #[command(alias = "rm", after_help = "Example:\n  hive teams members remove ops anna")]
    Remove {
        /// The team, by slug or id
        team: String,
        /// The usernames or ids
        #[arg(required = true, value_name = "USER")]
        users: Vec<String>,
    },
}

/// The role of a user in a team.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum MemberRole {
    Admin,
    Operator,
    #[default]
    Viewer,
    /// What the team says of it, now and later: see `hive teams update`
    TeamUser,
}

/// What the members with the role `team_user` may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TeamUser {
    Operator,
    Viewer,
}

impl From<TeamUser> for Role {
    fn from(role: TeamUser) -> Self {
        match role {
            TeamUser::Operator => Self::Operator,
            TeamUser::Viewer => Self::Viewer,
        }
    }
}

impl From<MemberRole> for Role {
    fn from(role: MemberRole) -> Self {
        match role {
            MemberRole::Admin => Self::Admin,
            MemberRole::Operator => Self::Operator,
            MemberRole::Viewer => Self::Viewer,
            MemberRole::TeamUser => Self::of_team_user(),
        }
    }
}
