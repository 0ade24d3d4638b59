//! Lists of the REST API: which part of a list is asked for, in which order, and the part that is answered.
//!
//! Each list answers to the same four parameters. Pages are counted up to row [`Pagination::MAX_COUNTED`]; a cursor goes through
//! a list of any length.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Envelope;

/// The columns by which a list is sorted: the allow list of its `sort` parameter.
pub trait SortColumn: Copy + Eq + fmt::Debug + Send + Sync + 'static {
    /// All columns.
    const COLUMNS: &'static [Self];
    /// The order unless another is given.
    const DEFAULT: Sort<Self>;
    /// The most entries of a page unless another number is given.
    const DEFAULT_PER_PAGE: u32;

    /// The name of the column in the API.
    fn as_str(self) -> &'static str;
}

/// The order of a list: `name`, or `-name` for the opposite order. Entries without a value are last in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort<C> {
    /// The column.
    pub column: C,
    /// Whether the largest value is first.
    pub is_descending: bool,
}

impl<C> Sort<C> {
    /// The smallest value first.
    pub const fn ascending(column: C) -> Self {
        Self { column, is_descending: false }
    }

    /// The largest value first.
    pub const fn descending(column: C) -> Self {
        Self { column, is_descending: true }
    }
}

impl<C: SortColumn> Default for Sort<C> {
    fn default() -> Self {
        C::DEFAULT
    }
}

/// A text that is no order of this list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {allowed}, with `-` in front for the opposite order")]
pub struct InvalidSort {
    /// The columns of the list.
    pub allowed: String,
}

impl<C: SortColumn> FromStr for Sort<C> {
    type Err = InvalidSort;

    fn from_str(text: &str) -> Result<Self, InvalidSort> {
        let (is_descending, name) = text.strip_prefix('-').map_or((false, text), |name| (true, name));
        // An allow list: a name from outside never becomes a part of a statement.
        let column = C::COLUMNS.iter().find(|column| column.as_str() == name);
        let column = column.ok_or_else(|| InvalidSort { allowed: names::<C>().join(", ") })?;
        Ok(Self { column: *column, is_descending })
    }
}

fn names<C: SortColumn>() -> Vec<&'static str> {
    C::COLUMNS.iter().map(|column| column.as_str()).collect()
}

impl<C: SortColumn> fmt::Display for Sort<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_descending { "-" } else { "" }, self.column.as_str())
    }
}

impl<C: SortColumn> Serialize for Sort<C> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, C: SortColumn> Deserialize<'de> for Sort<C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SortVisitor<C>(PhantomData<C>);

        impl<C: SortColumn> serde::de::Visitor<'_> for SortVisitor<C> {
            type Value = Sort<C>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a column, such as `name` or `-name`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Sort<C>, E> {
                text.parse().map_err(E::custom)
            }
        }

        // As a text and not through `String`, so that an error names the column that was given.
        deserializer.deserialize_str(SortVisitor(PhantomData))
    }
}

/// The schema of the order of a list: the words that it can be.
#[cfg(feature = "openapi")]
pub(crate) fn sort_schema<C: SortColumn>() -> utoipa::openapi::schema::Object {
    // Every word that is accepted, so that a client can offer them.
    let both = C::COLUMNS.iter().flat_map(|column| [Sort::ascending(*column), Sort::descending(*column)]);
    crate::schema::text()
        .description(Some(format!(
            "The order: a column, or `-` and a column for the opposite order; `{}` unless given. Entries without a value are last.",
            C::DEFAULT
        )))
        .enum_values(Some(both.map(|sort| sort.to_string())))
        .build()
}

/// The request for a part of a list that is sorted by `C`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(bound = "C: SortColumn"))]
#[serde(bound = "C: SortColumn")]
pub struct PageRequest<C> {
    /// The page, from 1; the first one unless given. Pages end at entry 10,000, and `cursor` goes on from there. Not together
    /// with `cursor`.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// The most entries of the answer: 1 to 1,000. Unless given, 1,000 for the lists of sessions, teams, members, API keys and
    /// registration tokens and of the satellites with a tag, and 20 for all others.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_page: Option<u32>,
    /// The order.
    #[cfg_attr(feature = "openapi", schema(schema_with = sort_schema::<C>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<Sort<C>>,
    /// The `next_cursor` of an answer, for the entries behind that answer. The other parameters must be those of that answer,
    /// except `page` and `per_page`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// The most entries of one answer.
pub const MAX_PER_PAGE: u32 = 1000;

impl<C> PageRequest<C> {
    /// A page by its number, from 1.
    pub fn numbered(page: u32, per_page: u32) -> Self {
        Self { page: Some(page), per_page: Some(per_page), ..Self::default() }
    }

    /// The first entries of the list.
    pub fn first(per_page: u32) -> Self {
        Self { per_page: Some(per_page), ..Self::default() }
    }

    /// The same in another order.
    #[must_use]
    pub fn sorted(self, sort: Option<Sort<C>>) -> Self {
        Self { sort, ..self }
    }
}

impl<C> Default for PageRequest<C> {
    fn default() -> Self {
        Self { page: None, per_page: None, sort: None, cursor: None }
    }
}

/// The part of a list that an answer contains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pagination {
    /// From 1. Not there in an answer to a cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// The most entries of a page.
    pub per_page: u32,
    /// Entries of the whole list, counted up to 10,000 ([`Pagination::MAX_COUNTED`]).
    pub total: u64,
    /// Whether the list has more than `total` entries.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub total_is_estimate: bool,
    /// Pages of the whole list, up to entry 10,000.
    pub total_pages: u64,
    /// For the parameter `cursor`, to go on behind this answer. Not there behind the last entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl Pagination {
    /// The most entries that are counted, and the last one that is on a numbered page.
    pub const MAX_COUNTED: u64 = 10_000;
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Entries of the whole list, counted up to [`Pagination::MAX_COUNTED`].
    pub total: u64,
    /// Whether the list has more than `total` entries.
    pub total_is_estimate: bool,
    /// From 1. `None` for an answer to a cursor.
    pub page: Option<u32>,
    /// The most entries of a page.
    pub per_page: u32,
    /// The cursor behind this part; `None` if no entry is behind it.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The page as an answer.
    pub fn into_envelope(self) -> Envelope<Vec<T>> {
        let Self { items, total, total_is_estimate, page, per_page, next_cursor } = self;
        // An empty list that is not in pages has 0 entries a page.
        let total_pages = total.div_ceil(u64::from(per_page.max(1)));
        let pagination = Pagination { page, per_page, total, total_is_estimate, total_pages, next_cursor };
        Envelope { success: true, data: items, pagination: Some(pagination) }
    }

    /// A list that is not in pages.
    pub fn whole(items: Vec<T>) -> Self {
        let total = items.len();
        Self {
            items,
            total: total as u64,
            total_is_estimate: false,
            page: None,
            per_page: total as u32,
            next_cursor: None,
        }
    }

    /// The page of an answer.
    pub fn from_parts(items: Vec<T>, pagination: Pagination) -> Self {
        let Pagination { page, per_page, total, total_is_estimate, total_pages: _, next_cursor } = pagination;
        Self { items, total, total_is_estimate, page, per_page, next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::super::SatelliteSort;
    use super::*;

    #[test]
    fn an_order_is_a_column_of_the_list_in_either_direction() {
        let check = |text: &str, expected| {
            let sort: Sort<SatelliteSort> = text.parse().unwrap();
            assert_eq!((sort, sort.to_string().as_str()), (expected, text));
        };
        check("name", Sort::ascending(SatelliteSort::Name));
        check("-last_seen", Sort::descending(SatelliteSort::LastSeen));
        for bad in ["", "-", "--name", "Name", "name,status", "api_key_hash", "name "] {
            let refused = bad.parse::<Sort<SatelliteSort>>().unwrap_err().to_string();
            assert!(refused.contains("name, status, last_seen, created_at"), "{refused}");
        }
    }

    #[test]
    fn what_every_list_had_before_is_in_the_same_place() {
        let page =
            Page { items: vec![1], total: 3, total_is_estimate: false, page: Some(2), per_page: 2, next_cursor: None };
        let answer = serde_json::to_value(page.into_envelope()).unwrap();
        assert_eq!(answer["pagination"], serde_json::json!({"page": 2, "per_page": 2, "total": 3, "total_pages": 2}));
    }
}
