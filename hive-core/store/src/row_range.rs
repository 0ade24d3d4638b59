//! Parts of sorted lists.

use hive_wire::api::{Pagination, Sort};

use crate::row_order::{RowOrder, SortKey};

/// A part of a list that is sorted by `C`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowRange<C> {
    /// The order of the list.
    pub sort: Sort<C>,
    /// Where the part begins.
    pub start: RowStart,
    /// The most entries to return.
    pub limit: u32,
}

/// Where a part of a list begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowStart {
    /// Behind this many entries. The store reads and skips them.
    Offset(u64),
    /// Behind the entry with this key, or behind its place if it is not there any more. However far that is, the store reads
    /// nothing in front of it.
    After(SortKey),
}

impl<C: RowOrder> RowRange<C> {
    /// The whole list, in its usual order.
    pub const ALL: Self = Self { sort: C::DEFAULT, start: RowStart::Offset(0), limit: u32::MAX };

    /// A part of the list in its usual order.
    pub const fn part(offset: u64, limit: u32) -> Self {
        Self { sort: C::DEFAULT, start: RowStart::Offset(offset), limit }
    }
}

/// The most entries of a list that are counted. Of a longer list the total is one more.
pub const MAX_COUNTED: u64 = Pagination::MAX_COUNTED;
