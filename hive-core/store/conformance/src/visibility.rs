//! Queries of callers who are limited to satellites with a tag.

use std::collections::BTreeSet;

use hive_store::access::VisibleScope;
use hive_store::{RowRange, SatellitePatch, SatelliteQuery, SatelliteRow, SessionQuery};

use crate::fixture::Fixture;
use crate::jobs::{add, new_job};

pub(crate) async fn a_caller_with_tags_sees_the_satellites_that_have_one(on: &Fixture) {
    let team = on.team().await;
    let plain = on.register(&on.name(), Some(team)).await;
    let tagged = on.register(&on.name(), Some(team)).await;
    let tag = on.unique();
    let patch = SatellitePatch { tags: Some(vec![tag.clone()]), ..SatellitePatch::default() };
    on.store.satellite_update(tagged.id, patch, on.draft()).await.unwrap();
    let visible = VisibleScope { tags: Some([tag, "eu-9".to_owned()].into()), ..VisibleScope::of_teams([team]) };
    let query = SatelliteQuery::visible_to(visible.clone());
    assert_eq!(on.store.satellite_list_ids(&query, RowRange::ALL).await.unwrap(), [tagged.id]);
    for (satellite, is_seen) in [(&plain, false), (&tagged, true)] {
        on.insert(on.new_command(satellite.id)).await;
        let (commands, total) = on.store.command_list(satellite.id, &visible, RowRange::ALL).await.unwrap();
        assert_eq!((commands.len(), total), (usize::from(is_seen), u64::from(is_seen)));
        let session = on.new_session(satellite.id);
        assert!(on.store.session_insert(session, 9, on.draft()).await.unwrap());
        let query = SessionQuery { visible: visible.clone(), satellite_id: Some(satellite.id), ended: None };
        assert_eq!(on.store.session_list(&query, RowRange::ALL).await.unwrap().0.len(), usize::from(is_seen));
    }
    let tokens = on.store.registration_token_list(&visible, RowRange::ALL).await.unwrap().0;
    assert_eq!(tokens, [], "a token is of a team, and of no satellite");
    let none = VisibleScope { tags: Some(BTreeSet::new()), ..VisibleScope::ALL };
    assert!(on.store.satellite_list_ids(&SatelliteQuery::visible_to(none), RowRange::ALL).await.unwrap().is_empty());
}

pub(crate) async fn a_job_is_visible_where_all_its_satellites_are(on: &Fixture) {
    let (ours, theirs) = (on.team().await, on.team().await);
    let tag = on.unique();
    let mut at = Vec::new();
    for (team, is_tagged) in [(ours, true), (ours, false), (theirs, true)] {
        let satellite = on.register(&on.name(), Some(team)).await;
        if is_tagged {
            let patch = SatellitePatch { tags: Some(vec![tag.clone()]), ..SatellitePatch::default() };
            on.store.satellite_update(satellite.id, patch, on.draft()).await.unwrap();
        }
        at.push(satellite);
    }
    let insert = async |satellites: &[&SatelliteRow]| {
        let (mut job, mut commands) = (new_job(on), Vec::new());
        for satellite in satellites {
            add(on, &mut job, &mut commands, satellite);
        }
        let id = job.id;
        on.store.job_insert(job, commands, None, on.draft()).await.unwrap();
        id
    };
    let (tagged, half) = (insert(&[&at[0]]).await, insert(&[&at[0], &at[1]]).await);
    let mixed = insert(&[&at[0], &at[2]]).await;
    let with_tag = |visible: VisibleScope| VisibleScope { tags: Some([tag.clone()].into()), ..visible };
    for (visible, expected) in [
        (VisibleScope::ALL, [true, true, true]),
        (VisibleScope::of_teams([ours]), [true, true, false]),
        (VisibleScope::of_teams([theirs]), [false, false, false]),
        (with_tag(VisibleScope::ALL), [true, false, true]),
        (with_tag(VisibleScope::of_teams([ours])), [true, false, false]),
    ] {
        let (rows, _) = on.store.job_list(&visible, RowRange::ALL).await.unwrap();
        for (job, expected) in [tagged, half, mixed].into_iter().zip(expected) {
            assert_eq!(on.store.job_is_visible(job, &visible).await.unwrap(), expected, "{visible:?}");
            assert_eq!(rows.iter().any(|row| row.id == job), expected, "the list, {visible:?}");
        }
    }
}
