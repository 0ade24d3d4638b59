//! The satellites that a caller may see, for those who show them and what changes of them.

use hive_wire::SatelliteId;
use hive_wire::api::Satellite;
use hive_wire::ui::SatelliteCounts;

use super::Satellites;
use crate::Result;
use crate::access::{Permission, Principal, VisibleScope, visible_scope};
use crate::store::{RowOrder as _, RowRange, SatelliteOrder, SatelliteQuery};

impl Satellites {
    /// Returns the satellites that a principal may see, by name.
    pub(crate) async fn visible_ids(&self, principal: &Principal) -> Result<Vec<SatelliteId>> {
        Ok(self.store.satellite_list_ids(&readable(principal), RowRange::ALL).await?)
    }

    /// Returns those of these satellites that a principal may see, by name.
    pub(crate) async fn visible_of(&self, principal: &Principal, ids: Vec<SatelliteId>) -> Result<Vec<Satellite>> {
        let rows = self.rows_of(&readable(principal), ids, SatelliteOrder::DEFAULT).await?;
        Ok(self.views(rows).await)
    }

    /// Counts the satellites of a scope.
    pub(crate) async fn counts(&self, scope: &VisibleScope) -> Result<SatelliteCounts> {
        let query = SatelliteQuery::visible_to(scope.clone());
        let ids = self.store.satellite_list_ids(&query, RowRange::ALL).await?;
        let online = ids.iter().filter(|id| self.links.is_online(**id)).count();
        Ok(SatelliteCounts { total: ids.len() as u64, online: online as u64 })
    }
}

fn readable(principal: &Principal) -> SatelliteQuery {
    SatelliteQuery::visible_to(visible_scope(principal, &Permission::SatellitesRead))
}
