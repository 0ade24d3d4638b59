//! Which satellites the targets of a request are.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

use hive_wire::api::{SatelliteStatus, Target};
use hive_wire::{SatelliteId, SatelliteName};

use super::Satellites;
use super::registry::ROWS_AT_ONCE;
use crate::access::{Permission, Principal, Resource, visible_scope};
use crate::authorization::{authorize, group_for};
use crate::store::{SatelliteQuery, SatelliteRow, SatelliteSelection};
use crate::{Error, Result};

/// The most targets of a request; a label, or `all`, stands for any number of satellites.
const MAX_TARGETS: usize = 10_000;

/// The satellites that a request names one by one.
#[derive(Default)]
struct NamedSatellites {
    by_id: HashMap<SatelliteId, SatelliteRow>,
    by_name: HashMap<SatelliteName, SatelliteRow>,
}

impl Satellites {
    /// Resolves targets to the satellites on which the principal has the permission, each once, by name.
    pub(crate) async fn resolve(
        &self,
        principal: &Principal,
        targets: &[Target],
        permission: &Permission,
    ) -> Result<Vec<SatelliteRow>> {
        if !(1..=MAX_TARGETS).contains(&targets.len()) {
            return Err(Error::invalid("targets", format!("must name 1 to {MAX_TARGETS}")));
        }
        let named = self.read_named(targets).await?;
        let mut found = BTreeMap::new();
        for target in targets {
            let rows = self.resolve_one(principal, target, &named, permission).await?;
            // A misspelt label must not look like a command that ran on no satellite.
            if rows.is_empty() {
                return Err(Error::invalid("targets", format!("no satellite for {target}")));
            }
            found.extend(rows.into_iter().map(|row| (row.name.clone(), row)));
        }
        Ok(found.into_values().collect())
    }

    /// Reads the satellites that are named one by one, many of them in one statement.
    async fn read_named(&self, targets: &[Target]) -> Result<NamedSatellites> {
        let (mut ids, mut names) = (Vec::new(), Vec::new());
        for target in targets {
            match target {
                Target::Id(id) => ids.push(*id),
                Target::Name(name) => names.push(name.clone()),
                Target::All | Target::Tag(_) | Target::Query(_) | Target::Group(_) => {}
            }
        }
        let mut named = NamedSatellites::default();
        for ids in ids.chunks(ROWS_AT_ONCE) {
            named.by_id.extend(self.store.satellite_get_many(ids).await?.into_iter().map(|row| (row.id, row)));
        }
        for names in names.chunks(ROWS_AT_ONCE) {
            let rows = self.store.satellite_find_many(names).await?;
            named.by_name.extend(rows.into_iter().map(|row| (row.name.clone(), row)));
        }
        Ok(named)
    }

    async fn resolve_one(
        &self,
        principal: &Principal,
        target: &Target,
        named: &NamedSatellites,
        permission: &Permission,
    ) -> Result<Vec<SatelliteRow>> {
        // A target that cannot be written as text cannot be asked for by a remote caller either.
        target.to_string().parse::<Target>().map_err(|error| Error::invalid("targets", error.to_string()))?;
        let visible = || SatelliteQuery::visible_to(visible_scope(principal, permission));
        match target {
            Target::All => self.activated(visible()).await,
            Target::Tag(tag) => {
                let tags = vec![tag.clone()];
                self.activated(SatelliteQuery { tags, ..visible() }).await
            }
            Target::Query(query) => {
                let selection = Some(SatelliteSelection::of_query(query.clone()));
                self.rows_matching(&SatelliteQuery { selection, ..visible() }).await
            }
            Target::Group(group) => {
                let group = group_for(self.group_store.as_ref(), principal, group, permission).await?;
                let (team_id, selection) = (group.team_id, Some(SatelliteSelection::of_group(&group)));
                self.rows_matching(&SatelliteQuery { team_id, selection, ..visible() }).await
            }
            // A hidden one is named as the caller named it: the caller must not learn its id.
            Target::Id(id) => allowed(principal, named.by_id.get(id), permission, id).map(|row| vec![row]),
            Target::Name(name) => allowed(principal, named.by_name.get(name), permission, name).map(|row| vec![row]),
        }
    }

    /// Returns what matches and was activated once. One in maintenance is a target that is not run. One that was never activated
    /// is no part of the fleet yet.
    async fn activated(&self, query: SatelliteQuery) -> Result<Vec<SatelliteRow>> {
        let mut rows = self.rows_matching(&query).await?;
        rows.retain(|row| row.status != SatelliteStatus::Inactive);
        Ok(rows)
    }
}

/// Checks the permission on a satellite that is asked for as `name`.
fn allowed(
    principal: &Principal,
    row: Option<&SatelliteRow>,
    permission: &Permission,
    name: impl Display,
) -> Result<SatelliteRow> {
    let no_satellite = || Error::SatelliteNotFound(name.to_string());
    let row = row.ok_or_else(no_satellite)?;
    authorize(principal, permission, row.scope(), no_satellite)?;
    Ok(row.clone())
}
