//! Logins, teams, API keys and registration tokens.

use clap::{Args, Subcommand, ValueEnum};
use hive_core::wire::api::TokenScope;
use hive_core::wire::{ApiKeyId, RegistrationTokenId};

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// The hive, such as https://hive.example.com
    #[arg(value_name = "URL")]
    pub(crate) hive: String,
    /// Who you are there; the password is asked for, or read from stdin
    #[arg(long, short)]
    pub(crate) username: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokensCommand {
    /// Make a token
    Create(TokensCreateArgs),
    /// List tokens, without their secrets
    List,
    /// Revoke a token that was not used
    Revoke {
        /// Its id
        id: RegistrationTokenId,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TokensCreateArgs {
    /// For the whole hive, or for one team
    #[arg(long, value_enum)]
    pub(crate) scope: Scope,
    /// The team's short name or id
    #[arg(long, required_if_eq("scope", "team"))]
    pub(crate) team: Option<String>,
    /// Its life [default: 1 for the hive, 24 for a team]
    #[arg(long, value_name = "HOURS")]
    pub(crate) expires_in_hours: Option<u32>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
}

/// For whom a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scope {
    Global,
    Team,
}

impl From<Scope> for TokenScope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Global => Self::Global,
            Scope::Team => Self::Team,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum TeamsCommand {
    /// Make a team
    Create {
        /// Its short name
        slug: String,
    },
    /// List your teams
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key
    Create {
        /// What it is for
        #[arg(long, default_value = "")]
        name: String,
        /// Its life [default: forever]
        #[arg(long, value_name = "HOURS")]
        expires_in_hours: Option<u32>,
    },
    /// List your keys, without their secrets
    List,
    /// Revoke a key, at once
    Revoke {
        /// Its id
        id: ApiKeyId,
    },
}
