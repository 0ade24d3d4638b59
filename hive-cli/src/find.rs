//! Satellites and teams by the words people use for them.

use hive_core::wire::api::{Satellite, SatelliteFilter, SatelliteStatus, Target};
use hive_core::wire::{SatelliteId, TeamId};
use hive_core::{DeviceRegistry, Error, Identity};

use crate::api::Api;
use crate::failure::{Failure, Result};
use crate::pages;

/// Reads targets; one that is none is a usage error.
pub(crate) fn targets(words: &[String]) -> Result<Vec<Target>> {
    words.iter().map(|word| word.parse().map_err(|error| Failure::usage(format!("{error}")))).collect()
}

/// The satellite with this id or name.
pub(crate) async fn satellite(api: &dyn Api, word: &str) -> Result<Satellite> {
    let missing = || Error::SatelliteNotFound(word.to_owned());
    if let Ok(id) = word.parse::<SatelliteId>() {
        return Ok(api.get(id).await?.ok_or_else(missing)?);
    }
    let filter = SatelliteFilter { search: Some(word.to_owned()), ..SatelliteFilter::default() };
    let similar = all(api, filter).await?;
    Ok(similar.into_iter().find(|satellite| satellite.name.as_str() == word).ok_or_else(missing)?)
}

/// The satellites that targets stand for, each once, by name.
pub(crate) async fn satellites(api: &dyn Api, targets: &[Target]) -> Result<Vec<Satellite>> {
    let mut found = Vec::new();
    for target in targets {
        match target {
            Target::All => found.extend(all(api, active()).await?),
            Target::Tag(tag) => found.extend(all(api, SatelliteFilter { tags: vec![tag.clone()], ..active() }).await?),
            Target::Id(_) | Target::Name(_) => found.push(satellite(api, &target.to_string()).await?),
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found.dedup_by_key(|satellite| satellite.id);
    Ok(found)
}

/// All satellites that the filter lets through.
pub(crate) async fn all(api: &dyn Api, filter: SatelliteFilter) -> Result<Vec<Satellite>> {
    Ok(pages::collect(usize::MAX, async |page| DeviceRegistry::list(api, filter.clone(), page).await).await?)
}

/// The team with this id or slug.
pub(crate) async fn team(api: &dyn Api, word: &str) -> Result<TeamId> {
    if let Ok(id) = word.parse() {
        return Ok(id);
    }
    let teams = Identity::team_list(api).await?;
    let team = teams.into_iter().find(|team| team.slug == word);
    Ok(team.ok_or_else(|| Error::NotFound { what: "team", id: word.to_owned() })?.id)
}

fn active() -> SatelliteFilter {
    SatelliteFilter { status: Some(SatelliteStatus::Active), ..SatelliteFilter::default() }
}
