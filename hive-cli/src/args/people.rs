//! Users and teams.

use clap::{Args, Subcommand, ValueEnum};
use hive_core::wire::api::{PlatformRole, Role};

#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// List users
    #[command(after_help = "Example:\n  hive users list")]
    List,
    /// Show one user
    #[command(visible_alias = "show", after_help = "Example:\n  hive users get anna")]
    Get {
        /// Their name or id
        user: String,
    },
    /// Add a user, and print their first password once
    #[command(after_help = "\
An admin may do everything everywhere; a user what their teams allow, see `hive teams members add`.

Examples:
  hive users create anna
  hive users create ben --role admin")]
    Create {
        /// Their login name: a-z, 0-9 and . _ @ -
        username: String,
        /// What they are in the whole hive
        #[arg(long, value_enum, default_value_t)]
        role: UserRole,
    },
    /// Change what a user is in the whole hive
    #[command(after_help = "Example:\n  hive users role anna admin")]
    Role {
        /// Their name or id
        user: String,
        /// What they are from now on
        #[arg(value_enum)]
        role: UserRole,
    },
    /// Refuse a user's logins and keys, at once
    #[command(after_help = "Example:\n  hive users disable anna")]
    Disable {
        /// Their name or id
        user: String,
    },
    /// Take a user's keys again, and let them log in
    #[command(after_help = "Example:\n  hive users enable anna")]
    Enable {
        /// Their name or id
        user: String,
    },
    /// Give a user another password, and print it once; their logins end, their keys stay
    #[command(after_help = "Example:\n  hive users reset-password anna")]
    ResetPassword {
        /// Their name or id
        user: String,
    },
}

/// What a user is in the whole hive.
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
The passwords are asked for, or are the first two lines of standard input. All logins end; API keys stay.

Example:
  hive passwd")]
pub(crate) struct PasswdArgs {}

#[derive(Debug, Subcommand)]
pub(crate) enum TeamsCommand {
    /// List your teams
    #[command(after_help = "Example:\n  hive teams list")]
    List,
    /// Make a team
    #[command(after_help = "Example:\n  hive teams create ops")]
    Create {
        /// Its short name: a-z, 0-9 and -
        slug: String,
    },
    /// Who is in a team, and what they may do there
    #[command(subcommand)]
    Members(MembersCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum MembersCommand {
    /// List a team's members
    #[command(after_help = "Example:\n  hive teams members list ops")]
    List {
        /// The team's short name or id
        team: String,
    },
    /// Make users members, or change what they are there
    #[command(after_help = "\
A viewer sees; an operator also runs commands and opens terminals; an admin does everything in the team.

Example:
  hive teams members add ops anna ben --role operator")]
    Add {
        /// The team's short name or id
        team: String,
        /// Their names
        #[arg(required = true, value_name = "USER")]
        users: Vec<String>,
        /// What they are to be there
        #[arg(long, value_enum, default_value_t)]
        role: MemberRole,
    },
    /// Take users out of a team
    #[command(alias = "rm", after_help = "Example:\n  hive teams members remove ops anna")]
    Remove {
        /// The team's short name or id
        team: String,
        /// Their names or ids
        #[arg(required = true, value_name = "USER")]
        users: Vec<String>,
    },
}

/// What somebody is in a team.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum MemberRole {
    Admin,
    Operator,
    #[default]
    Viewer,
}

impl From<MemberRole> for Role {
    fn from(role: MemberRole) -> Self {
        match role {
            MemberRole::Admin => Self::Admin,
            MemberRole::Operator => Self::Operator,
            MemberRole::Viewer => Self::Viewer,
        }
    }
}
