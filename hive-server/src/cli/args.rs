//! The command line of `hive-server`. The doc comments of commands and fields are the help texts.

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
pub(crate) struct ServerCli {
    #[command(flatten)]
    pub(super) data: DataArgs,
    #[command(flatten)]
    pub(super) serve: ServeArgs,
    #[command(subcommand)]
    pub(super) command: Option<ServerCommand>,
}

#[derive(Args)]
pub(super) struct DataArgs {
    /// The directory of the hive's keys, and of its database unless --database names another one
    #[arg(long, global = true, env = "HIVE_DATA_DIR", default_value = "./hive-data", value_name = "DIR")]
    pub(super) data_dir: PathBuf,
    /// The database: sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/NAME; hive.db in the data directory unless given
    // The value is hidden in the help, because it holds the password.
    #[arg(long, global = true, env = "HIVE_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database: Option<SecretString>,
}

impl DataArgs {
    /// The database. Its URL is parsed here and not by clap, whose error messages would repeat the password.
    pub(super) fn database(&self) -> Result<Database, InvalidDatabase> {
        match &self.database {
            Some(database) => database.expose_secret().parse(),
            None => Database::default_in(Some(&self.data_dir)),
        }
    }

    /// Fails if there is no hive, so that a check does not create one.
    pub(super) fn expect_hive(&self) -> Result<(), String> {
        let keys = self.keys();
        if keys.is_dir() { Ok(()) } else { Err(format!("there is no hive: {} is missing", keys.display())) }
    }

    fn keys(&self) -> PathBuf {
        self.data_dir.join("keys")
    }

    /// A builder for the hive with this data.
    pub(super) fn builder(self) -> Result<HiveBuilder, InvalidDatabase> {
        let database = self.database()?;
        Ok(Hive::builder().data_dir(self.data_dir).database(database))
    }

    /// A builder for a hive that a server may be serving at the same time. It leaves the telemetry to that server.
    pub(super) async fn builder_beside_server(self) -> Result<HiveBuilder, Box<dyn std::error::Error>> {
        let telemetry = Database::in_memory().open_telemetry().await?;
        Ok(self.builder()?.telemetry(telemetry))
    }

    /// What a backup is made of.
    pub(super) fn backup_source(self) -> Result<hive_core::store::backup::HiveLocation, InvalidDatabase> {
        let database = self.database()?;
        Ok(hive_core::store::backup::HiveLocation { database, keys: self.keys() })
    }
}

#[derive(Subcommand)]
pub(super) enum ServerCommand {
    /// Writes the whole hive to a file: its database as of now, and its keys
    Backup {
        /// The file, or - for standard output; it holds all secrets of the hive
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
        /// Includes the telemetry: heartbeats with the state of the machines
        #[arg(long)]
        with_telemetry: bool,
    },
    /// Restores a backup into an empty data directory and database
    Restore {
        /// The backup file
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
    },
    /// Accepts lost or replaced key files: creates missing ones, and records all as the keys of this hive
    AcceptKeys,
    /// Checks keys, database and audit log, and fails if something is damaged
    Check,
    #[command(flatten)]
    Setup(SetupCommand),
}

#[derive(Subcommand)]
pub(super) enum SetupCommand {
    /// Global admins
    #[command(subcommand)]
    Admin(UserCommand),
    /// Users without permissions of their own; teams grant them some
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
    /// Creates one and prints the one-time password
    Create {
        /// The login name
        #[arg(long)]
        username: String,
    },
}

#[derive(Subcommand)]
pub(super) enum ApiKeyCommand {
    /// Creates a key for a user and prints it
    Create {
        /// The login name of its owner
        #[arg(long)]
        username: String,
        /// A name for the key
        #[arg(long, default_value = "command line")]
        name: String,
    },
}

#[derive(Subcommand)]
pub(super) enum TeamCommand {
    /// Creates a team
    Create {
        /// Its short name
        #[arg(long)]
        slug: String,
    },
    /// Adds a user to a team, or changes their role in it
    Add {
        /// The team's short name
        #[arg(long, value_name = "SLUG")]
        team: String,
        /// The login name
        #[arg(long)]
        username: String,
        /// Their role in the team
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
