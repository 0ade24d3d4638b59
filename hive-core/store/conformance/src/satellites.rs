use std::time::Duration;

use futures_util::future::join_all;
use hive_store::access::VisibleScope;
use hive_store::{
    Assignment, Delivery, JournalPosition, JournalRow, NamePolicy, NewSatellite, RowRange, SatelliteDescription,
    SatellitePatch, SatelliteQuery, StoreError,
};
use hive_wire::agent::SystemInfo;
use hive_wire::api::{CommandStatus, SatelliteStatus};
use hive_wire::{ErrorCode, SatelliteId};
use serde_json::json;

use crate::CALLERS;
use crate::commands::assigned;
use crate::fixture::{DAY, Fixture};

pub(crate) async fn a_removed_satellite_is_gone_and_its_commands_end(on: &Fixture) {
    let satellite = on.satellite().await;
    let (id, now) = (satellite.id, on.now());
    let queued = on.insert(on.new_command(id)).await;
    let delivered = on.insert(on.new_command(id)).await;
    on.store.command_deliver(delivered, Delivery { journal_id: "j".into(), at: now, expires_at: None }).await.unwrap();
    // A command that has ended keeps its status.
    let ended = on.insert(on.new_command(id)).await;
    on.store.command_finish(ended, on.outcome(CommandStatus::Succeeded), Vec::new()).await.unwrap();

    assert!(on.store.satellite_remove(id, now, on.draft()).await.unwrap());
    assert_eq!(on.store.satellite_get(id).await.unwrap(), None);
    assert_eq!(on.store.satellite_find(&satellite.name).await.unwrap(), None);
    assert_eq!(on.store.satellite_key(id).await.unwrap(), None);
    let query = SatelliteQuery { team_id: satellite.team_id, ..SatelliteQuery::visible_to(VisibleScope::ALL) };
    assert_eq!(on.store.satellite_list(&query, RowRange::ALL).await.unwrap(), (Vec::new(), 0));
    assert!(on.store.command_list_open(id).await.unwrap().is_empty());
    let statuses = [queued, delivered, ended].map(|command| on.stored(command));
    let statuses: Vec<_> = join_all(statuses).await.into_iter().map(|row| row.status).collect();
    assert_eq!(statuses, [CommandStatus::Cancelled, CommandStatus::OutcomeUnknown, CommandStatus::Succeeded]);
    assert!(!on.store.satellite_activate(id, now, on.draft()).await.unwrap());
}

pub(crate) async fn a_replaced_key_is_kept_until_it_is_too_old(on: &Fixture) {
    let satellite = on.satellite().await;
    let id = satellite.id;
    let key = async || on.store.satellite_key(id).await.unwrap().unwrap().hash;
    let superseded = async |limit| on.store.satellite_superseded_keys(id, limit).await.unwrap();
    let assign = async |at| {
        let assignment = Assignment { team_id: None, api_key_hash: on.unique() };
        let patch = SatellitePatch { assignment: Some(assignment), ..SatellitePatch::default() };
        let record = on.draft().with_timestamp(at);
        on.store.satellite_update(id, patch, record).await.unwrap().unwrap()
    };
    assert!(superseded(9).await.is_empty());
    // A concurrent check may prune keys that are older than a day, so that the ones that must remain are newer.
    let later = on.now().plus(10 * DAY);
    let first = key().await;
    let name_use = NamePolicy::Of(id);
    let again = NewSatellite { name_use, now: later, ..on.new_satellite(&satellite.name, satellite.team_id) };
    let token = on.token_until(satellite.team_id, on.now().plus(20 * DAY)).await;
    on.store.satellite_register(token, again, on.draft()).await.unwrap();
    let second = key().await;
    assign(later).await;
    assert_eq!(superseded(9).await, [second.clone(), first.clone()]);
    assert_eq!(superseded(1).await, [second.as_str()]);
    // An update without an assignment keeps the key.
    on.store.satellite_update(id, SatellitePatch::default(), on.draft()).await.unwrap().unwrap();
    assert_eq!(superseded(9).await.len(), 2, "the key stays the same");
    assign(on.now().minus(10 * DAY)).await;
    on.store.satellite_superseded_keys_prune(on.now().plus(DAY)).await.unwrap();
    assert_eq!(superseded(9).await, [second, first], "the oldest alone is gone");
    on.store.satellite_remove(id, on.now(), on.draft()).await.unwrap();
    assert!(superseded(9).await.is_empty());
}

pub(crate) async fn a_satellite_is_removed_once(on: &Fixture) {
    let (id, actor) = (on.satellite().await.id, on.unique());
    let remove = async |_| on.store.satellite_remove(id, on.now(), on.draft_by(&actor)).await.unwrap();
    let removed = join_all((0..CALLERS).map(remove)).await;
    assert_eq!(removed.into_iter().filter(|done| *done).count(), 1);
    assert_eq!(on.records_by(&actor).await.len(), 1);
}

pub(crate) async fn a_satellite_is_activated_once(on: &Fixture) {
    let (id, actor) = (on.satellite().await.id, on.unique());
    let activate = async |_| on.store.satellite_activate(id, on.now(), on.draft_by(&actor)).await.unwrap();
    let activated = join_all((0..CALLERS).map(activate)).await;
    assert_eq!(activated.into_iter().filter(|done| *done).count(), 1);
    assert_eq!(on.records_by(&actor).await.len(), 1);
    assert_eq!(on.store.satellite_get(id).await.unwrap().unwrap().status, SatelliteStatus::Active);
}

pub(crate) async fn an_update_changes_what_it_names(on: &Fixture) {
    let (before, actor) = (on.satellite().await, on.unique());
    assert_eq!(before.tags, ["eu", "web"], "labels are sorted, each once");
    let nothing = SatellitePatch::default();
    // An empty patch changes the time of the update alone.
    let same = on.store.satellite_update(before.id, nothing.clone(), on.draft()).await.unwrap().unwrap();
    assert_eq!(same, hive_store::SatelliteRow { updated_at: same.updated_at, ..before.clone() });
    let patch = SatellitePatch {
        name: Some(on.name()),
        tags: Some(vec!["b".into(), "a".into(), "b".into()]),
        status: Some(SatelliteStatus::Maintenance),
        region: Some("eu-central".into()),
        assignment: None,
    };
    let after = on.store.satellite_update(before.id, patch.clone(), on.draft_by(&actor)).await.unwrap().unwrap();
    assert_eq!(Some(&after.name), patch.name.as_ref());
    assert_eq!(
        (&after.tags[..], after.status.clone()),
        (&["a".to_owned(), "b".to_owned()][..], SatelliteStatus::Maintenance)
    );
    assert_eq!(after.region, patch.region);
    assert_eq!(on.store.satellite_find(&after.name).await.unwrap(), Some(after));
    assert_eq!(on.store.satellite_find(&before.name).await.unwrap(), None);
    let nobody = SatelliteId::new(on.seed());
    assert_eq!(on.store.satellite_update(nobody, nothing, on.draft_by(&actor)).await.unwrap(), None);
    assert_eq!(on.records_by(&actor).await.len(), 1, "what is not there leaves no record");
}

pub(crate) async fn an_assignment_replaces_the_key(on: &Fixture) {
    let (satellite, team) = (on.satellite().await, on.team().await);
    let mut generation = on.store.satellite_key(satellite.id).await.unwrap().unwrap().generation;
    for (team_id, hash) in [(Some(team), "hash-of-the-team"), (None, "hash-of-all")] {
        let assignment = Some(Assignment { team_id, api_key_hash: hash.into() });
        let patch = SatellitePatch { assignment, ..SatellitePatch::default() };
        let after = on.store.satellite_update(satellite.id, patch, on.draft()).await.unwrap().unwrap();
        let key = on.store.satellite_key(satellite.id).await.unwrap().unwrap();
        assert_eq!((after.team_id, key.hash.as_str()), (team_id, hash));
        assert!(key.generation > generation);
        generation = key.generation;
    }
    let rename = SatellitePatch { name: Some(on.name()), ..SatellitePatch::default() };
    on.store.satellite_update(satellite.id, rename, on.draft()).await.unwrap().unwrap();
    assert_eq!(on.store.satellite_key(satellite.id).await.unwrap().unwrap().generation, generation);
}

pub(crate) async fn a_name_is_taken_until_its_satellite_is_removed(on: &Fixture) {
    let (one, other) = (on.satellite().await, on.satellite().await);
    // The tags are changed by later statements, which must be undone with the name.
    let rename = SatellitePatch { name: Some(other.name), tags: Some(Vec::new()), ..SatellitePatch::default() };
    let check = async || {
        let error = on.store.satellite_update(one.id, rename.clone(), on.draft()).await.unwrap_err();
        assert!(matches!(error, StoreError::Taken("name")), "{error}");
        assert_eq!(on.store.satellite_get(one.id).await.unwrap().as_ref(), Some(&one), "something was changed");
    };
    check().await;
    on.store.satellite_remove(other.id, on.now(), on.draft()).await.unwrap();
    assert!(on.store.satellite_update(one.id, rename.clone(), on.draft()).await.unwrap().is_some());
}

pub(crate) async fn a_journal_only_goes_forward(on: &Fixture) {
    let id = on.satellite().await.id;
    let journal = async || on.store.satellite_get(id).await.unwrap().unwrap().journal;
    assert_eq!(journal().await, None);
    let first = JournalRow { id: "first".into(), start_id: Some("a".into()), position: None };
    on.store.satellite_journal_set(id, first.clone()).await.unwrap();
    assert_eq!(journal().await, Some(first.clone()));
    let advance = async |journal_id: &str, position| {
        let position = JournalPosition { satellite_id: id, journal_id: journal_id.into(), position };
        on.store.satellite_journal_advance(vec![position]).await.unwrap();
        journal().await.unwrap().position
    };
    assert_eq!(advance("first", 7).await, Some(7));
    // Positions are stored with a delay, so that an older one may come later.
    assert_eq!(advance("first", 5).await, Some(7));
    assert_eq!(advance("other", 9).await, Some(7), "another journal's");
    assert_eq!(advance("first", 8).await, Some(8));
    // `set` follows a comparison by the service, and may lower the position.
    let rolled_back = JournalRow { position: Some(3), ..first };
    on.store.satellite_journal_set(id, rolled_back.clone()).await.unwrap();
    assert_eq!(journal().await, Some(rolled_back));
}

pub(crate) async fn a_conflict_is_stored(on: &Fixture) {
    let (satellite, actor, now) = (on.satellite().await, on.unique(), on.now());
    assert_eq!(satellite.conflict_at, None);
    assert!(on.store.satellite_conflict(satellite.id, now, on.draft_by(&actor)).await.unwrap());
    assert_eq!(on.store.satellite_get(satellite.id).await.unwrap().unwrap().conflict_at, Some(now));
    let nobody = SatelliteId::new(on.seed());
    assert!(!on.store.satellite_conflict(nobody, now, on.draft_by(&actor)).await.unwrap());
    assert_eq!(on.records_by(&actor).await.len(), 1);
}

pub(crate) async fn a_new_link_learns_what_is_open(on: &Fixture) {
    let (satellite, team) = (on.satellite().await, on.team().await);
    let id = satellite.id;
    let open = async || {
        let open = on.store.satellite_open_work(id).await.unwrap().unwrap();
        (open.status, open.has_commands, open.has_revoked)
    };
    assert_eq!(open().await, (SatelliteStatus::Inactive, false, false));
    on.store.satellite_activate(id, on.now(), on.draft()).await.unwrap();
    let queued = on.insert(on.new_command(id)).await;
    assert_eq!(open().await, (SatelliteStatus::Active, true, false), "one is queued");
    on.store.command_finish(queued, on.outcome(CommandStatus::Succeeded), Vec::new()).await.unwrap();
    assert_eq!(open().await, (SatelliteStatus::Active, false, false), "it has ended");
    let delivered = on.insert(on.new_command(id)).await;
    on.store
        .command_deliver(delivered, Delivery { journal_id: "j".into(), at: on.now(), expires_at: None })
        .await
        .unwrap();
    assert_eq!(open().await, (SatelliteStatus::Active, true, false), "one is delivered");
    on.store.satellite_update(id, assigned(on, Some(team)), on.draft()).await.unwrap().unwrap();
    assert_eq!(open().await, (SatelliteStatus::Active, false, true), "the assignment ended it");
    on.store.satellite_remove(id, on.now(), on.draft()).await.unwrap();
    assert_eq!(on.store.satellite_open_work(id).await.unwrap(), None);
}

pub(crate) async fn a_list_has_what_matches_the_filter(on: &Fixture) {
    let (ours, theirs) = (on.team().await, on.team().await);
    let plain = on.register(&on.name(), Some(ours)).await;
    let tagged = on.register(&on.name(), Some(ours)).await;
    let foreign = on.register(&on.name(), Some(theirs)).await;
    let labels = SatellitePatch { tags: Some(vec!["db".into(), "eu".into()]), ..SatellitePatch::default() };
    on.store.satellite_update(tagged.id, labels, on.draft()).await.unwrap();
    on.store.satellite_activate(tagged.id, on.now(), on.draft()).await.unwrap();

    let both = SatelliteQuery::visible_to(VisibleScope::of_teams([ours, theirs]));
    let mine = SatelliteQuery::visible_to(VisibleScope::of_teams([ours]));
    let check = async |query: SatelliteQuery, mut expected: Vec<&hive_store::SatelliteRow>| {
        expected.sort_by(|a, b| a.name.cmp(&b.name));
        let expected: Vec<_> = expected.iter().map(|row| row.id).collect();
        let (rows, total) = on.store.satellite_list(&query, RowRange::ALL).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), expected, "{query:?}");
        assert_eq!(total, expected.len() as u64);
        assert_eq!(on.store.satellite_list_ids(&query, RowRange::ALL).await.unwrap(), expected, "{query:?}");
    };
    let tags = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
    check(both.clone(), vec![&plain, &tagged, &foreign]).await;
    check(mine.clone(), vec![&plain, &tagged]).await;
    check(SatelliteQuery::visible_to(VisibleScope::of_teams([])), vec![]).await;
    check(SatelliteQuery { team_id: Some(theirs), ..mine.clone() }, vec![]).await;
    check(
        SatelliteQuery { team_id: Some(ours), ..SatelliteQuery::visible_to(VisibleScope::ALL) },
        vec![&plain, &tagged],
    )
    .await;
    check(SatelliteQuery { status: Some(SatelliteStatus::Active), ..both.clone() }, vec![&tagged]).await;
    check(SatelliteQuery { tags: tags(&["eu"]), ..mine.clone() }, vec![&plain, &tagged]).await;
    check(SatelliteQuery { tags: tags(&["eu", "db"]), ..mine.clone() }, vec![&tagged]).await;
    check(SatelliteQuery { tags: tags(&["web", "db"]), ..mine.clone() }, vec![]).await;
    check(SatelliteQuery { search: Some(tagged.name.as_str()[4..].into()), ..both.clone() }, vec![&tagged]).await;
    check(SatelliteQuery { search: Some("ost-1".into()), ..mine.clone() }, vec![&plain, &tagged]).await;
    let some = Some(vec![foreign.id, tagged.id, SatelliteId::new(on.seed())]);
    check(SatelliteQuery { ids: some.clone(), ..both.clone() }, vec![&tagged, &foreign]).await;
    check(SatelliteQuery { ids: some, ..mine }, vec![&tagged]).await;
    check(SatelliteQuery { ids: Some(Vec::new()), ..both }, vec![]).await;
}

pub(crate) async fn many_satellites_are_read_at_once(on: &Fixture) {
    let (one, other, removed) = (on.satellite().await, on.satellite().await, on.satellite().await);
    on.store.satellite_remove(removed.id, on.now(), on.draft()).await.unwrap();
    let check = |mut rows: Vec<hive_store::SatelliteRow>, expected: &[&hive_store::SatelliteRow]| {
        rows.sort_by_key(|row| row.id);
        let mut expected = expected.to_vec();
        expected.sort_by_key(|row| row.id);
        assert_eq!(rows.iter().collect::<Vec<_>>(), expected);
    };
    let nobody = SatelliteId::new(on.seed());
    let get = async |ids: &[SatelliteId]| on.store.satellite_get_many(ids).await.unwrap();
    check(get(&[other.id, nobody, one.id, removed.id, one.id]).await, &[&one, &other]);
    check(get(&[]).await, &[]);
    let names = [&one.name, &on.name(), &removed.name, &one.name].map(Clone::clone);
    check(on.store.satellite_find_many(&names).await.unwrap(), &[&one]);
    // More than one statement takes.
    let many: Vec<_> = (0..2500).map(|_| SatelliteId::new(on.seed())).chain([other.id]).collect();
    check(get(&many).await, &[&other]);
}

pub(crate) async fn a_search_has_no_wildcards(on: &Fixture) {
    let satellite = on.satellite().await;
    let hostname = r"50%_\host'";
    let system = SystemInfo { hostname: hostname.into(), ..SystemInfo::default() };
    on.store
        .satellite_describe(vec![SatelliteDescription { id: satellite.id, system: Some(system), agent_version: None }])
        .await
        .unwrap();
    let found = async |search: &str| {
        let query = SatelliteQuery {
            search: Some(search.into()),
            team_id: satellite.team_id,
            ..SatelliteQuery::visible_to(VisibleScope::ALL)
        };
        on.store.satellite_list(&query, RowRange::ALL).await.unwrap().1 == 1
    };
    for part in [hostname, "50%", "%_", r"\", "'"] {
        assert!(found(part).await, "{part:?}");
    }
    // As wildcards, these would match the host name.
    for pattern in ["5%host", "50_", r"\%", "host_", r"%\\"] {
        assert!(!found(pattern).await, "{pattern:?}");
    }
}

pub(crate) async fn a_page_is_a_part_of_the_list(on: &Fixture) {
    let team = Some(on.team().await);
    for _ in 0..5 {
        on.register(&on.name(), team).await;
    }
    let query = SatelliteQuery { team_id: team, ..SatelliteQuery::visible_to(VisibleScope::ALL) };
    let (all, _) = on.store.satellite_list(&query, RowRange::ALL).await.unwrap();
    for (offset, range) in [(0, 0..2), (2, 2..4), (4, 4..5), (6, 5..5)] {
        let page = on.store.satellite_list(&query, RowRange::part(offset, 2)).await.unwrap();
        assert_eq!(page, (all[range].to_vec(), 5));
    }
}

pub(crate) async fn a_description_replaces_what_it_names(on: &Fixture) {
    let before = on.satellite().await;
    let system = SystemInfo { hostname: "renamed".into(), uptime_seconds: 7, ..SystemInfo::default() };
    let whole =
        SatelliteDescription { id: before.id, system: Some(system.clone()), agent_version: Some("0.2.0".into()) };
    let empty = SatelliteDescription { id: before.id, system: None, agent_version: None };
    // An unknown satellite among others is skipped, and the others are stored.
    let nobody = SatelliteDescription { id: SatelliteId::new(on.seed()), ..whole.clone() };
    on.store.satellite_describe(vec![whole, nobody, empty]).await.unwrap();
    let after = on.store.satellite_get(before.id).await.unwrap().unwrap();
    assert_eq!((after.system, after.agent_version.as_deref()), (system, Some("0.2.0")));
    assert_eq!(after.updated_at, before.updated_at, "it is no change of the satellite");
}

pub(crate) async fn an_assignment_ends_what_is_open(on: &Fixture) {
    let (satellite, now, actor) = (on.satellite().await, on.now(), on.unique());
    let id = satellite.id;
    let queued = on.insert(on.new_command(id)).await;
    let delivery = Delivery { journal_id: "journal-1".into(), at: now, expires_at: None };
    let running = on.insert(on.new_command(id).delivery(Some(delivery.clone()))).await;
    let ended = on.insert(on.new_command(id).delivery(Some(delivery))).await;
    on.store.command_finish(ended, on.outcome(CommandStatus::Succeeded), Vec::new()).await.unwrap();
    let rename = SatellitePatch { name: Some(on.name()), ..SatellitePatch::default() };
    on.store.satellite_update(id, rename, on.draft()).await.unwrap().unwrap();
    assert_eq!(on.store.command_list_open(id).await.unwrap().len(), 2, "a new name ends nothing");

    on.store.satellite_update(id, assigned(on, None), on.draft_by(&actor)).await.unwrap().unwrap();
    for command in [queued, running] {
        let row = on.stored(command).await;
        assert_eq!((row.status, row.team_id), (CommandStatus::Cancelled, satellite.team_id));
        assert_eq!(row.end.error.unwrap().code, ErrorCode::SatelliteNotFound);
    }
    assert_eq!(on.stored(ended).await.status, CommandStatus::Succeeded);
    let said = on.records_by(&actor).await.pop().unwrap().details["ended"].clone();
    assert_eq!(said, json!({ "cancelled": 2, "sessions": 0 }));

    let revoked = async |journal: &str, since| on.store.command_list_revoked(id, journal, since, 10).await.unwrap();
    let before = now.minus(Duration::from_mins(1));
    assert_eq!(revoked("journal-1", before).await, [running], "what was never handed over runs nowhere");
    assert_eq!(revoked("journal-2", before).await, []);
    assert_eq!(revoked("journal-1", on.now().plus(Duration::from_mins(1))).await, []);
}
