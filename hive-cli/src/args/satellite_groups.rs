//! `hive groups`.

use clap::{Args, Subcommand};
use hive_core::wire::api::GroupSort;
use hive_core::wire::{GroupName, InvalidGroupName, TagQuery};

use super::sorting::SortArgs;
use crate::completion;

const QUERY_HELP: &str = "\
A query selects satellites by their tags: tags, AND, OR, NOT in upper case, parentheses, and `all`. A query that only \
excludes needs `all`: `all AND NOT canary`.

Examples:
  hive groups create web --query 'production AND (web OR api) AND NOT canary'
  hive groups create edge --team ops --member gateway-01 --member gateway-02
  hive exec group:web -- uptime";

#[derive(Debug, Subcommand)]
pub(crate) enum GroupsCommand {
    /// List groups
    #[command(after_help = "Example:\n  hive groups list --team ops")]
    List {
        /// Only groups of this team, by slug or id
        #[arg(long)]
        team: Option<String>,
        /// Only groups whose name contains this text
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        #[command(flatten)]
        order: SortArgs<GroupSort>,
        /// List at most this many [default: all]
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Show a group, and how many satellites it has now
    #[command(visible_alias = "get", after_help = "Example:\n  hive groups show web")]
    Show {
        /// Its name or id
        #[arg(add = completion::groups())]
        group: String,
    },
    /// Create a group
    #[command(after_help = QUERY_HELP)]
    Create {
        /// Its name: 1 to 32 of a-z, 0-9, - and _
        #[arg(value_parser = parse_name)]
        name: GroupName,
        /// The team whose satellites it may have, by slug or id [default: the whole hive]
        #[arg(long)]
        team: Option<String>,
        /// Select satellites by their tags
        #[arg(long, value_name = "QUERY")]
        query: Option<TagQuery>,
        /// List this satellite, by name or id; may be repeated
        #[arg(long = "member", value_name = "SATELLITE", add = completion::satellites())]
        members: Vec<String>,
    },
    /// Change a group
    Update(GroupUpdateArgs),
    /// Remove a group; its satellites and jobs stay
    #[command(alias = "remove", alias = "rm", after_help = "Example:\n  hive groups delete web")]
    Delete {
        /// Its name or id
        #[arg(add = completion::groups())]
        group: String,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// List the satellites that a group has now
    #[command(after_help = "Example:\n  hive groups members web")]
    Members {
        /// Its name or id
        #[arg(add = completion::groups())]
        group: String,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Options that are not given change nothing. --member replaces all listed satellites; --add-member and --remove-member change \
single ones.

Examples:
  hive groups update web --query 'production AND web'
  hive groups update edge --add-member gateway-03 --remove-member gateway-01")]
pub(crate) struct GroupUpdateArgs {
    /// Its name or id
    #[arg(add = completion::groups())]
    pub(crate) group: String,
    /// The new name
    #[arg(long, value_parser = parse_name)]
    pub(crate) name: Option<GroupName>,
    /// The new query
    #[arg(long, value_name = "QUERY", conflicts_with = "no_query")]
    pub(crate) query: Option<TagQuery>,
    /// Select no satellites by their tags any more
    #[arg(long)]
    pub(crate) no_query: bool,
    /// Replace all listed satellites; may be repeated
    #[arg(long = "member", value_name = "SATELLITE", conflicts_with = "no_members", add = completion::satellites())]
    pub(crate) members: Vec<String>,
    /// List no satellites any more
    #[arg(long)]
    pub(crate) no_members: bool,
    /// List this satellite too; may be repeated
    #[arg(long = "add-member", value_name = "SATELLITE", add = completion::satellites())]
    pub(crate) added: Vec<String>,
    /// List this satellite no more; may be repeated
    #[arg(long = "remove-member", value_name = "SATELLITE", add = completion::satellites())]
    pub(crate) removed: Vec<String>,
}

fn parse_name(text: &str) -> Result<GroupName, InvalidGroupName> {
    text.try_into()
}
