//! How a call finds what its arguments name.

use hive_core::HiveApi;
use hive_core::lists::collect;
use hive_core::wire::SatelliteId;
use hive_core::wire::api::{self, Target};

use crate::{HiveError, records};

/// Returns the satellite with this id or name.
pub(crate) async fn find_satellite(api: &dyn HiveApi, id_or_name: &str) -> Result<api::Satellite, HiveError> {
    let missing = || hive_core::Error::SatelliteNotFound(id_or_name.to_owned());
    if let Ok(id) = id_or_name.parse::<SatelliteId>() {
        return Ok(api.satellites().get(id).await?.ok_or_else(missing)?);
    }
    // There is no lookup by name. The search also matches parts of names and host names.
    let filter = api::SatelliteFilter { search: Some(id_or_name.to_owned()), ..api::SatelliteFilter::default() };
    let satellites = api.satellites();
    let matches = collect(usize::MAX, None, |page| satellites.list(filter.clone(), page)).await?;
    Ok(matches.into_iter().find(|satellite| satellite.name.as_str() == id_or_name).ok_or_else(missing)?)
}

/// Returns the id of the satellite with this id or name.
pub(crate) async fn find_satellite_id(api: &dyn HiveApi, id_or_name: &str) -> Result<SatelliteId, HiveError> {
    // An id is not looked up: the call that it is for reports a satellite that does not exist.
    match id_or_name.parse() {
        Ok(id) => Ok(id),
        Err(_) => Ok(find_satellite(api, id_or_name).await?.id),
    }
}

/// Parses targets: names, ids, `tag:x` or `all`.
pub(crate) fn parse_targets(texts: &[String]) -> Result<Vec<Target>, HiveError> {
    texts.iter().map(|text| records::parse_id("targets", text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_target_is_refused() {
        assert!(matches!(parse_targets(&["tag:".into()]), Err(HiveError::InvalidInput { .. })));
        assert_eq!(parse_targets(&["all".into(), "tag:web".into()]).unwrap(), [Target::All, Target::Tag("web".into())]);
    }
}
