//! Satellites.

use clap::{Args, Subcommand, ValueEnum};
use hive_core::wire::SatelliteName;
use hive_core::wire::api::SatelliteStatus;

#[derive(Debug, Subcommand)]
pub(crate) enum SatellitesCommand {
    /// List satellites
    List(ListArgs),
    /// Show one satellite
    Get {
        /// Its name or id
        satellite: String,
    },
    /// Change a satellite
    Update(UpdateArgs),
    /// Remove a satellite: its key is dead at once
    Remove {
        /// Its name or id
        satellite: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only those with this label; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// Only those online, or offline
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) online: Option<bool>,
    /// Only those whose name or host name contains this
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// Its name or id
    pub(crate) satellite: String,
    /// A new name
    #[arg(long, value_parser = parse_name)]
    pub(crate) name: Option<SatelliteName>,
    /// Its labels, all of them; may be repeated
    #[arg(long = "tag", value_name = "TAG", conflicts_with = "no_tags")]
    pub(crate) tags: Vec<String>,
    /// Take all labels away
    #[arg(long)]
    pub(crate) no_tags: bool,
    /// A new status
    #[arg(long, value_enum)]
    pub(crate) status: Option<Status>,
    /// Where it stands
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// The team it serves from now on, by slug or id
    #[arg(long, value_name = "TEAM", conflicts_with = "no_team")]
    pub(crate) team: Option<String>,
    /// Let it serve the whole hive
    #[arg(long)]
    pub(crate) no_team: bool,
}

fn parse_name(text: &str) -> Result<SatelliteName, hive_core::wire::InvalidName> {
    text.try_into()
}

/// The status a person may set.
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
