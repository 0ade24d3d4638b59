//! Pages of lists.

/// A part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowRange {
    /// Entries to skip.
    pub offset: u64,
    /// The most entries to return.
    pub limit: u32,
}

impl RowRange {
    /// The whole list.
    pub const ALL: Self = Self { offset: 0, limit: u32::MAX };
}
