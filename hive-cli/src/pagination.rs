//! Collects a list of the API that comes in pages.

use hive_core::Result;
use hive_core::wire::api::{Page, PageRequest};

/// Requests pages until there are no more, or `limit` entries are there.
pub(crate) async fn collect<T>(
    limit: usize,
    mut page_of: impl AsyncFnMut(PageRequest) -> Result<Page<T>>,
) -> Result<Vec<T>> {
    let per_page = limit.clamp(1, PageRequest::MAX_PER_PAGE as usize) as u32;
    let mut items = Vec::new();
    for page in 1.. {
        let response = page_of(PageRequest { page, per_page }).await?;
        // The total may shrink or grow between two pages: an empty page ends the list whatever the total says.
        let is_last = response.items.is_empty();
        items.extend(response.items);
        if is_last || items.len() as u64 >= response.total || items.len() >= limit {
            break;
        }
    }
    items.truncate(limit);
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(total: u64, limit: usize, expected: u64) {
        let page_of = async |request: PageRequest| {
            let (page, per_page) = (request.page, request.per_page);
            let first = u64::from(page - 1) * u64::from(per_page);
            let items = (first..(first + u64::from(per_page)).min(total)).collect();
            Ok(Page { items, total, page, per_page })
        };
        let all = collect(limit, page_of).await.unwrap();
        assert_eq!(all, (0..expected).collect::<Vec<_>>(), "{limit} of {total}");
    }

    #[tokio::test]
    async fn every_entry_comes_once() {
        check(0, usize::MAX, 0).await;
        check(5, usize::MAX, 5).await;
        check(2500, usize::MAX, 2500).await;
        check(2500, 1500, 1500).await;
        check(5, 2, 2).await;
    }
}
