//! Lists in parts: whoever goes through a list by its keys gets each row once and in order, while others come and go.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::time::Duration;

use hive_store::access::{VisibleScope, VisibleTeams};
use hive_store::{
    ApiKeyRow, JobEnd, NewSatellite, RegisterOutcome, RowOrder, RowRange, RowStart, SatelliteOrder, SatellitePatch,
    SatelliteQuery, SortKey,
};
use hive_wire::api::{
    ApiKeySort, AuditQuery, AuditSort, JobCounts, JobSort, JobStatus, SatelliteStatus, Sort, SortColumn as _, User,
    UserSort,
};
use hive_wire::{SatelliteId, TeamId, Timestamp};

use crate::fixture::{Fixture, random};
use crate::jobs::{add, new_job};

/// Entries that are there before a walk.
const BEFORE: usize = 17;

/// The order that a list must have: rows without a value are last in both directions.
fn compare(one: &SortKey, other: &SortKey, is_descending: bool) -> Ordering {
    let by_value = one.value.cmp(&other.value).then_with(|| one.id.cmp(&other.id));
    let by_value = if is_descending { by_value.reverse() } else { by_value };
    one.value.is_none().cmp(&other.value.is_none()).then(by_value)
}

/// Goes through a list in parts of 1 to 5 rows, with `meanwhile` after each part. Returns the rows.
async fn walk<C: RowOrder>(
    sort: Sort<C>,
    mut read: impl AsyncFnMut(RowRange<C>) -> Vec<C::Row>,
    mut meanwhile: impl AsyncFnMut(&[C::Row]),
) -> Vec<C::Row> {
    let (mut rows, mut start): (Vec<C::Row>, _) = (Vec::new(), RowStart::Offset(0));
    loop {
        let [seed] = random::<1>();
        let limit = u32::from(seed % 5) + 1;
        let part = read(RowRange { sort, start: start.clone(), limit }).await;
        let Some(last) = part.last().map(|row| sort.column.key(row)) else { return rows };
        let mut before = rows.last().map(|row| sort.column.key(row));
        for key in part.iter().map(|row| sort.column.key(row)) {
            if let Some(before) = &before {
                assert_eq!(compare(before, &key, sort.is_descending), Ordering::Less, "{sort:?}: {before:?}, {key:?}");
            }
            before = Some(key);
        }
        rows.extend(part);
        meanwhile(&rows).await;
        start = RowStart::After(last);
    }
}

fn both<C: Copy>(column: C) -> [Sort<C>; 2] {
    [Sort::ascending(column), Sort::descending(column)]
}

/// One of four times of this minute. Not one long ago: what is old is deleted by other checks.
fn common_time(on: &Fixture) -> Timestamp {
    let ([seed], minute) = (random::<1>(), 60_000_000);
    Timestamp::from_micros(on.now().as_micros() / minute * minute).plus(Duration::from_secs((seed % 4).into()))
}

async fn register(on: &Fixture, team: TeamId) -> SatelliteId {
    let token = on.token(Some(team)).await;
    let satellite = NewSatellite { now: common_time(on), ..on.new_satellite(&on.name(), Some(team)) };
    match on.store.satellite_register(token, satellite, on.draft()).await.unwrap() {
        RegisterOutcome::Registered(row) => row.id,
        other => panic!("not registered: {other:?}"),
    }
}

pub(crate) async fn satellites_are_walked_while_others_come_and_go(on: &Fixture) {
    for column in [SatelliteOrder::Name, SatelliteOrder::Status, SatelliteOrder::CreatedAt] {
        for sort in both(column) {
            let team = on.team().await;
            let mut there = Vec::new();
            for _ in 0..BEFORE {
                there.push(register(on, team).await);
            }
            for id in there.iter().step_by(3) {
                let patch = SatellitePatch { status: Some(SatelliteStatus::Maintenance), ..SatellitePatch::default() };
                on.store.satellite_update(*id, patch, on.draft()).await.unwrap();
            }
            let query = SatelliteQuery::visible_to(VisibleScope::of_teams([team]));
            let read = async |range| on.store.satellite_list(&query, range).await.unwrap().0;
            let mut removed = HashSet::new();
            // Some of those that were read, and some that were not: also the very one whose key comes next.
            let walked = walk(sort, read, async |rows| {
                if let Some(last) = rows.last().filter(|_| rows.len().is_multiple_of(2)) {
                    on.store.satellite_remove(last.id, on.now(), on.draft()).await.unwrap();
                    removed.insert(last.id);
                }
                if rows.len() < BEFORE && removed.len() < 6 {
                    let [seed] = random::<1>();
                    let id = there[usize::from(seed) % there.len()];
                    on.store.satellite_remove(id, on.now(), on.draft()).await.unwrap();
                    removed.insert(id);
                    register(on, team).await;
                }
            })
            .await;
            let ids: HashSet<_> = walked.iter().map(|row| row.id).collect();
            assert_eq!(ids.len(), walked.len(), "each comes once");
            let missing: Vec<_> = there.iter().filter(|id| !removed.contains(id) && !ids.contains(id)).collect();
            assert!(missing.is_empty(), "{sort:?}: {missing:?} were there all the time");
        }
    }
}

pub(crate) async fn api_keys_are_walked_while_others_come(on: &Fixture) {
    for sort in ApiKeySort::COLUMNS.iter().copied().flat_map(both) {
        let user = on.user().await.id;
        let new_key = async || {
            let [name, is_used] = random::<2>();
            let last_used_at = (is_used % 2 == 0).then(|| common_time(on));
            let key = on.api_key(user);
            let key = ApiKeyRow { name: format!("ci-{}", name % 4), created_at: common_time(on), last_used_at, ..key };
            on.store.api_key_create(key.clone(), on.draft()).await.unwrap();
            key.id
        };
        let mut there = Vec::new();
        for _ in 0..BEFORE {
            there.push(new_key().await);
        }
        let read = async |range| on.store.api_key_list(user, range).await.unwrap().0;
        let walked = walk(sort, read, async |rows| {
            if rows.len() < BEFORE {
                new_key().await;
            }
        })
        .await;
        let ids: HashSet<_> = walked.iter().map(|row| row.id).collect();
        assert_eq!(ids.len(), walked.len(), "each comes once");
        assert!(there.iter().all(|id| ids.contains(id)), "{sort:?}: one is missing");
    }
}

pub(crate) async fn jobs_without_an_end_are_last(on: &Fixture) {
    let team = on.team().await;
    let satellite = on.register(&on.name(), Some(team)).await;
    let mut there = HashSet::new();
    for number in 0..BEFORE {
        let mut job = new_job(on);
        job.created_at = common_time(on);
        let (id, is_open, mut commands) = (job.id, number % 3 == 0, Vec::new());
        // Only a job without an open command can end.
        if is_open {
            add(on, &mut job, &mut commands, &satellite);
        }
        on.store.job_insert(job, commands, None, on.draft()).await.unwrap();
        if !is_open {
            let end =
                JobEnd { status: JobStatus::Succeeded, counts: JobCounts::default(), finished_at: common_time(on) };
            assert!(on.store.job_finish(id, end, on.draft()).await.unwrap());
        }
        there.insert(id);
    }
    for sort in JobSort::COLUMNS.iter().copied().flat_map(both) {
        let read = async |range| on.store.job_list(&VisibleScope::ALL, range).await.unwrap().0;
        let walked = walk(sort, read, async |_| ()).await;
        let mut ours = walked.iter().filter(|row| there.contains(&row.id));
        assert_eq!(ours.clone().count(), BEFORE, "{sort:?}");
        if sort.column == JobSort::FinishedAt {
            let ended = ours.by_ref().take_while(|row| row.finished_at.is_some()).count();
            assert!(ended > 0 && ours.all(|row| row.finished_at.is_none()), "{sort:?}: those without an end are last");
        }
    }
}

pub(crate) async fn every_other_list_is_walked(on: &Fixture) {
    let mut there = Vec::new();
    for _ in 0..BEFORE {
        there.push(on.user().await);
    }
    for sort in UserSort::COLUMNS.iter().copied().flat_map(both) {
        let read = async |range| on.store.user_list(range).await.unwrap().0;
        let walked: Vec<User> = walk(sort, read, async |_| ()).await;
        assert!(there.iter().all(|user| walked.contains(user)), "{sort:?}: one is missing");
    }
    let team = on.team().await;
    let teams = VisibleTeams::Teams(vec![team]);
    let all = on.store.team_list(&teams, RowRange::ALL).await.unwrap();
    assert_eq!((all.0.len(), all.0[0].id, all.1), (1, team, 1), "only the teams in visible");
    let actor = on.unique();
    for _ in 0..BEFORE {
        on.store.audit_append(on.draft_by(&actor)).await.unwrap();
    }
    let query = AuditQuery { actor: Some(actor.clone()), ..AuditQuery::default() };
    for sort in both(AuditSort::Seq) {
        let read = async |range| on.store.audit_list(&query, &VisibleScope::ALL, range).await.unwrap().0;
        // Each part is followed by a new record, which is in front of a walk that began with the newest.
        let mut added = 0;
        let walked = walk(sort, read, async |_| {
            if added < 3 {
                added += 1;
                on.store.audit_append(on.draft_by(&actor)).await.unwrap();
            }
        })
        .await;
        assert!(walked.len() >= BEFORE, "{sort:?}");
    }
    let one = on.store.audit_list(&query, &VisibleScope::ALL, RowRange::part(0, 1)).await.unwrap().0.remove(0);
    let query = AuditQuery { seq: Some(one.seq), ..query };
    assert_eq!(on.store.audit_list(&query, &VisibleScope::ALL, RowRange::ALL).await.unwrap(), (vec![one], 1));
}
