//! Satellites and teams by the words people use for them.

use hive_core::Error;
use hive_core::wire::api::{Satellite, SatelliteFilter, SatelliteStatus, Target, User};
use hive_core::wire::{SatelliteId, TeamId};

use crate::failure::{Failure, Result};
use crate::pages;
use hive_core::HiveApi;

/// Satellites whose names are compared with a word that is none of them.
const COMPARED: usize = 1000;
/// How much alike two names are that somebody may have confused, from 0 to 1.
const ALIKE: f64 = 0.8;

/// Reads targets; one that is none is a usage error.
pub(crate) fn targets(words: &[String]) -> Result<Vec<Target>> {
    words.iter().map(|word| word.parse().map_err(|error| Failure::usage(format!("{error}")))).collect()
}

/// The satellite with this id or name.
pub(crate) async fn satellite(api: &dyn HiveApi, word: &str) -> Result<Satellite> {
    let missing = || Error::SatelliteNotFound(word.to_owned());
    if let Ok(id) = word.parse::<SatelliteId>() {
        return Ok(api.satellites().get(id).await?.ok_or_else(missing)?);
    }
    let filter = SatelliteFilter { search: Some(word.to_owned()), ..SatelliteFilter::default() };
    let similar = all(api, filter).await?;
    Ok(similar.into_iter().find(|satellite| satellite.name.as_str() == word).ok_or_else(missing)?)
}

/// The satellites that targets stand for, each once, by name.
pub(crate) async fn satellites(api: &dyn HiveApi, targets: &[Target]) -> Result<Vec<Satellite>> {
    let mut found = Vec::new();
    for target in targets {
        match target {
            Target::All => found.extend(in_fleet(api, Vec::new()).await?),
            Target::Tag(tag) => found.extend(in_fleet(api, vec![tag.clone()]).await?),
            Target::Id(_) | Target::Name(_) => found.push(satellite(api, &target.to_string()).await?),
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found.dedup_by_key(|satellite| satellite.id);
    Ok(found)
}

/// All satellites that the filter lets through.
pub(crate) async fn all(api: &dyn HiveApi, filter: SatelliteFilter) -> Result<Vec<Satellite>> {
    some(api, filter, usize::MAX).await
}

/// As many satellites that the filter lets through.
pub(crate) async fn some(api: &dyn HiveApi, filter: SatelliteFilter, limit: usize) -> Result<Vec<Satellite>> {
    Ok(pages::collect(limit, async |page| api.satellites().list(filter.clone(), page).await).await?)
}

/// The name that is most like this word, if there is one that somebody may have meant by it.
pub(crate) async fn similar(api: &dyn HiveApi, word: &str) -> Option<String> {
    let satellites = some(api, SatelliteFilter::default(), COMPARED).await.ok()?;
    let names = satellites.into_iter().map(|satellite| satellite.name.to_string());
    let likeness = |name: &String| strsim::jaro_winkler(name, word);
    names.filter(|name| likeness(name) >= ALIKE).max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

/// The team with this id or slug.
pub(crate) async fn team(api: &dyn HiveApi, word: &str) -> Result<TeamId> {
    if let Ok(id) = word.parse() {
        return Ok(id);
    }
    let teams = api.identity().team_list().await?;
    let team = teams.into_iter().find(|team| team.slug == word);
    Ok(team.ok_or_else(|| Error::NotFound { what: "team", id: word.to_owned() })?.id)
}

/// All users.
pub(crate) async fn users(api: &dyn HiveApi) -> Result<Vec<User>> {
    Ok(pages::collect(usize::MAX, async |page| api.identity().user_list(page).await).await?)
}

/// The user with this id or name.
pub(crate) async fn user(api: &dyn HiveApi, word: &str) -> Result<User> {
    let missing = || Error::NotFound { what: "user", id: word.to_owned() };
    if let Ok(id) = word.parse() {
        return Ok(api.identity().user_get(id).await?.ok_or_else(missing)?);
    }
    Ok(users(api).await?.into_iter().find(|user| user.username == word).ok_or_else(missing)?)
}

/// All satellites that `all` or a label stands for: those that were ever activated.
async fn in_fleet(api: &dyn HiveApi, tags: Vec<String>) -> Result<Vec<Satellite>> {
    let mut found = all(api, SatelliteFilter { tags, ..SatelliteFilter::default() }).await?;
    found.retain(|satellite| satellite.status != SatelliteStatus::Inactive);
    Ok(found)
}
