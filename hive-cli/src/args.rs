//! The arguments.

mod access;
mod addresses;
mod api;
mod audit;
mod exec;
mod global;
mod groups;
mod moment;

mod profiles;
mod satellite_groups;
mod satellites;
mod sessions;
mod sorting;
#[cfg(test)]
mod tests;
mod tools;
mod users;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub(crate) use access::{ApiKeysCommand, ApiKeysCreateArgs, Scope, TokensCommand, TokensCreateArgs};
pub(crate) use addresses::AddressesArgs;
pub(crate) use api::{ApiArgs, Field as ApiField};
pub(crate) use audit::{AuditCommand, AuditListArgs, AuditVerifyArgs, RecordRef};
pub(crate) use exec::{CommandsCommand, ExecArgs, JobsCommand, PowerArgs};
pub(crate) use global::Global;
pub(crate) use moment::Moment;
pub(crate) use profiles::{LoginArgs, LogoutArgs, ProfilesCommand};
pub(crate) use satellite_groups::{GroupUpdateArgs, GroupsCommand};
pub(crate) use satellites::{ListArgs, SatellitesCommand, UpdateArgs};
pub(crate) use sessions::{SessionsCommand, ShellArgs, ViewArgs};
#[cfg(feature = "up")]
pub(crate) use tools::UpArgs;
pub(crate) use tools::{CompletionsArgs, ManArgs, Shell};
pub(crate) use users::{MembersCommand, PasswdArgs, TeamsCommand, UsersCommand};

/// One control plane for people, programs and AI agents over a fleet of machines.
#[derive(Debug, Parser)]
#[command(name = "hive", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: CliCommand,
}

impl Cli {
    /// Parses the arguments. Help and usage errors are written with the chosen colours, and end the program.
    pub(crate) fn read() -> Self {
        let mut command = command().color(global::colour_of(std::env::args_os()));
        let mut matches = command.get_matches_mut();
        Self::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| error.format(&mut command).exit())
    }
}

/// Returns the definition of all arguments.
pub(crate) fn command() -> clap::Command {
    groups::grouped(plain())
}

fn plain() -> clap::Command {
    // Only the first level has `help`. One in each group would be offered among its commands by the completion.
    Cli::command().mut_subcommands(|command| command.disable_help_subcommand(true))
}

/// Returns the definition for the man pages, which have a page for each command.
pub(crate) fn pages() -> clap::Command {
    plain().long_about(groups::ABOUT).after_help(groups::AFTER)
}

#[derive(Debug, Subcommand)]
pub(crate) enum CliCommand {
    #[command(flatten)]
    Local(LocalCommand),
    #[command(flatten)]
    Call(CallCommand),
}

/// The commands that need no call, or decide themselves which hive they call.
#[derive(Debug, Subcommand)]
pub(crate) enum LocalCommand {
    /// Start a hive with a satellite on this machine
    #[cfg(feature = "up")]
    Up(UpArgs),
    /// Log in to a hive and save an API key for it
    Login(LoginArgs),
    /// Revoke the key of a login and remove its profile
    Logout(LogoutArgs),
    /// Manage the saved logins
    #[command(subcommand)]
    Profiles(ProfilesCommand),
    /// Read, export and verify the audit log
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Print the completion script for a shell
    Completions(CompletionsArgs),
    /// Write the man pages
    #[command(hide = true)]
    Man(ManArgs),
}

/// The commands that call the selected hive.
#[derive(Debug, Subcommand)]
pub(crate) enum CallCommand {
    /// Show which hive is used, and your user there
    #[command(after_help = "Example:\n  hive whoami --profile staging")]
    Whoami,
    /// List, change and remove satellites
    #[command(subcommand, visible_alias = "sats")]
    Satellites(SatellitesCommand),
    /// Manage groups of satellites, which are targets of commands
    #[command(subcommand)]
    Groups(GroupsCommand),
    /// Run a command on satellites
    Exec(ExecArgs),
    /// Open a terminal session on a satellite; it survives a broken connection
    Shell(ShellArgs),
    /// List, attach to and end terminal sessions
    #[command(subcommand)]
    Sessions(SessionsCommand),
    /// Shut down, restart or suspend the machine of a satellite
    Power(PowerArgs),
    /// Show, watch and cancel jobs: commands on several satellites
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// Show and cancel the commands of one satellite
    #[command(subcommand)]
    Commands(CommandsCommand),
    /// Manage registration tokens, with which satellites join
    #[command(subcommand)]
    Tokens(TokensCommand),
    /// Manage users
    #[command(subcommand)]
    Users(UsersCommand),
    /// Manage teams and their members
    #[command(subcommand)]
    Teams(TeamsCommand),
    /// Change your password
    Passwd(PasswdArgs),
    /// Manage your API keys
    #[command(subcommand, alias = "keys")]
    ApiKeys(ApiKeysCommand),
    /// Call any path of the API
    Api(ApiArgs),
}

impl CliCommand {
    /// Whether the command shows a session. It then runs on one thread, because a hand-over between threads delays each
    /// key.
    pub(crate) fn is_interactive(&self) -> bool {
        use CallCommand::{Sessions, Shell};
        matches!(self, Self::Call(Shell(_) | Sessions(SessionsCommand::Attach { .. })))
    }
}
