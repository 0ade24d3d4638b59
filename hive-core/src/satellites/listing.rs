//! Lists of satellites.
//!
//! The store filters and sorts by what it has. Whether a satellite has a link, and when it was last heard of, is known in memory
//! and in telemetry: for these the store gives the ids of all that match, from an index, and then the rows of one part.

use std::cmp::Ordering;
use std::collections::HashMap;

use hive_wire::SatelliteId;
use hive_wire::api::{Page, PageRequest, Satellite, SatelliteFilter, SatelliteSort, Sort};
use serde::Serialize;

use super::Satellites;
use crate::access::{Permission, Principal, visible_scope};
use crate::authorization::group_for;
use crate::lists::listing::Listing;
use crate::store::{
    KeyKind, RowOrder, RowRange, RowStart, SatelliteOrder, SatelliteQuery, SatelliteRow, SatelliteSelection, SortKey,
    SortValue,
};
use crate::{Error, Result};

/// The column of the store; `None` for the one that it has not.
fn stored(column: SatelliteSort) -> Option<SatelliteOrder> {
    match column {
        SatelliteSort::Name => Some(SatelliteOrder::Name),
        SatelliteSort::Status => Some(SatelliteOrder::Status),
        SatelliteSort::CreatedAt => Some(SatelliteOrder::CreatedAt),
        SatelliteSort::LastSeen => None,
    }
}

fn kind(column: SatelliteSort) -> KeyKind {
    stored(column).map_or(KeyKind::OptionalNumber, RowOrder::kind)
}

impl Satellites {
    /// Lists the satellites that match a filter and that the principal sees.
    pub(super) async fn list(
        &self,
        principal: &Principal,
        filter: SatelliteFilter,
        request: PageRequest<SatelliteSort>,
    ) -> Result<Page<Satellite>> {
        let listing = Listing::new(&("satellites", &filter), request, kind)?;
        let SatelliteFilter { online, status, tags, search, team_id, group } = filter;
        let permission = &Permission::SatellitesRead;
        let visible = visible_scope(principal, permission);
        let mut query = SatelliteQuery { visible, status, tags, search, team_id, ids: None, selection: None };
        if let Some(group) = group {
            let group = group_for(self.group_store.as_ref(), principal, &group, permission).await?;
            query.selection = Some(SatelliteSelection::of_group(&group));
            match (query.team_id, group.team_id) {
                (Some(team), Some(of_group)) if team != of_group => query.ids = Some(Vec::new()),
                (team, of_group) => query.team_id = team.or(of_group),
            }
        }
        self.part(&query, online, &listing).await
    }

    /// Lists the satellites that match a query. `list` tells the list from all others.
    pub(crate) async fn list_matching(
        &self,
        list: &impl Serialize,
        query: &SatelliteQuery,
        request: PageRequest<SatelliteSort>,
    ) -> Result<Page<Satellite>> {
        self.part(query, None, &Listing::new(list, request, kind)?).await
    }

    async fn part(
        &self,
        query: &SatelliteQuery,
        online: Option<bool>,
        listing: &Listing<SatelliteSort>,
    ) -> Result<Page<Satellite>> {
        let Some(column) = stored(listing.sort.column) else {
            return self.part_by_last_seen(query, online, listing).await;
        };
        let sort = Sort { column, is_descending: listing.sort.is_descending };
        if let Some(online) = online {
            return self.part_by_presence(query, online, sort, listing).await;
        }
        let (mut rows, total) = self.store.satellite_list(query, listing.range_by(sort)).await?;
        let next = listing.cut(&mut rows, |last| column.key(last));
        Ok(listing.page(self.views(rows).await, total, next))
    }

    /// Returns the part of a list of those that are online, or offline.
    async fn part_by_presence(
        &self,
        query: &SatelliteQuery,
        online: bool,
        sort: Sort<SatelliteOrder>,
        listing: &Listing<SatelliteSort>,
    ) -> Result<Page<Satellite>> {
        let (start, skipped) = match &listing.start {
            RowStart::Offset(offset) => (RowStart::Offset(0), *offset as usize),
            after @ RowStart::After(_) => (after.clone(), 0),
        };
        let ids = self.present(query, Some(online), RowRange { sort, start, limit: u32::MAX }).await?;
        let total = match listing.start {
            RowStart::Offset(_) => ids.len(),
            // The ids behind the cursor do not tell how many are in front of it.
            RowStart::After(_) => self.present(query, Some(online), RowRange::ALL).await?.len(),
        };
        let mut parts = ids.get(skipped..).unwrap_or_default().chunks(listing.per_page as usize).peekable();
        let mut rows = Vec::new();
        // All of a part may have been removed since their ids were read, and the list must not end there.
        while let Some(part) = if rows.is_empty() { parts.next() } else { None } {
            rows = self.rows_of(query, part.to_vec(), sort).await?;
        }
        let next = rows.last().filter(|_| parts.peek().is_some()).map(|last| listing.cursor(&sort.column.key(last)));
        // The link of one may have come or gone since the ids were looked at: a page has what it says.
        let mut items = self.views(rows).await;
        items.retain(|satellite| satellite.online == online);
        Ok(listing.page(items, total as u64, next))
    }

    /// Returns the part of a list that is sorted by the last heartbeat.
    async fn part_by_last_seen(
        &self,
        query: &SatelliteQuery,
        online: Option<bool>,
        listing: &Listing<SatelliteSort>,
    ) -> Result<Page<Satellite>> {
        let ids = self.present(query, online, RowRange::ALL).await?;
        let seen = self.telemetry.last_seen(&ids).await;
        let of = |id: SatelliteId| LastHeartbeat { at: seen.get(&id).map(|at| at.as_micros()), id };
        let mut all: Vec<_> = ids.into_iter().map(of).collect();
        let is_descending = listing.sort.is_descending;
        all.sort_unstable_by(|one, other| one.compare(other, is_descending));
        let first = match &listing.start {
            RowStart::Offset(offset) => *offset as usize,
            RowStart::After(key) => {
                let key = LastHeartbeat::of_key(key)?;
                all.partition_point(|one| one.compare(&key, is_descending) != Ordering::Greater)
            }
        };
        let rest = all.get(first..).unwrap_or_default();
        let part = &rest[..rest.len().min(listing.per_page as usize)];
        let next = part.last().filter(|_| rest.len() > part.len()).map(|last| listing.cursor(&last.key()));
        let rows = self.rows_of(query, part.iter().map(|one| one.id).collect(), SatelliteOrder::DEFAULT).await?;
        let mut rows: HashMap<_, _> = rows.into_iter().map(|row| (row.id, row)).collect();
        let rows = part.iter().filter_map(|one| rows.remove(&one.id)).collect();
        let mut items = self.views(rows).await;
        items.retain(|satellite| online.is_none_or(|online| satellite.online == online));
        Ok(listing.page(items, all.len() as u64, next))
    }

    /// Returns the ids of those that match, and that are online or offline.
    async fn present(
        &self,
        query: &SatelliteQuery,
        online: Option<bool>,
        range: RowRange<SatelliteOrder>,
    ) -> Result<Vec<SatelliteId>> {
        let mut ids = self.store.satellite_list_ids(query, range).await?;
        ids.retain(|id| online.is_none_or(|online| self.links.is_online(*id) == online));
        Ok(ids)
    }

    /// Returns those of these satellites that match.
    pub(super) async fn rows_of(
        &self,
        query: &SatelliteQuery,
        ids: Vec<SatelliteId>,
        sort: Sort<SatelliteOrder>,
    ) -> Result<Vec<SatelliteRow>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let query = SatelliteQuery { ids: Some(ids), ..query.clone() };
        let (rows, _) = self.store.satellite_list(&query, RowRange { sort, ..RowRange::ALL }).await?;
        Ok(rows)
    }
}

/// When a satellite was last heard of, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LastHeartbeat {
    at: Option<i64>,
    id: SatelliteId,
}

impl LastHeartbeat {
    fn key(self) -> SortKey {
        SortKey { value: self.at.map(SortValue::Number), id: self.id.to_string() }
    }

    fn of_key(key: &SortKey) -> Result<Self> {
        let at = match key.value {
            Some(SortValue::Number(at)) => Some(at),
            Some(SortValue::Text(_)) | None => None,
        };
        let id = key.id.parse().map_err(|_| Error::invalid("cursor", "must be the next_cursor of an answer"))?;
        Ok(Self { at, id })
    }

    /// The order of the list: those that were never heard of are last in both directions, as in the store.
    fn compare(&self, other: &Self, is_descending: bool) -> Ordering {
        let is_unheard = self.at.is_none().cmp(&other.at.is_none());
        let by_time = self.at.cmp(&other.at).then(self.id.cmp(&other.id));
        is_unheard.then(if is_descending { by_time.reverse() } else { by_time })
    }
}

#[cfg(test)]
mod tests {
    use hive_wire::id::Seed;

    use super::*;

    fn of_time(at: Option<i64>, number: u8) -> LastHeartbeat {
        LastHeartbeat { at, id: SatelliteId::new(Seed { unix_millis: 1, random: [number; 10] }) }
    }

    #[test]
    fn satellites_that_were_never_heard_of_are_last() {
        let [early, late, twin, never] =
            [(Some(1), 1), (Some(2), 2), (Some(2), 3), (None, 4)].map(|(at, n)| of_time(at, n));
        let sorted = |is_descending| {
            let mut all = [never, twin, late, early];
            all.sort_by(|one, other| one.compare(other, is_descending));
            all
        };
        assert_eq!(sorted(false), [early, late, twin, never]);
        assert_eq!(sorted(true), [twin, late, early, never]);
    }

    #[test]
    fn a_key_of_the_list_reads_back() {
        for one in [of_time(Some(7), 1), of_time(None, 2)] {
            assert_eq!(LastHeartbeat::of_key(&one.key()).unwrap(), one);
        }
        assert!(LastHeartbeat::of_key(&SortKey::number(7, "x")).is_err());
    }
}
