//! Satellites, and what happens to them.

use std::sync::Arc;

use futures_util::StreamExt as _;
use hive_core::EventItem;
use hive_core::lists::collect;

use crate::feed::or_broken;
use crate::lookup::{find_satellite, find_satellite_id};
use crate::records::{Satellite, SatelliteEvent, SatelliteFilter, SatelliteUpdate, parse_sort};
use crate::{Hive, HiveError, SatelliteEvents};

#[uniffi::export]
impl Hive {
    /// Lists the satellites that the caller may see and that match the filter, by name unless another order is asked for.
    pub async fn satellite_list(&self, filter: SatelliteFilter) -> Result<Vec<Satellite>, HiveError> {
        let list = |hive: Arc<dyn hive_core::HiveApi>| async move {
            let sort = parse_sort(filter.sort.as_deref())?;
            let filter: hive_core::wire::api::SatelliteFilter = filter.try_into()?;
            let registry = hive.satellites();
            let satellites = collect(usize::MAX, sort, |page| registry.list(filter.clone(), page)).await?;
            Ok(satellites.into_iter().map(Satellite::from).collect())
        };
        self.call(list).await
    }

    /// Returns the satellite with this id or name.
    pub async fn satellite_get(&self, satellite: String) -> Result<Satellite, HiveError> {
        self.call(|hive| async move { Ok(find_satellite(hive.as_ref(), &satellite).await?.into()) }).await
    }

    /// Changes what a person may change of a satellite.
    pub async fn satellite_update(&self, satellite: String, update: SatelliteUpdate) -> Result<Satellite, HiveError> {
        let change = |hive: Arc<dyn hive_core::HiveApi>| async move {
            let id = find_satellite_id(hive.as_ref(), &satellite).await?;
            Ok(hive.satellites().update(id, update.try_into()?).await?.into())
        };
        self.call(change).await
    }

    /// Removes a satellite. Its key is invalid, its link ends, and its open commands are cancelled or of unknown outcome.
    pub async fn satellite_remove(&self, satellite: String) -> Result<(), HiveError> {
        let remove = |hive: Arc<dyn hive_core::HiveApi>| async move {
            let id = find_satellite_id(hive.as_ref(), &satellite).await?;
            Ok(hive.satellites().remove(id).await?)
        };
        self.call(remove).await
    }

    /// Ends a satellite's link. The satellite reconnects unless it was removed.
    pub async fn satellite_disconnect(&self, satellite: String) -> Result<(), HiveError> {
        let end = |hive: Arc<dyn hive_core::HiveApi>| async move {
            let id = find_satellite_id(hive.as_ref(), &satellite).await?;
            Ok(hive.satellites().mark_offline(id).await?)
        };
        self.call(end).await
    }

    /// Returns what happens to satellites from now on.
    pub async fn satellite_events(&self) -> Result<Arc<SatelliteEvents>, HiveError> {
        let events = self.call(|hive| async move { Ok(hive.satellites().subscribe(None).await?) }).await?;
        // A listener for whom something was dropped is told to list anew, as one whose stream broke off.
        let events = events.take_while(|item| std::future::ready(!matches!(item, EventItem::Resync(_))));
        // Events of an unknown kind are left out: a program of this version cannot handle them.
        let events = events.filter_map(async |item| SatelliteEvent::from_wire(item.event()?.clone()));
        // Events have no end: whenever the stream ends, it has broken off.
        let broken = "the events broke off: list the satellites anew, and listen again";
        Ok(SatelliteEvents::new(self.engine.clone(), or_broken(events, broken, |_| false)))
    }
}
