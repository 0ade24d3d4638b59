//! Finds satellites, teams and users by the names and ids in the arguments.

use hive_core::Error;
use hive_core::wire::api::{
    Group, GroupFilter, GroupRef, GroupSort, Satellite, SatelliteFilter, SatelliteSort, SatelliteStatus, Sort, Target,
    User, UserSort,
};
use hive_core::wire::{GroupId, SatelliteId, TeamId};

use crate::error::{CliError, Result};
use hive_core::HiveApi;
use hive_core::lists::collect;

/// The most satellites whose names are compared with an unknown name.
const MAX_COMPARED: usize = 1000;
/// The similarity from which on a name is suggested instead of an unknown one, from 0 to 1.
const MIN_SIMILARITY: f64 = 0.8;

/// Parses targets. A word that is no target is a usage error.
pub(crate) fn targets(words: &[String]) -> Result<Vec<Target>> {
    words.iter().map(|word| word.parse().map_err(|error| CliError::usage(format!("{error}")))).collect()
}

/// Returns the satellite with this id or name.
pub(crate) async fn satellite(api: &dyn HiveApi, word: &str) -> Result<Satellite> {
    let missing = || Error::SatelliteNotFound(word.to_owned());
    if let Ok(id) = word.parse::<SatelliteId>() {
        return Ok(api.satellites().get(id).await?.ok_or_else(missing)?);
    }
    // The API has no lookup by name. The search also matches parts of names and host names, so the exact name is picked
    // here.
    let filter = SatelliteFilter { search: Some(word.to_owned()), ..SatelliteFilter::default() };
    let similar = all(api, filter).await?;
    Ok(similar.into_iter().find(|satellite| satellite.name.as_str() == word).ok_or_else(missing)?)
}

/// Returns the satellites that the targets select, each once, ordered by name.
pub(crate) async fn satellites(api: &dyn HiveApi, targets: &[Target]) -> Result<Vec<Satellite>> {
    let mut found = Vec::new();
    for target in targets {
        match target {
            Target::All => found.extend(in_fleet(api, Vec::new()).await?),
            Target::Tag(tag) => found.extend(in_fleet(api, vec![tag.clone()]).await?),
            Target::Query(query) => {
                let fleet = in_fleet(api, Vec::new()).await?;
                found.extend(fleet.into_iter().filter(|satellite| query.matches(&satellite.tags)));
            }
            Target::Group(group) => found.extend(satellites_of(api, group_of(api, group).await?).await?),
            Target::Id(_) | Target::Name(_) => found.push(satellite(api, &target.to_string()).await?),
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found.dedup_by_key(|satellite| satellite.id);
    Ok(found)
}

/// Returns all satellites that match the filter.
pub(crate) async fn all(api: &dyn HiveApi, filter: SatelliteFilter) -> Result<Vec<Satellite>> {
    some(api, filter, None, usize::MAX).await
}

/// Returns the first `limit` satellites that match the filter.
pub(crate) async fn some(
    api: &dyn HiveApi,
    filter: SatelliteFilter,
    sort: Option<Sort<SatelliteSort>>,
    limit: usize,
) -> Result<Vec<Satellite>> {
    let satellites = api.satellites();
    Ok(collect(limit, sort, |page| satellites.list(filter.clone(), page)).await?)
}

/// Returns the satellite name closest to an unknown one, if one is close enough for a typing error.
pub(crate) async fn closest_name(api: &dyn HiveApi, word: &str) -> Option<String> {
    let satellites = some(api, SatelliteFilter::default(), None, MAX_COMPARED).await.ok()?;
    let names = satellites.into_iter().map(|satellite| satellite.name.to_string());
    let similarity = |name: &String| strsim::jaro_winkler(name, word);
    names.filter(|name| similarity(name) >= MIN_SIMILARITY).max_by(|a, b| similarity(a).total_cmp(&similarity(b)))
}

/// Returns the team with this id or slug.
pub(crate) async fn team(api: &dyn HiveApi, word: &str) -> Result<TeamId> {
    // Not ambiguous: an id has an underscore, a slug cannot.
    if let Ok(id) = word.parse() {
        return Ok(id);
    }
    let teams = api.identity().team_list().await?;
    let team = teams.into_iter().find(|team| team.slug == word);
    Ok(team.ok_or_else(|| Error::NotFound { what: "team", id: word.to_owned() })?.id)
}

/// Returns the group with this id or name.
pub(crate) async fn group(api: &dyn HiveApi, word: &str) -> Result<GroupId> {
    group_of(api, &word.parse().map_err(|error| CliError::usage(format!("{error}")))?).await
}

async fn group_of(api: &dyn HiveApi, group: &GroupRef) -> Result<GroupId> {
    let name = match group {
        GroupRef::Id(id) => return Ok(*id),
        GroupRef::Name(name) => name,
    };
    // The search also matches parts of names.
    let filter = GroupFilter { search: Some(name.to_string()), ..GroupFilter::default() };
    let mut found = groups(api, filter, None, usize::MAX).await?;
    found.retain(|group| group.name == *name);
    match found.as_slice() {
        [] => Err(Error::NotFound { what: "group", id: name.to_string() }.into()),
        [group] => Ok(group.id),
        several => {
            let ids: Vec<_> = several.iter().map(|group| group.id.to_string()).collect();
            Err(CliError::usage(format!("several groups are named {name}; give the id of one: {}", ids.join(", "))))
        }
    }
}

/// Returns the first `limit` groups that match the filter.
pub(crate) async fn groups(
    api: &dyn HiveApi,
    filter: GroupFilter,
    sort: Option<Sort<GroupSort>>,
    limit: usize,
) -> Result<Vec<Group>> {
    let groups = api.groups();
    Ok(collect(limit, sort, |page| groups.list(filter.clone(), page)).await?)
}

/// Returns the satellites that a group has now.
pub(crate) async fn satellites_of(api: &dyn HiveApi, group: GroupId) -> Result<Vec<Satellite>> {
    let groups = api.groups();
    Ok(collect(usize::MAX, None, |page| groups.list_satellites(group, page)).await?)
}

/// Returns all users.
pub(crate) async fn users(api: &dyn HiveApi, sort: Option<Sort<UserSort>>) -> Result<Vec<User>> {
    let identity = api.identity();
    Ok(collect(usize::MAX, sort, |page| identity.user_list(page)).await?)
}

/// Returns the user with this id or name.
pub(crate) async fn user(api: &dyn HiveApi, word: &str) -> Result<User> {
    let missing = || Error::NotFound { what: "user", id: word.to_owned() };
    if let Ok(id) = word.parse() {
        return Ok(api.identity().user_get(id).await?.ok_or_else(missing)?);
    }
    Ok(users(api, None).await?.into_iter().find(|user| user.username == word).ok_or_else(missing)?)
}

/// Returns the satellites that `all` or a tag selects: those that are not inactive, as the hive selects them for a
/// job.
async fn in_fleet(api: &dyn HiveApi, tags: Vec<String>) -> Result<Vec<Satellite>> {
    let mut found = all(api, SatelliteFilter { tags, ..SatelliteFilter::default() }).await?;
    found.retain(|satellite| satellite.status != SatelliteStatus::Inactive);
    Ok(found)
}
