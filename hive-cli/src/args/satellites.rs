//! `hive satellites`.

use clap::{Args, Subcommand, ValueEnum};
use hive_core::wire::SatelliteName;
use hive_core::wire::api::{SatelliteSort, SatelliteStatus};

use super::AddressesArgs;
use super::sorting::SortArgs;
use crate::completion;

#[derive(Debug, Subcommand)]
pub(crate) enum SatellitesCommand {
    /// List satellites
    List(ListArgs),
    /// Show one satellite
    #[command(visible_alias = "show", after_help = "Example:\n  hive satellites get web-server-01")]
    Get {
        /// Its name or id
        #[arg(add = completion::satellites())]
        satellite: String,
    },
    /// Change a satellite
    Update(UpdateArgs),
    /// List the tags of the satellites
    #[command(after_help = "Example:\n  hive satellites tags")]
    Tags,
    /// Show or set the networks from which a satellite may connect
    #[command(after_help = "\
The link of a satellite that is elsewhere ends at once. The satellite keeps its key, and connects again when the list allows it.

Examples:
  hive satellites addresses web-server-01
  hive satellites addresses web-server-01 192.0.2.0/24
  hive satellites addresses web-server-01 --clear")]
    Addresses(AddressesArgs),
    /// Close a satellite's link; the satellite reconnects by itself
    #[command(after_help = "Example:\n  hive satellites disconnect web-server-01")]
    Disconnect {
        /// Its name or id
        #[arg(add = completion::satellites())]
        satellite: String,
    },
    /// Remove a satellite and revoke its key at once
    #[command(alias = "rm", after_help = "Example:\n  hive satellites remove web-server-01")]
    Remove {
        /// Its name or id
        #[arg(add = completion::satellites())]
        satellite: String,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
A satellite must match all of the options.

Examples:
  hive satellites list --tag web --tag production --online
  hive satellites list --online false -o json
  hive satellites list --sort -last_seen --limit 10")]
pub(crate) struct ListArgs {
    /// Only satellites with this tag; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// Only online satellites; with --online false, only offline ones
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    #[arg(hide_possible_values = true)]
    pub(crate) online: Option<bool>,
    /// Only satellites with this status
    #[arg(long, value_enum)]
    pub(crate) status: Option<Status>,
    /// Only satellites whose name or host name contains this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
    /// Only satellites of this team, by slug or id
    #[arg(long)]
    pub(crate) team: Option<String>,
    /// Only satellites that this group has now, by its name or id
    #[arg(long, add = completion::groups())]
    pub(crate) group: Option<String>,
    #[command(flatten)]
    pub(crate) order: SortArgs<SatelliteSort>,
    /// List at most this many [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Options that are not given change nothing. --tag replaces all tags; --add-tag and --remove-tag change single ones.

Examples:
  hive satellites update web-server-01 --add-tag production --region eu-central
  hive satellites update web-server-01 --status maintenance
  hive satellites update web-server-01 --team ops")]
pub(crate) struct UpdateArgs {
    /// Its name or id
    #[arg(add = completion::satellites())]
    pub(crate) satellite: String,
    /// The new name
    #[arg(long, value_parser = parse_name)]
    pub(crate) name: Option<SatelliteName>,
    /// Replace all tags; may be repeated
    #[arg(long = "tag", value_name = "TAG", conflicts_with = "no_tags")]
    pub(crate) tags: Vec<String>,
    /// Add a tag; may be repeated
    #[arg(long = "add-tag", value_name = "TAG", conflicts_with_all = ["tags", "no_tags"])]
    pub(crate) added_tags: Vec<String>,
    /// Remove a tag; may be repeated
    #[arg(long = "remove-tag", value_name = "TAG", conflicts_with_all = ["tags", "no_tags"])]
    pub(crate) removed_tags: Vec<String>,
    /// Remove all tags
    #[arg(long)]
    pub(crate) no_tags: bool,
    /// The new status
    #[arg(long, value_enum)]
    pub(crate) status: Option<Status>,
    /// The new region
    #[arg(long, value_name = "TEXT")]
    pub(crate) region: Option<String>,
    /// Move it to this team, by slug or id
    #[arg(long, conflicts_with = "no_team")]
    pub(crate) team: Option<String>,
    /// Make it a satellite of the whole hive
    #[arg(long)]
    pub(crate) no_team: bool,
}

fn parse_name(text: &str) -> Result<SatelliteName, hive_core::wire::InvalidName> {
    text.try_into()
}

/// The status that a user may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Status {
    Inactive,
    Active,
    Maintenance,
}

impl From<Status> for SatelliteStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Inactive => Self::Inactive,
            Status::Active => Self::Active,
            Status::Maintenance => Self::Maintenance,
        }
    }
}
