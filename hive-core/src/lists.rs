//! Lists: which part of a list a caller asks for, and the whole of a list that comes in parts.
//!
//! [`collect`] reads all of a list. In this process, `Listing` is the one place where the parameters of every
//! list are checked and its answer is put together; the store reads the rows.

mod cursor;
pub(crate) mod listing;

use hive_wire::api::{MAX_PER_PAGE, Page, PageRequest, Sort};

use crate::Result;

/// Reads a list until its end, or until `limit` entries are there. It has every entry that is there all the time, once, also while
/// others come and go.
///
/// ```no_run
/// # async fn read(hive: &dyn hive_core::HiveApi) -> hive_core::Result<()> {
/// use hive_core::lists::collect;
/// use hive_core::wire::api::SatelliteFilter;
///
/// let satellites = hive.satellites();
/// let latest = Some("-last_seen".parse().unwrap());
/// let all = collect(usize::MAX, latest, |page| satellites.list(SatelliteFilter::default(), page)).await?;
/// # drop(all);
/// # Ok(())
/// # }
/// ```
pub async fn collect<C, T, F>(
    limit: usize,
    sort: Option<Sort<C>>,
    mut page_of: impl FnMut(PageRequest<C>) -> F,
) -> Result<Vec<T>>
where
    C: Copy,
    F: Future<Output = Result<Page<T>>>,
{
    let first = PageRequest::first(limit.clamp(1, MAX_PER_PAGE as usize) as u32).sorted(sort);
    let mut request = first.clone();
    let mut items = Vec::new();
    loop {
        let page = page_of(request).await?;
        let next = next_request(&first, &page);
        items.extend(page.items);
        match next {
            Some(next) if items.len() < limit => request = next,
            _ => break,
        }
    }
    items.truncate(limit);
    Ok(items)
}

/// Returns the request for the part behind `page`, which is of the list that `first` asks for; `None` behind the last one.
pub fn next_request<C: Copy, T>(first: &PageRequest<C>, page: &Page<T>) -> Option<PageRequest<C>> {
    if let Some(cursor) = &page.next_cursor {
        return Some(PageRequest { cursor: Some(cursor.clone()), ..first.clone() });
    }
    // A hive of an earlier version has no cursors. Its total may shrink or grow between two pages: an empty page ends the list
    // whatever the total says.
    let number = page.page.filter(|_| !page.items.is_empty())?;
    let is_last = u64::from(number) * u64::from(page.per_page) >= page.total;
    (!is_last).then(|| PageRequest { page: Some(number + 1), ..first.clone() })
}

#[cfg(test)]
mod tests {
    use hive_wire::api::UserSort;

    use super::*;

    /// A hive of `total` entries, with cursors or without.
    fn page(request: &PageRequest<UserSort>, total: u64, has_cursors: bool) -> Page<u64> {
        let per_page = request.per_page.unwrap();
        let first = match (&request.cursor, request.page) {
            (Some(cursor), None) => cursor.parse().unwrap(),
            (None, page) => u64::from(page.unwrap_or(1) - 1) * u64::from(per_page),
            (Some(_), Some(_)) => panic!("a page and a cursor"),
        };
        let end = (first + u64::from(per_page)).min(total);
        Page {
            items: (first..end).collect(),
            total: if has_cursors { total.min(10_000) } else { total },
            total_is_estimate: has_cursors && total > 10_000,
            page: request.cursor.is_none().then(|| request.page.unwrap_or(1)),
            per_page,
            next_cursor: (has_cursors && end < total).then(|| end.to_string()),
        }
    }

    async fn check(total: u64, limit: usize, expected: u64) {
        for has_cursors in [true, false] {
            let page_of = |request| std::future::ready(Ok(page(&request, total, has_cursors)));
            let all = collect(limit, None, page_of).await.unwrap();
            assert_eq!(all, (0..expected).collect::<Vec<_>>(), "{limit} of {total}, cursors: {has_cursors}");
        }
    }

    #[tokio::test]
    async fn every_entry_comes_once() {
        check(0, usize::MAX, 0).await;
        check(5, usize::MAX, 5).await;
        check(2500, usize::MAX, 2500).await;
        check(12_345, usize::MAX, 12_345).await;
        check(2500, 1500, 1500).await;
        check(5, 2, 2).await;
    }
}
