//! What may be typed behind `hive-server`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use hive_core::Hive;
use hive_core::access::Role;
use hive_core::hive::HiveBuilder;
use hive_core::store::{Database, InvalidDatabase};
use hive_server::config::args::ServeArgs;
use secrecy::{ExposeSecret, SecretString};

/// Serves a hive: REST, the satellite API and the agent WebSocket.
#[derive(Parser)]
#[command(name = "hive-server", version)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    pub(super) serve: ServeArgs,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Args)]
pub(super) struct Place {
    /// Where the hive keeps its keys, and its database unless that is elsewhere
    #[arg(long, global = true, env = "HIVE_DATA_DIR", default_value = "./hive-data", value_name = "DIR")]
    pub(super) data_dir: PathBuf,
    /// The database: sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/NAME; hive.db in the data directory unless given
    #[arg(long, global = true, env = "HIVE_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database: Option<SecretString>,
}

impl Place {
    /// The database. What is wrong about it is said here and not where arguments are parsed: there the
    /// message would hold the password.
    pub(super) fn database(&self) -> Result<Database, InvalidDatabase> {
        match &self.database {
            Some(database) => database.expose_secret().parse(),
            None => Database::default_in(Some(&self.data_dir)),
        }
    }

    /// Fails where there is no hive. One that is looked through is not to be made by that.
    pub(super) fn expect_hive(&self) -> Result<(), String> {
        let keys = self.keys();
        if keys.is_dir() { Ok(()) } else { Err(format!("there is no hive: {} is missing", keys.display())) }
    }

    fn keys(&self) -> PathBuf {
        self.data_dir.join("keys")
    }

    /// A hive that is kept here.
    pub(super) fn builder(self) -> Result<HiveBuilder, InvalidDatabase> {
        let database = self.database()?;
        Ok(Hive::builder().data_dir(self.data_dir).database(database))
    }

    /// What a backup is of.
    pub(super) fn whole(self) -> Result<hive_core::store::backup::Place, InvalidDatabase> {
        let database = self.database()?;
        Ok(hive_core::store::backup::Place { database, keys: self.keys() })
    }
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Writes the whole hive to a file: its database as of now, and its keys
    Backup {
        /// The file, or - for standard output; it holds all secrets of the hive
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Restores a backup where there is no hive yet
    Restore {
        /// The file that a backup was written to
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
    },
    /// Accepts that key files are lost or are other ones: makes those that are missing, and notes all as this hive's
    AcceptKeys,
    /// Looks through keys, database and audit trail, and fails where something is damaged
    Check,
    #[command(flatten)]
    SetUp(SetUp),
}

#[derive(Subcommand)]
pub(super) enum SetUp {
    /// Global admins
    #[command(subcommand)]
    Admin(UserCommand),
    /// Users without rights of their own; teams give them some
    #[command(subcommand)]
    User(UserCommand),
    /// API keys
    #[command(subcommand)]
    ApiKey(ApiKeyCommand),
    /// Teams
    #[command(subcommand)]
    Team(TeamCommand),
}

#[derive(Subcommand)]
pub(super) enum UserCommand {
    /// Adds one and prints the one-time password
    Create {
        /// The login name
        #[arg(long)]
        username: String,
    },
}

#[derive(Subcommand)]
pub(super) enum ApiKeyCommand {
    /// Makes a key for a user and prints it
    Create {
        /// Whose key it is
        #[arg(long)]
        username: String,
        /// What it is for
        #[arg(long, default_value = "command line")]
        name: String,
    },
}

#[derive(Subcommand)]
pub(super) enum TeamCommand {
    /// Makes a team
    Create {
        /// Its short name
        #[arg(long)]
        slug: String,
    },
    /// Puts a user into a team, or changes their role there
    Add {
        /// The team's short name
        #[arg(long, value_name = "SLUG")]
        team: String,
        /// The login name
        #[arg(long)]
        username: String,
        /// What they are in it
        #[arg(long, value_name = "admin|operator|viewer", value_parser = parse_role)]
        role: Role,
    },
}

fn parse_role(text: &str) -> Result<Role, &'static str> {
    match text {
        "admin" => Ok(Role::Admin),
        "operator" => Ok(Role::Operator),
        "viewer" => Ok(Role::Viewer),
        _ => Err("must be admin, operator or viewer"),
    }
}
