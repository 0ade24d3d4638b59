//! How a call finds what its arguments name: satellites by id or name, and lists over all of their pages.

use futures_util::future::BoxFuture;
use hive_core::HiveApi;
use hive_core::wire::SatelliteId;
use hive_core::wire::api::{self, PageRequest, Target};

use crate::{HiveError, records};

/// Reads all pages of a list.
pub(crate) async fn every_page<'h, T: 'h>(
    mut read_page: impl FnMut(PageRequest) -> BoxFuture<'h, hive_core::Result<api::Page<T>>>,
) -> Result<Vec<T>, HiveError> {
    let mut items = Vec::new();
    for page in 1.. {
        let read = read_page(PageRequest { page, per_page: PageRequest::MAX_PER_PAGE }).await?;
        // The list may shrink while it is read. Then `total` is never reached, and an empty page ends the list.
        let is_last = read.items.is_empty();
        items.extend(read.items);
        if is_last || items.len() as u64 >= read.total {
            break;
        }
    }
    Ok(items)
}

/// Returns the satellite with this id or name.
pub(crate) async fn find_satellite(api: &dyn HiveApi, id_or_name: &str) -> Result<api::Satellite, HiveError> {
    let missing = || hive_core::Error::SatelliteNotFound(id_or_name.to_owned());
    if let Ok(id) = id_or_name.parse::<SatelliteId>() {
        return Ok(api.satellites().get(id).await?.ok_or_else(missing)?);
    }
    // There is no lookup by name. The search also matches parts of names and host names.
    let filter = api::SatelliteFilter { search: Some(id_or_name.to_owned()), ..api::SatelliteFilter::default() };
    let satellites = api.satellites();
    let matches = every_page(|page| satellites.list(filter.clone(), page)).await?;
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
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn an_invalid_target_is_refused() {
        assert!(matches!(parse_targets(&["tag:".into()]), Err(HiveError::InvalidInput { .. })));
        assert_eq!(parse_targets(&["all".into(), "tag:web".into()]).unwrap(), [Target::All, Target::Tag("web".into())]);
    }

    #[tokio::test]
    async fn every_page_is_read_once() {
        let read_page = |PageRequest { page, per_page }| {
            let items = if page == 1 { vec![1; 1000] } else { vec![2; 5] };
            futures_util::future::ready(Ok(api::Page { items, total: 1005, page, per_page })).boxed()
        };
        assert_eq!(every_page(read_page).await.unwrap().len(), 1005);
    }
}
