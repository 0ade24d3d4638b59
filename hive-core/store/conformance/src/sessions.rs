use std::time::Duration;

use futures_util::future::join_all;
use hive_store::access::VisibleScope;
use hive_store::{NewSession, RowRange, SatellitePatch, SessionQuery, SessionRow, StoreError};
use hive_wire::agent::ErrorBody;
use hive_wire::api::{EndReason, SessionEnd, SessionStatus, Size};
use hive_wire::{ErrorCode, SatelliteId, SessionId};

use crate::CALLERS;
use crate::commands::assigned;
use crate::fixture::Fixture;

/// The limit of open sessions of a satellite, unless a check sets another.
const LIMIT: u32 = 10;

fn ones(results: Vec<bool>) -> usize {
    results.into_iter().filter(|done| *done).count()
}

fn ids(rows: &[SessionRow]) -> Vec<SessionId> {
    rows.iter().map(|row| row.id).collect()
}

fn exited(code: i32) -> SessionEnd {
    SessionEnd { reason: EndReason::Exited, exit_code: Some(code), error: None }
}

async fn insert(on: &Fixture, session: NewSession) -> SessionId {
    let id = session.id;
    assert!(on.store.session_insert(session, LIMIT, on.draft()).await.unwrap());
    id
}

/// Stores a session on a new satellite.
async fn session(on: &Fixture) -> SessionId {
    insert(on, on.new_session(on.satellite().await.id)).await
}

async fn stored(on: &Fixture, id: SessionId) -> SessionRow {
    on.store.session_get(id).await.unwrap().unwrap()
}

async fn end(on: &Fixture, id: SessionId) {
    assert!(on.store.session_end(id, exited(0), on.now(), on.draft()).await.unwrap());
}

/// Inserts twenty sessions concurrently, with audit records by `actor`. Returns which ones were stored.
async fn insert_twenty(on: &Fixture, satellite: SatelliteId, actor: &str) -> Vec<bool> {
    let insert = async |_| on.store.session_insert(on.new_session(satellite), LIMIT, on.draft_by(actor)).await.unwrap();
    join_all((0..20).map(insert)).await
}

pub(crate) async fn no_more_sessions_are_stored_than_may_be_open(on: &Fixture) {
    let (satellite, elsewhere, actor) = (on.satellite().await.id, on.satellite().await.id, on.unique());
    // A session elsewhere does not count.
    insert(on, on.new_session(elsewhere)).await;
    assert_eq!(ones(insert_twenty(on, satellite, &actor).await), LIMIT as usize);
    assert_eq!(on.records_by(&actor).await.len(), LIMIT as usize);
    let open = on.store.session_list_open(Some(satellite)).await.unwrap();
    assert_eq!(open.len(), LIMIT as usize);

    assert!(on.store.session_open(open[0].id, on.draft()).await.unwrap());
    assert_eq!(ones(insert_twenty(on, satellite, &actor).await), 0, "an open one counts as one that starts");
    end(on, open[0].id).await;
    end(on, open[1].id).await;
    assert_eq!(ones(insert_twenty(on, satellite, &actor).await), 2, "an ended one does not count");
}

pub(crate) async fn two_processes_keep_one_limit(one: &Fixture, other: &Fixture) {
    let satellite = one.satellite().await.id;
    let (ours, theirs) = tokio::join!(insert_twenty(one, satellite, "one"), insert_twenty(other, satellite, "other"));
    assert_eq!(ones(ours) + ones(theirs), LIMIT as usize);
    assert_eq!(other.store.session_list_open(Some(satellite)).await.unwrap().len(), LIMIT as usize);
}

pub(crate) async fn a_session_that_is_refused_leaves_nothing(on: &Fixture) {
    let (satellite, actor) = (on.satellite().await.id, on.unique());
    let refused = on.new_session(satellite);
    assert!(!on.store.session_insert(refused.clone(), 0, on.draft_by(&actor)).await.unwrap());
    assert_eq!(on.store.session_get(refused.id).await.unwrap(), None);
    let nowhere = on.new_session(SatelliteId::new(on.seed()));
    assert!(!on.store.session_insert(nowhere, LIMIT, on.draft_by(&actor)).await.unwrap());
    insert(on, refused.clone()).await;
    let error = on.store.session_insert(refused, LIMIT, on.draft_by(&actor)).await.unwrap_err();
    assert!(matches!(error, StoreError::Taken("id")), "{error:?}");
    assert!(on.records_by(&actor).await.is_empty());
}

pub(crate) async fn a_session_reads_back_as_it_was_stored(on: &Fixture) {
    let satellite = on.satellite().await;
    let plain = on.new_session(satellite.id);
    let full = NewSession {
        team_id: satellite.team_id,
        size: Size { cols: 1000, rows: 1 },
        shell: Some("/bin/'sh'; -- \u{1b}]0;ä".into()),
        ..on.new_session(satellite.id)
    };
    // The name is read from the satellite, and not stored with the session.
    let rename = SatellitePatch { name: Some(on.name()), ..SatellitePatch::default() };
    let renamed = on.store.satellite_update(satellite.id, rename, on.draft()).await.unwrap().unwrap();
    for new in [plain, full] {
        insert(on, new.clone()).await;
        let expected = SessionRow {
            id: new.id,
            satellite_id: new.satellite_id,
            satellite_name: renamed.name.clone(),
            team_id: new.team_id,
            status: SessionStatus::Starting,
            size: new.size,
            shell: new.shell,
            actor: new.actor,
            created_at: new.created_at,
            ended_at: None,
            end: None,
        };
        assert_eq!(stored(on, new.id).await, expected);
    }
    assert_eq!(on.store.session_get(SessionId::new(on.seed())).await.unwrap(), None);
}

pub(crate) async fn a_session_is_opened_once(on: &Fixture) {
    let (id, actor) = (session(on).await, on.unique());
    let open = async |_| on.store.session_open(id, on.draft_by(&actor)).await.unwrap();
    assert_eq!(ones(join_all((0..CALLERS).map(open)).await), 1);
    assert_eq!(on.records_by(&actor).await.len(), 1);
    assert_eq!(stored(on, id).await.status, SessionStatus::Open);
    let nobody = SessionId::new(on.seed());
    assert!(!on.store.session_open(nobody, on.draft_by(&actor)).await.unwrap());
    assert_eq!(on.records_by(&actor).await.len(), 1);
}

pub(crate) async fn a_session_ends_once(on: &Fixture) {
    let (started, opened) = (session(on).await, session(on).await);
    assert!(on.store.session_open(opened, on.draft()).await.unwrap());
    // A session may end before it was open.
    for id in [started, opened] {
        let actor = on.unique();
        let end = async |code: usize| {
            let ended = on.store.session_end(id, exited(code as i32), on.now(), on.draft_by(&actor)).await.unwrap();
            ended.then_some(code as i32)
        };
        let winners: Vec<_> = join_all((0..CALLERS).map(end)).await.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1);
        let row = stored(on, id).await;
        assert_eq!((row.status.clone(), row.end), (SessionStatus::Ended, Some(exited(winners[0]))));
        assert_eq!(on.records_by(&actor).await.len(), 1);
    }
}

pub(crate) async fn an_ended_session_stays_as_it_is(on: &Fixture) {
    let actor = on.unique();
    let error = ErrorBody { code: ErrorCode::CommandBlocked, message: "refused by policy \u{1b}[2J".into() };
    let refused = SessionEnd { reason: EndReason::Error, exit_code: None, error: Some(error) };
    let reasons = [EndReason::Killed, EndReason::Timeout, EndReason::Lost];
    let others = reasons.map(|reason| SessionEnd { reason, exit_code: Some(137), error: None });
    for how in [refused, exited(-1)].into_iter().chain(others) {
        let (id, now) = (session(on).await, on.now());
        assert!(on.store.session_end(id, how.clone(), now, on.draft()).await.unwrap());
        let row = stored(on, id).await;
        assert_eq!((row.status.clone(), row.ended_at, row.end.as_ref()), (SessionStatus::Ended, Some(now), Some(&how)));
        assert!(!on.store.session_open(id, on.draft_by(&actor)).await.unwrap());
        assert!(!on.store.session_end(id, exited(0), on.now(), on.draft_by(&actor)).await.unwrap());
        // A resize that was under way when the session ended.
        on.store.session_resize(id, Size { cols: 7, rows: 7 }).await.unwrap();
        assert_eq!(stored(on, id).await, row);
    }
    let nobody = SessionId::new(on.seed());
    assert!(!on.store.session_end(nobody, exited(0), on.now(), on.draft_by(&actor)).await.unwrap());
    assert!(on.records_by(&actor).await.is_empty());
}

pub(crate) async fn a_session_has_the_last_size(on: &Fixture) {
    let id = session(on).await;
    let before = stored(on, id).await;
    for size in [Size { cols: 200, rows: 60 }, Size { cols: 40, rows: 10 }] {
        on.store.session_resize(id, size).await.unwrap();
        assert_eq!(stored(on, id).await, SessionRow { size, ..before.clone() });
    }
    on.store.session_resize(SessionId::new(on.seed()), Size::default()).await.unwrap();
}

pub(crate) async fn sessions_are_listed_newest_first_and_by_team(on: &Fixture) {
    let (ours, theirs, now) = (on.satellite().await, on.satellite().await, on.now());
    let made = |on_satellite: &hive_store::SatelliteRow, seconds| NewSession {
        team_id: on_satellite.team_id,
        created_at: now.plus(Duration::from_secs(seconds)),
        ..on.new_session(on_satellite.id)
    };
    let middle = insert(on, made(&ours, 2)).await;
    let oldest = insert(on, made(&ours, 1)).await;
    let newest = insert(on, made(&ours, 3)).await;
    let foreign = insert(on, made(&theirs, 4)).await;
    end(on, middle).await;

    let sees = |teams: &[Option<hive_wire::TeamId>]| SessionQuery {
        visible: VisibleScope::of_teams(teams.iter().copied().flatten()),
        satellite_id: None,
        ended: None,
    };
    let check = async |query: SessionQuery, limit, expected: &[SessionId]| {
        let range = RowRange::part(0, limit);
        assert_eq!(ids(&on.store.session_list(&query, range).await.unwrap().0), expected, "{query:?}");
    };
    let both = sees(&[ours.team_id, theirs.team_id]);
    check(both.clone(), 100, &[foreign, newest, middle, oldest]).await;
    check(both.clone(), 2, &[foreign, newest]).await;
    check(SessionQuery { ended: Some(false), ..both.clone() }, 100, &[foreign, newest, oldest]).await;
    check(SessionQuery { ended: Some(true), ..both.clone() }, 100, &[middle]).await;
    let second = on.store.session_list(&both, RowRange::part(1, 2)).await.unwrap().0;
    assert_eq!(ids(&second), [newest, middle]);
    check(SessionQuery { satellite_id: Some(ours.id), ..both.clone() }, 100, &[newest, middle, oldest]).await;
    check(SessionQuery { satellite_id: Some(ours.id), ended: Some(false), ..both }, 1, &[newest]).await;
    check(sees(&[theirs.team_id]), 100, &[foreign]).await;
    check(SessionQuery { satellite_id: Some(theirs.id), ..sees(&[ours.team_id]) }, 100, &[]).await;
    check(sees(&[]), 100, &[]).await;
    let all = SessionQuery { visible: VisibleScope::ALL, satellite_id: Some(theirs.id), ended: Some(false) };
    check(all, 100, &[foreign]).await;
}

pub(crate) async fn open_sessions_come_oldest_first(on: &Fixture) {
    let (one, other, now) = (on.satellite().await.id, on.satellite().await.id, on.now());
    let made = |satellite, minutes: u64| NewSession {
        created_at: now.minus(Duration::from_secs(minutes * 60)),
        ..on.new_session(satellite)
    };
    let middle = insert(on, made(one, 2)).await;
    let oldest = insert(on, made(one, 4)).await;
    let newest = insert(on, made(one, 1)).await;
    let ended = insert(on, made(one, 5)).await;
    let elsewhere = insert(on, made(other, 3)).await;
    assert!(on.store.session_open(middle, on.draft()).await.unwrap());
    end(on, ended).await;
    assert_eq!(ids(&on.store.session_list_open(Some(one)).await.unwrap()), [oldest, middle, newest]);
    let mut all = on.store.session_list_open(None).await.unwrap();
    assert!(all.is_sorted_by_key(|row| row.created_at));
    // Concurrent checks may add sessions.
    all.retain(|row| [one, other].contains(&row.satellite_id));
    assert_eq!(ids(&all), [oldest, elsewhere, middle, newest]);
    let mut open = on.store.session_list_open_ids().await.unwrap();
    open.retain(|id| [ended, oldest, elsewhere, middle, newest].contains(id));
    assert_eq!(open, [oldest, elsewhere, middle, newest]);
}

pub(crate) async fn sessions_of_a_removed_satellite_are_ended(on: &Fixture) {
    for is_removed in [true, false] {
        let (satellite, now) = (on.satellite().await, on.now());
        let starting = insert(on, on.new_session(satellite.id)).await;
        let open = insert(on, on.new_session(satellite.id)).await;
        assert!(on.store.session_open(open, on.draft()).await.unwrap());
        let ended = insert(on, on.new_session(satellite.id)).await;
        end(on, ended).await;
        let (before, record) = (stored(on, ended).await, on.draft().with_timestamp(now));

        if is_removed {
            assert!(on.store.satellite_remove(satellite.id, now, record).await.unwrap());
        } else {
            assert!(on.store.satellite_update(satellite.id, assigned(on, None), record).await.unwrap().is_some());
        }
        assert!(on.store.session_list_open(Some(satellite.id)).await.unwrap().is_empty());
        for id in [starting, open] {
            let SessionRow { satellite_name, team_id, status, ended_at, end, .. } = stored(on, id).await;
            let end = end.unwrap();
            assert_eq!((satellite_name, status, ended_at), (satellite.name.clone(), SessionStatus::Ended, Some(now)));
            assert_eq!((team_id, end.reason, end.exit_code), (satellite.team_id, EndReason::Killed, None));
            assert_eq!(end.error.unwrap().code, ErrorCode::SatelliteNotFound);
        }
        assert_eq!(stored(on, ended).await, before);
        let refused = on.store.session_insert(on.new_session(satellite.id), 10, on.draft()).await.unwrap();
        assert!(!refused, "a terminal on a satellite that is gone");
    }
}
