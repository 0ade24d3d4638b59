//! Which satellites the targets of a request are.

use std::collections::BTreeMap;

use hive_wire::api::{SatelliteStatus, Target};

use super::Satellites;
use crate::access::{Permission, Principal, visible_scope};
use crate::authorization::{authorize_satellite, satellite_for};
use crate::store::{SatelliteQuery, SatelliteRow};
use crate::{Error, Result};

/// The most targets of a request; a label, or `all`, stands for any number of satellites.
const MAX_TARGETS: usize = 10_000;

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
        let mut found = BTreeMap::new();
        for target in targets {
            let rows = self.resolve_one(principal, target, permission).await?;
            // A misspelt label must not look like a command that ran on no satellite.
            if rows.is_empty() {
                return Err(Error::invalid("targets", format!("no satellite for {target}")));
            }
            found.extend(rows.into_iter().map(|row| (row.name.clone(), row)));
        }
        Ok(found.into_values().collect())
    }

    async fn resolve_one(
        &self,
        principal: &Principal,
        target: &Target,
        permission: &Permission,
    ) -> Result<Vec<SatelliteRow>> {
        // A target that cannot be written as text cannot be asked for by a remote caller either.
        target.to_string().parse::<Target>().map_err(|error| Error::invalid("targets", error.to_string()))?;
        match target {
            Target::All => self.usable(principal, Vec::new(), permission).await,
            Target::Tag(tag) => self.usable(principal, vec![tag.clone()], permission).await,
            Target::Id(id) => Ok(vec![satellite_for(self.store.as_ref(), principal, *id, permission).await?]),
            Target::Name(name) => {
                let no_satellite = || Error::SatelliteNotFound(name.to_string());
                let row = self.store.satellite_find(name).await?.ok_or_else(no_satellite)?;
                // A hidden one is named as the caller named it: the caller must not learn its id.
                let allowed = authorize_satellite(principal, row, permission).map_err(|error| match error {
                    Error::SatelliteNotFound(_) => no_satellite(),
                    other => other,
                });
                Ok(vec![allowed?])
            }
        }
    }

    async fn usable(
        &self,
        principal: &Principal,
        tags: Vec<String>,
        permission: &Permission,
    ) -> Result<Vec<SatelliteRow>> {
        let mut query = SatelliteQuery::visible_to(visible_scope(principal, permission));
        query.tags = tags;
        let mut rows = self.rows_matching(&query).await?;
        // One in maintenance is a target that is not run. One that was never activated is no part of the fleet yet.
        rows.retain(|row| row.status != SatelliteStatus::Inactive);
        Ok(rows)
    }
}
