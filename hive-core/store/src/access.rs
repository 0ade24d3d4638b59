//! The access types that are stored or that filter queries: permissions of an API key, the authority behind a command, and
//! the scope of the rows that a caller may see.
//!
//! Decisions are not made here. Which role grants which permission is in `hive_core::access`.

mod authority;

use std::collections::BTreeSet;

use hive_wire::TeamId;

pub use authority::Authority;
pub use hive_wire::Permission;
pub use hive_wire::api::Role;

/// The teams whose rows a caller may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VisibleTeams {
    /// Rows of all teams, and those without a team.
    All,
    /// Rows of these teams.
    Teams(Vec<TeamId>),
}

impl VisibleTeams {
    /// Whether a row of this team is visible.
    pub fn covers(&self, team: Option<TeamId>) -> bool {
        match self {
            Self::All => true,
            Self::Teams(teams) => team.is_some_and(|team| teams.contains(&team)),
        }
    }
}

/// The rows that a caller may see: a condition of the query, so that lists and totals are under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisibleScope {
    /// The teams.
    pub teams: VisibleTeams,
    /// The tags of which a satellite has to have one. With them, rows that are not about a satellite are hidden.
    pub tags: Option<BTreeSet<String>>,
}

impl VisibleScope {
    /// All rows.
    pub const ALL: Self = Self { teams: VisibleTeams::All, tags: None };

    /// The rows of these teams.
    pub fn of_teams(teams: impl IntoIterator<Item = TeamId>) -> Self {
        Self { teams: VisibleTeams::Teams(teams.into_iter().collect()), tags: None }
    }

    /// Whether nothing is visible, whatever is stored.
    pub fn is_nothing(&self) -> bool {
        self.teams == VisibleTeams::Teams(Vec::new())
    }

    /// Whether a row of this team is visible. `tags` has those of its satellite; `None` for a row of no satellite.
    pub fn covers(&self, team: Option<TeamId>, tags: Option<&[String]>) -> bool {
        let has_tag =
            |selected: &BTreeSet<String>| tags.is_some_and(|tags| tags.iter().any(|tag| selected.contains(tag)));
        self.teams.covers(team) && self.tags.as_ref().is_none_or(has_tag)
    }
}
