//! One request for a part of a list: its parameters are checked here, and the answer is put together here, for all lists.

use hive_wire::api::{MAX_PER_PAGE, Page, PageRequest, Sort, SortColumn};
use serde::Serialize;

use super::cursor::{self, ListDigest};
use crate::store::{KeyKind, MAX_COUNTED, RowOrder, RowRange, RowStart, SortKey};
use crate::{Error, Result};

/// A part of a list, as a caller asks for it.
#[derive(Debug)]
pub(crate) struct Listing<C> {
    /// The order of the list.
    pub(crate) sort: Sort<C>,
    /// Where the part begins.
    pub(crate) start: RowStart,
    /// The most entries of it.
    pub(crate) per_page: u32,
    page: Option<u32>,
    digest: ListDigest,
}

impl<C: SortColumn> Listing<C> {
    /// Checks a request for the list that `list` tells from all others: its name and its filter. `kind` is what the columns
    /// of the list have as values.
    pub(crate) fn new(list: &impl Serialize, request: PageRequest<C>, kind: impl FnOnce(C) -> KeyKind) -> Result<Self> {
        let PageRequest { page, per_page, sort, cursor } = request;
        let sort = sort.unwrap_or_default();
        let per_page = per_page.unwrap_or(C::DEFAULT_PER_PAGE);
        if !(1..=MAX_PER_PAGE).contains(&per_page) {
            return Err(Error::invalid("per_page", format!("must be 1 to {MAX_PER_PAGE}")));
        }
        // Without page and number of entries: those may change from one part to the next.
        let digest = ListDigest::of(list, &sort.to_string())?;
        let (page, start) = match cursor {
            Some(_) if page.is_some() => return Err(Error::invalid("page", "not together with cursor")),
            Some(cursor) => (None, RowStart::After(cursor::decode(&cursor, digest, kind(sort.column))?)),
            None => {
                let page = page.unwrap_or(1);
                (Some(page), RowStart::Offset(offset(page, per_page)?))
            }
        };
        Ok(Self { sort, start, per_page, page, digest })
    }

    /// Returns the rows to read for a list whose rows the store sorts by `sort`: one more than the part has, which tells whether
    /// the list goes on.
    pub(crate) fn range_by<O>(&self, sort: Sort<O>) -> RowRange<O> {
        // One more than is answered shows whether anything follows.
        RowRange { sort, start: self.start.clone(), limit: self.per_page + 1 }
    }

    /// Takes the row off that is one too many. Returns the cursor behind the last one, if the list goes on.
    pub(crate) fn cut<R>(&self, rows: &mut Vec<R>, key: impl FnOnce(&R) -> SortKey) -> Option<String> {
        let has_more = rows.len() > self.per_page as usize;
        rows.truncate(self.per_page as usize);
        // Of the last row that is answered, not of the one that was read to see whether there are more.
        rows.last().filter(|_| has_more).map(|last| self.cursor(&key(last)))
    }

    /// Returns the cursor behind a row.
    pub(crate) fn cursor(&self, key: &SortKey) -> String {
        cursor::encode(self.digest, key)
    }

    /// Returns the answer. `counted` is the total, counted up to one more than [`MAX_COUNTED`].
    pub(crate) fn page<T>(&self, items: Vec<T>, counted: u64, next_cursor: Option<String>) -> Page<T> {
        Page {
            items,
            // The store counts one beyond the limit, by which a total beyond it shows.
            total: counted.min(MAX_COUNTED),
            total_is_estimate: counted > MAX_COUNTED,
            page: self.page,
            per_page: self.per_page,
            next_cursor,
        }
    }
}

impl<C: SortColumn + RowOrder> Listing<C> {
    /// As [`new`](Self::new), for a list that the store sorts.
    pub(crate) fn of_rows(list: &impl Serialize, request: PageRequest<C>) -> Result<Self> {
        Self::new(list, request, RowOrder::kind)
    }

    /// Returns the rows to read.
    pub(crate) fn range(&self) -> RowRange<C> {
        self.range_by(self.sort)
    }

    /// Returns the answer with the rows that were read, as `view` shows each.
    pub(crate) fn answer<T>(&self, (mut rows, counted): (Vec<C::Row>, u64), view: impl FnMut(C::Row) -> T) -> Page<T> {
        let next = self.cut(&mut rows, |last| self.sort.column.key(last));
        self.page(rows.into_iter().map(view).collect(), counted, next)
    }
}

/// Returns how many entries are in front of a page.
fn offset(page: u32, per_page: u32) -> Result<u64> {
    if page == 0 {
        return Err(Error::invalid("page", "pages count from 1"));
    }
    // In 64 bits, because the product of two numbers of callers need not fit in 32.
    let offset = u64::from(page - 1) * u64::from(per_page);
    if offset >= MAX_COUNTED {
        // The store would read and skip all of them.
        return Err(Error::invalid("page", format!("pages end at entry {MAX_COUNTED}; go on with next_cursor")));
    }
    Ok(offset)
}

#[cfg(test)]
mod tests {
    use hive_wire::api::UserSort;

    use super::*;

    type Request = PageRequest<UserSort>;

    fn refused(request: Request) -> (String, String) {
        match Listing::of_rows(&"users", request) {
            Err(Error::InvalidInput { field, rule }) => (field, rule),
            other => panic!("it gave {other:?}"),
        }
    }

    #[test]
    fn pages_end_where_the_count_ends() {
        let last = Listing::of_rows(&"users", Request::numbered(10, 1000)).unwrap();
        assert_eq!((last.start, last.per_page), (RowStart::Offset(9000), 1000));
        let (field, rule) = refused(Request::numbered(11, 1000));
        assert_eq!((field.as_str(), rule.contains("next_cursor")), ("page", true), "{rule}");
        assert_eq!(refused(Request::numbered(u32::MAX, 1000)).0, "page");
        assert_eq!(refused(Request::numbered(0, 1)).0, "page");
        assert_eq!(refused(Request::first(0)).0, "per_page");
        assert_eq!(refused(Request::first(1001)).0, "per_page");
    }

    #[test]
    fn a_page_and_a_cursor_do_not_go_together() {
        let cursor = Listing::of_rows(&"users", Request::default()).unwrap().cursor(&SortKey::text("anna", "u"));
        let both = Request { page: Some(1), cursor: Some(cursor.clone()), ..Request::default() };
        assert_eq!(refused(both), ("page".into(), "not together with cursor".into()));
        let next = Listing::of_rows(&"users", Request { cursor: Some(cursor), ..Request::default() }).unwrap();
        assert_eq!(next.start, RowStart::After(SortKey::text("anna", "u")));
    }

    #[test]
    fn a_list_goes_on_as_long_as_there_is_one_row_more() {
        let listing = Listing::of_rows(&"users", Request::first(2)).unwrap();
        let cut = |mut rows: Vec<u8>| {
            let has_next = listing.cut(&mut rows, |_| SortKey::text("anna", "u")).is_some();
            (rows, has_next)
        };
        assert_eq!(cut(vec![]), (vec![], false));
        assert_eq!(cut(vec![1, 2]), (vec![1, 2], false));
        assert_eq!(cut(vec![1, 2, 3]), (vec![1, 2], true));
    }

    #[test]
    fn a_total_beyond_the_count_says_so() {
        let listing = Listing::of_rows(&"users", Request::default()).unwrap();
        let total = |counted| {
            let page = listing.page(Vec::<u8>::new(), counted, None);
            (page.total, page.total_is_estimate)
        };
        assert_eq!([total(3), total(10_000), total(10_001)], [(3, false), (10_000, false), (10_000, true)]);
    }
}
