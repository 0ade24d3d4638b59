//! What may be typed.

mod access;
mod audit;
mod exec;
mod satellites;
mod sessions;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use access::{KeysCommand, LoginArgs, TeamsCommand, TokensCommand, TokensCreateArgs};
pub(crate) use audit::{AuditCommand, AuditListArgs, AuditVerifyArgs};
pub(crate) use exec::{CommandsCommand, ExecArgs, JobsCommand, PowerArgs};
pub(crate) use satellites::{ListArgs, SatellitesCommand, UpdateArgs};
pub(crate) use sessions::{SessionsCommand, ShellArgs, ViewArgs};

use crate::settings::Given;

/// One control plane for people, programs and AI agents over a fleet of machines.
#[derive(Debug, Parser)]
#[command(name = "hive", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// How results are written; with json, stdout holds exactly one document [default: table]
    #[arg(short = 'o', long, global = true, value_enum)]
    format: Option<Format>,
    /// The same, in front of the command: behind it, `audit export --output` names a file
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with = "format")]
    output: Option<Format>,
    /// The hive, such as https://hive.example.com
    #[arg(long, global = true, env = "HIVE_URL")]
    url: Option<String>,
    /// The key to it
    #[arg(long, global = true, env = "HIVE_API_KEY", hide_env_values = true, value_name = "KEY")]
    api_key: Option<Key>,
}

impl Global {
    pub(crate) fn format(&self) -> Format {
        self.format.or(self.output).unwrap_or_default()
    }

    /// The hive and the key that were given. An empty one counts as none: that is how scripts unset a variable.
    pub(crate) fn given(&self) -> Given {
        let url = self.url.clone().filter(|url| !url.is_empty());
        let api_key = self.api_key.clone().filter(|key| !key.0.is_empty());
        Given { url, api_key: api_key.map(|key| key.0.into()) }
    }
}

/// A secret on its way from the command line, never shown.
#[derive(Clone)]
struct Key(String);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl From<String> for Key {
    fn from(key: String) -> Self {
        Self(key)
    }
}

/// How results are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Table,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a hive with a satellite on this machine
    #[cfg(feature = "up")]
    Up(UpArgs),
    /// Log in with a password and keep a key for later calls
    Login(LoginArgs),
    /// Show who the key belongs to
    Whoami,
    /// See and change satellites
    #[command(subcommand, visible_alias = "sats")]
    Satellites(SatellitesCommand),
    /// Run a command on satellites and exit with the worst status
    Exec(ExecArgs),
    /// Open a terminal on a satellite; it outlives a broken link
    Shell(ShellArgs),
    /// Terminals: see them, come back to one, end them
    #[command(subcommand)]
    Sessions(SessionsCommand),
    /// Shut down, reboot, … a satellite's machine
    Power(PowerArgs),
    /// Commands on several satellites: see them, watch them, cancel them
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// See and cancel commands
    #[command(subcommand)]
    Commands(CommandsCommand),
    /// Registration tokens: one lets one satellite join
    #[command(subcommand)]
    Tokens(TokensCommand),
    /// Teams
    #[command(subcommand)]
    Teams(TeamsCommand),
    /// Your API keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// The audit trail
    #[command(subcommand)]
    Audit(AuditCommand),
}

impl Command {
    /// Whether a person sits in front of it and waits for each key: then one thread does all, without hand-overs.
    pub(crate) fn is_interactive(&self) -> bool {
        matches!(self, Self::Shell(_) | Self::Sessions(SessionsCommand::Attach { .. }))
    }
}

#[cfg(feature = "up")]
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Where everything is kept
    #[arg(long, default_value = crate::settings::UP_DIR, value_name = "DIR")]
    pub(crate) data_dir: std::path::PathBuf,
    /// Where the hive listens
    #[arg(long, default_value = "127.0.0.1:3000", value_name = "ADDRESS")]
    pub(crate) listen: std::net::SocketAddr,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use hive_core::wire::session::ViewMode;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_arguments_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_stands_behind_two_dashes_is_the_satellites() {
        let cli = parse("hive -o json exec all tag:web --timeout 5 -- sh -c -o").unwrap();
        let Command::Exec(args) = cli.command else { panic!("no exec") };
        assert_eq!(args.targets, ["all", "tag:web"]);
        assert_eq!(args.argv, ["sh", "-c", "-o"]);
        assert_eq!((cli.global.format(), args.timeout), (Format::Json, Some(5)));
    }

    #[test]
    fn the_format_may_stand_in_front_or_behind() {
        let check = |line: &str, expected| assert_eq!(parse(line).unwrap().global.format(), expected, "{line}");
        check("hive whoami", Format::Table);
        check("hive -o json whoami", Format::Json);
        check("hive --output json whoami", Format::Json);
        check("hive whoami -o json", Format::Json);
        check("hive audit export --output trail.jsonl", Format::Table);
        check("hive -o json audit export --output trail.jsonl", Format::Json);
    }

    #[test]
    fn a_command_is_given_once() {
        assert!(parse("hive exec all").is_err());
        assert!(parse("hive exec --shell=ls all").is_ok());
        assert!(parse("hive exec --shell=ls all -- ls").is_err());
        assert!(parse("hive exec -- ls").is_err());
    }

    #[test]
    fn a_session_is_looked_at_in_one_way() {
        let check = |line: &str, expected| {
            let Command::Shell(args) = parse(line).unwrap().command else { panic!("no shell") };
            assert_eq!(args.view.mode(), expected, "{line}");
        };
        check("hive shell web", ViewMode::Control);
        check("hive shell web --read-only", ViewMode::ReadOnly);
        check("hive shell --take web -e A=b --env C=d --shell /bin/sh", ViewMode::Take);
        assert!(parse("hive shell web --read-only --take").is_err());
        assert!(parse("hive shell").is_err());
        assert!(parse("hive sessions kill").is_err());
        assert!(parse("hive sessions attach web").is_err());
    }

    #[test]
    fn only_terminals_are_interactive() {
        let check =
            |line: &str, expected| assert_eq!(parse(line).unwrap().command.is_interactive(), expected, "{line}");
        check("hive shell web", true);
        check("hive sessions attach sess_01jd3k00000000000000000000", true);
        check("hive sessions list", false);
        check("hive whoami", false);
    }

    #[test]
    fn a_key_is_never_shown() {
        let cli = parse("hive --api-key hive_key_secret whoami").unwrap();
        assert!(!format!("{cli:?} {:?}", cli.global.given()).contains("hive_key_secret"));
        let help = Cli::command().render_long_help().to_string();
        assert!(help.contains("HIVE_API_KEY") && !help.contains("HIVE_API_KEY="), "{help}");
    }

    #[test]
    fn a_team_token_needs_its_team() {
        assert!(parse("hive tokens create --scope team").is_err());
        assert!(parse("hive tokens create --scope team --team web").is_ok());
        assert!(parse("hive tokens create --scope global").is_ok());
    }
}
