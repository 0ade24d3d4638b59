//! API keys and registration tokens.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use hive_core::wire::api::{ApiKeySort, RegistrationTokenSort, TokenScope};
use hive_core::wire::{ApiKeyId, RegistrationTokenId};

use super::moment::parse_duration;
use super::sorting::SortArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum TokensCommand {
    /// Create a token, with which one satellite can join
    Create(TokensCreateArgs),
    /// List tokens, without their secrets
    #[command(after_help = "Example:\n  hive tokens list")]
    List(SortArgs<RegistrationTokenSort>),
    /// Revoke a token that is not used yet
    #[command(after_help = "Example:\n  hive tokens revoke reg_01m7zr6n3tf0mb0g8n9t2k5c1d")]
    Revoke {
        /// Its id
        id: RegistrationTokenId,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Only the token is printed, so that a script can read it.

A new machine takes over the name of an existing satellite with a token made for it (--for), as after a
reinstallation; without --for only while that satellite is offline. A satellite gets the tags of its token.
Tags that its agent claims (`satellite-agent --tag`) it gets only if --allow-tag permits them.

Examples:
  hive tokens create --description 'for web-server-02' --tag web --allow-tag 'dc:*'
  hive tokens create --for web-server-02
  hive tokens create --team ops | satellite-agent --server https://hive.example.com \\
    --name web-server-02 --registration-token-file -")]
pub(crate) struct TokensCreateArgs {
    /// For the whole hive, or for one team [default: team with --team, else global]
    #[arg(long, value_enum)]
    pub(crate) scope: Option<Scope>,
    /// The team, by slug or id
    #[arg(long, required_if_eq("scope", "team"))]
    pub(crate) team: Option<String>,
    /// The satellite that it may replace, by name or id, as after a reinstallation
    #[arg(long = "for", value_name = "NAME", conflicts_with_all = ["scope", "team", "tag", "allow_tag"])]
    pub(crate) for_satellite: Option<String>,
    /// Give the satellite this tag; may be repeated
    #[arg(long)]
    pub(crate) tag: Vec<String>,
    /// Let the agent claim tags of this pattern, such as dc:*; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub(crate) allow_tag: Vec<String>,
    /// Its lifetime [default: 1 for the hive, 24 for a team]
    #[arg(long, value_name = "HOURS")]
    pub(crate) expires_in_hours: Option<u32>,
    /// A description of its purpose
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
}

/// The scope of a token.
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
pub(crate) enum ApiKeysCommand {
    /// Create a key and print it once
    Create(ApiKeysCreateArgs),
    /// List your keys, or those of another user, without their secrets
    #[command(after_help = "Examples:\n  hive api-keys list --sort -last_used_at\n  hive api-keys list --user anna")]
    List {
        /// The user whose keys are listed, by name or id; other users are for admins
        #[arg(long)]
        user: Option<String>,
        #[command(flatten)]
        order: SortArgs<ApiKeySort>,
    },
    /// Give a key a new secret and print it once; the old secret is revoked at once, or after --overlap
    #[command(after_help = "Example:\n  hive api-keys rotate key_01m7zr6n3tf0mb0g8n9t2k5c1d --overlap 1h")]
    Rotate {
        /// Its id
        id: ApiKeyId,
        /// How long the old secret stays valid, such as 30m or 2h, at most 7d
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        overlap: Option<Duration>,
    },
    /// Revoke a key and all that was made with it, at once
    #[command(after_help = "Example:\n  hive api-keys revoke key_01m7zr6n3tf0mb0g8n9t2k5c1d")]
    Revoke {
        /// Its id
        id: ApiKeyId,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Only the key is printed, so that a script can read it.

A key can do what you can do now. Each option limits it further; what you lose later, it loses too.

Examples:
  hive api-keys create --name 'nightly backup' --expires-in 30d
  hive api-keys create --name ci --scope satellites.read --scope satellites.exec --satellites tag:staging \\
    --address 192.0.2.0/24")]
pub(crate) struct ApiKeysCreateArgs {
    /// A description of its purpose
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    pub(crate) name: String,
    /// Limit it to this permission, such as satellites.read; may be repeated
    #[arg(long, value_name = "PERMISSION")]
    pub(crate) scope: Vec<String>,
    /// Limit it to the satellites with this tag, such as tag:staging; may be repeated
    #[arg(long, value_name = "tag:TAG")]
    pub(crate) satellites: Vec<String>,
    /// Accept it from this network or address alone, such as 192.0.2.0/24; may be repeated
    #[arg(long, value_name = "NETWORK")]
    pub(crate) address: Vec<String>,
    /// Its lifetime in whole hours or days, such as 12h or 90d [default: unlimited]
    #[arg(long, value_name = "DURATION", value_parser = parse_hours, conflicts_with = "expires_in_hours")]
    pub(crate) expires_in: Option<u32>,
    /// Its lifetime in hours
    #[arg(long, value_name = "HOURS")]
    pub(crate) expires_in_hours: Option<u32>,
    /// The most calls in a minute [default: unlimited]
    #[arg(long, value_name = "CALLS")]
    pub(crate) rate_per_minute: Option<u32>,
}

fn parse_hours(text: &str) -> Result<u32, String> {
    let seconds = parse_duration(text)?.as_secs();
    let hours = u32::try_from(seconds / 3600).ok().filter(|hours| u64::from(*hours) * 3600 == seconds);
    hours.ok_or_else(|| "must be whole hours or days, such as 12h or 90d".to_owned())
}
