use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use hive_store::access::VisibleScope;
use hive_store::{
    GroupPatch, GroupQuery, RowRange, SatellitePatch, SatelliteQuery, SatelliteRow, SatelliteSelection, StoreError,
    TagListQuery,
};
use hive_wire::api::{Group, TagCount};
use hive_wire::{GroupId, GroupName, SatelliteId, TagQuery, TeamId};

use crate::CALLERS;
use crate::fixture::Fixture;

impl Fixture {
    fn group_name(&self) -> GroupName {
        self.unique().try_into().unwrap()
    }

    fn new_group(&self, name: &GroupName, team_id: Option<TeamId>, query: Option<&str>) -> Group {
        let (id, now) = (GroupId::new(self.seed()), self.now());
        let query = query.map(|query| query.parse().unwrap());
        Group { id, name: name.clone(), team_id, query, created_at: now, updated_at: now }
    }

    async fn group(&self, team_id: Option<TeamId>, members: &[SatelliteId]) -> Group {
        let group = self.new_group(&self.group_name(), team_id, None);
        self.store.group_create(group.clone(), members.to_vec(), self.draft()).await.unwrap();
        group
    }

    fn group_patch(&self) -> GroupPatch {
        GroupPatch { name: None, query: None, members: None, add: Vec::new(), remove: Vec::new(), now: self.now() }
    }

    /// The satellites of a selection.
    async fn selected(&self, selection: SatelliteSelection) -> BTreeSet<SatelliteId> {
        let query = SatelliteQuery { selection: Some(selection), ..SatelliteQuery::visible_to(VisibleScope::ALL) };
        let ids = self.store.satellite_list_ids(&query, RowRange::ALL).await.unwrap();
        assert_eq!(self.store.satellite_list(&query, RowRange::ALL).await.unwrap().1, ids.len() as u64);
        ids.into_iter().collect()
    }

    async fn listed(&self, group: GroupId) -> BTreeSet<SatelliteId> {
        self.selected(SatelliteSelection::listed_by(group)).await
    }

    /// Registers a satellite with these tags, and activates it.
    async fn tagged(&self, team: TeamId, tags: &[&str]) -> SatelliteRow {
        let row = self.register(&self.name(), Some(team)).await;
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let patch = SatellitePatch { tags: Some(tags), ..SatellitePatch::default() };
        self.store.satellite_activate(row.id, self.now(), self.draft()).await.unwrap();
        self.store.satellite_update(row.id, patch, self.draft()).await.unwrap().unwrap()
    }
}

fn set(ids: impl IntoIterator<Item = SatelliteId>) -> BTreeSet<SatelliteId> {
    ids.into_iter().collect()
}

pub(crate) async fn a_group_reads_back_as_it_was_stored(on: &Fixture) {
    let (team, actor) = (on.team().await, on.unique());
    let plain = on.new_group(&on.group_name(), None, None);
    let full = on.new_group(&on.group_name(), Some(team), Some("web AND NOT \"all\""));
    for group in [&plain, &full] {
        on.store.group_create(group.clone(), Vec::new(), on.draft_by(&actor)).await.unwrap();
        assert_eq!(on.store.group_get(group.id).await.unwrap().as_ref(), Some(group));
        assert_eq!(on.store.group_find(&group.name).await.unwrap(), std::slice::from_ref(group));
    }
    assert_eq!(on.records_by(&actor).await.len(), 2);
    assert_eq!(on.store.group_get(GroupId::new(on.seed())).await.unwrap(), None);
    assert_eq!(on.store.group_find(&on.group_name()).await.unwrap(), []);
}

pub(crate) async fn a_group_name_is_taken_once_in_a_team(on: &Fixture) {
    let (name, teams) = (on.group_name(), [None, Some(on.team().await), Some(on.team().await)]);
    for team in teams {
        let actor = on.unique();
        let create = async |_| {
            let created = on.store.group_create(on.new_group(&name, team, None), Vec::new(), on.draft_by(&actor)).await;
            assert!(matches!(created, Ok(()) | Err(StoreError::Taken("name"))), "{created:?}");
            created.is_ok()
        };
        let created = join_all((0..CALLERS).map(create)).await;
        assert_eq!(created.into_iter().filter(|is_created| *is_created).count(), 1);
        assert_eq!(on.records_by(&actor).await.len(), 1);
    }
    let found = on.store.group_find(&name).await.unwrap();
    assert_eq!(found.iter().map(|group| group.team_id).collect::<BTreeSet<_>>(), teams.into());
    let other = on.group(None, &[]).await;
    let patch = GroupPatch { name: Some(name), ..on.group_patch() };
    let taken = on.store.group_update(other.id, patch, on.draft()).await;
    assert!(matches!(taken, Err(StoreError::Taken("name"))), "{taken:?}");
}

pub(crate) async fn an_update_of_a_group_changes_what_it_names(on: &Fixture) {
    let (actor, team) = (on.unique(), on.team().await);
    let [a, b, c] = [on.satellite().await.id, on.satellite().await.id, on.satellite().await.id];
    let before = on.group(Some(team), &[a, b, b]).await;
    let update =
        async |patch: GroupPatch| on.store.group_update(before.id, patch, on.draft_by(&actor)).await.unwrap().unwrap();
    let (name, query) = (on.group_name(), "web".parse::<TagQuery>().unwrap());
    let named = update(GroupPatch { name: Some(name.clone()), ..on.group_patch() }).await;
    assert_eq!(
        (&named.name, named.query, named.team_id, named.created_at),
        (&name, None, Some(team), before.created_at)
    );
    assert_eq!(
        update(GroupPatch { query: Some(Some(query.clone())), ..on.group_patch() }).await.query,
        Some(query.clone())
    );
    assert_eq!(update(on.group_patch()).await.query, Some(query));
    assert_eq!(update(GroupPatch { query: Some(None), ..on.group_patch() }).await.query, None);
    assert_eq!(on.listed(before.id).await, set([a, b]), "its members stayed");
    update(GroupPatch { add: vec![b, c], remove: vec![a], ..on.group_patch() }).await;
    assert_eq!(on.listed(before.id).await, set([b, c]));
    update(GroupPatch { members: Some(vec![a]), ..on.group_patch() }).await;
    assert_eq!(on.listed(before.id).await, set([a]));
    assert_eq!(on.records_by(&actor).await.len(), 6);
    let unknown = on.store.group_update(GroupId::new(on.seed()), on.group_patch(), on.draft_by(&actor)).await.unwrap();
    assert_eq!((unknown, on.records_by(&actor).await.len()), (None, 6));
}

pub(crate) async fn a_group_is_removed_once(on: &Fixture) {
    let (actor, member) = (on.unique(), on.satellite().await.id);
    let (group, other) = (on.group(None, &[member]).await, on.group(None, &[member]).await);
    let remove = async |_| on.store.group_remove(group.id, on.draft_by(&actor)).await.unwrap();
    let removed = join_all((0..CALLERS).map(remove)).await;
    assert_eq!(removed.into_iter().filter(|is_removed| *is_removed).count(), 1);
    assert_eq!(on.records_by(&actor).await.len(), 1);
    assert_eq!(on.store.group_get(group.id).await.unwrap(), None);
    assert_eq!((on.listed(group.id).await, on.listed(other.id).await), (set([]), set([member])));
    assert!(on.store.satellite_get(member).await.unwrap().is_some(), "its satellites stay");
}

pub(crate) async fn a_removed_satellite_is_in_no_group(on: &Fixture) {
    let (gone, kept) = (on.satellite().await.id, on.satellite().await.id);
    let group = on.group(None, &[gone, kept]).await;
    on.store.satellite_remove(gone, on.now(), on.draft()).await.unwrap();
    assert_eq!(on.listed(group.id).await, set([kept]));
    // Neither a removed satellite nor one that never was is listed again.
    let add = vec![gone, SatelliteId::new(on.seed())];
    on.store.group_update(group.id, GroupPatch { add, ..on.group_patch() }, on.draft()).await.unwrap();
    assert_eq!(on.listed(group.id).await, set([kept]));
    let late = on.group(None, &[gone, kept]).await;
    assert_eq!(on.listed(late.id).await, set([kept]));
}

pub(crate) async fn groups_are_listed_by_name_and_by_team(on: &Fixture) {
    let (ours, theirs) = (on.team().await, on.team().await);
    let mut mine = [on.group(Some(ours), &[]).await, on.group(Some(ours), &[]).await, on.group(Some(ours), &[]).await];
    let (foreign, of_hive) = (on.group(Some(theirs), &[]).await, on.group(None, &[]).await);
    mine.sort_by(|a, b| a.name.cmp(&b.name));
    let list = async |visible: VisibleScope, team_id, search: Option<&str>, range| {
        let query = GroupQuery { visible, team_id, search: search.map(str::to_owned) };
        on.store.group_list(&query, range).await.unwrap()
    };
    let sees_ours = || VisibleScope::of_teams([ours]);
    assert_eq!(list(sees_ours(), None, None, RowRange::ALL).await, (mine.to_vec(), 3));
    assert_eq!(list(sees_ours(), None, None, RowRange::part(1, 1)).await, (vec![mine[1].clone()], 3));
    assert_eq!(list(sees_ours(), Some(theirs), None, RowRange::ALL).await, (vec![], 0));
    assert_eq!(list(VisibleScope::of_teams([]), None, None, RowRange::ALL).await, (vec![], 0));
    assert_eq!(list(VisibleScope::ALL, Some(theirs), None, RowRange::ALL).await, (vec![foreign], 1));
    let part = &of_hive.name.as_str()[3..];
    assert_eq!(list(VisibleScope::ALL, None, Some(part), RowRange::ALL).await, (vec![of_hive.clone()], 1));
    assert_eq!(list(sees_ours(), None, Some("_"), RowRange::ALL).await.1, 0, "it is no wildcard");
}

pub(crate) async fn a_selection_is_the_listed_and_those_of_the_query(on: &Fixture) {
    let team = on.team().await;
    let (web, db) = (on.tagged(team, &["web"]).await.id, on.tagged(team, &["db"]).await.id);
    let inactive = on.register(&on.name(), Some(team)).await.id;
    let group = on.group(None, &[db, inactive]).await;
    let both = SatelliteSelection { listed_by: Some(group.id), query: Some("web".parse().unwrap()) };
    let query =
        SatelliteQuery { selection: Some(both), team_id: Some(team), ..SatelliteQuery::visible_to(VisibleScope::ALL) };
    assert_eq!(set(on.store.satellite_list_ids(&query, RowRange::ALL).await.unwrap()), set([web, db, inactive]));
    // A query selects no satellite that was never activated. The fixture gives each the tag `web`.
    let by_query =
        SatelliteQuery { selection: Some(SatelliteSelection::of_query("web".parse().unwrap())), ..query.clone() };
    assert_eq!(on.store.satellite_list_ids(&by_query, RowRange::ALL).await.unwrap(), [web]);
    let hidden = SatelliteQuery { visible: VisibleScope::of_teams([on.team().await]), ..query.clone() };
    assert_eq!(on.store.satellite_list_ids(&hidden, RowRange::ALL).await.unwrap(), []);
    let nothing = SatelliteSelection { listed_by: None, query: None };
    let nothing = SatelliteQuery { selection: Some(nothing), ..query };
    assert_eq!(on.store.satellite_list_ids(&nothing, RowRange::ALL).await.unwrap(), []);
}

pub(crate) async fn a_query_selects_what_its_rules_say(on: &Fixture) {
    let team = on.team().await;
    let tags = [&["web"][..], &["web", "production"], &["api", "production", "canary"], &["WEB"], &["all"], &[]];
    let mut rows = BTreeMap::new();
    for tags in tags {
        let row = on.tagged(team, tags).await;
        rows.insert(row.id, row.tags);
    }
    for text in [
        "web",
        "all",
        "\"all\"",
        "web OR api",
        "web AND production",
        "all AND NOT canary",
        "production AND (web OR api) AND NOT canary",
        "NOT NOT web",
        "all AND NOT (web OR api)",
        "nothing OR (production AND NOT (web AND NOT canary))",
    ] {
        let query: TagQuery = text.parse().unwrap();
        let expected = set(rows.iter().filter(|(_, tags)| query.matches(tags)).map(|(id, _)| *id));
        let selection = Some(SatelliteSelection::of_query(query));
        let query = SatelliteQuery { selection, team_id: Some(team), ..SatelliteQuery::visible_to(VisibleScope::ALL) };
        assert_eq!(set(on.store.satellite_list_ids(&query, RowRange::ALL).await.unwrap()), expected, "{text}");
    }
}

pub(crate) async fn tags_are_counted_by_what_is_visible(on: &Fixture) {
    let (ours, theirs) = (on.team().await, on.team().await);
    on.tagged(ours, &["a-web", "b-db"]).await;
    on.tagged(ours, &["a-web"]).await;
    on.tagged(theirs, &["a-web", "c-api"]).await;
    let gone = on.tagged(ours, &["a-web", "d-old"]).await;
    on.store.satellite_remove(gone.id, on.now(), on.draft()).await.unwrap();
    let list = async |visible: VisibleScope, team_id, search: Option<&str>, range| {
        let query = TagListQuery { visible, team_id, search: search.map(str::to_owned) };
        let (tags, total) = on.store.satellite_tag_list(&query, range).await.unwrap();
        let pairs = tags.into_iter().map(|TagCount { tag, satellites }| (tag, satellites)).collect::<Vec<_>>();
        (pairs, total)
    };
    let pairs = |tags: &[(&str, u64)]| tags.iter().map(|(tag, count)| ((*tag).to_owned(), *count)).collect::<Vec<_>>();
    let (sees_ours, sees_both) = (VisibleScope::of_teams([ours]), VisibleScope::of_teams([ours, theirs]));
    let of_ours = pairs(&[("a-web", 2), ("b-db", 1)]);
    assert_eq!(list(sees_ours.clone(), None, None, RowRange::ALL).await, (of_ours.clone(), 2));
    assert_eq!(list(VisibleScope::ALL, Some(ours), None, RowRange::ALL).await, (of_ours, 2));
    let both = pairs(&[("a-web", 3), ("b-db", 1), ("c-api", 1)]);
    assert_eq!(list(sees_both.clone(), None, None, RowRange::ALL).await, (both.clone(), 3));
    assert_eq!(list(sees_both.clone(), None, None, RowRange::part(1, 1)).await, (both[1..2].to_vec(), 3));
    assert_eq!(list(sees_both, None, Some("API"), RowRange::ALL).await, (both[2..].to_vec(), 1));
    assert_eq!(list(sees_ours, None, Some("%"), RowRange::ALL).await, (vec![], 0));
}
