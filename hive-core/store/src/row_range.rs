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

    /// The largest total that is exact, of lists that grow for ever: the audit log, commands and jobs. Of more rows than this,
    /// no more are counted. The total is then a lower bound that is beyond this page, unless the page is the last one, so
    /// that a caller who goes through all pages reaches the end.
    pub const MAX_COUNTED: u64 = 100_000;

    /// Returns the total of a list of which `counted` rows were counted, up to one more than
    /// [`MAX_COUNTED`](Self::MAX_COUNTED), and of which this range has `rows`.
    pub(crate) fn total(self, counted: u64, rows: usize) -> u64 {
        if counted <= Self::MAX_COUNTED {
            return counted;
        }
        // A page past the end says nothing about how many there are.
        let seen = if rows == 0 { 0 } else { self.offset.saturating_add(rows as u64) };
        let is_full = rows > 0 && rows as u64 >= u64::from(self.limit);
        counted.max(seen.saturating_add(is_full.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_is_exact_up_to_the_most_that_is_counted() {
        let page = RowRange { offset: 50, limit: 50 };
        assert_eq!((page.total(0, 0), page.total(77, 27)), (0, 77));
        assert_eq!(page.total(RowRange::MAX_COUNTED, 50), RowRange::MAX_COUNTED);
    }

    #[test]
    fn whoever_goes_through_all_pages_reaches_the_end_of_a_list_that_is_not_counted() {
        let (all, limit, counted) = (RowRange::MAX_COUNTED + 230, 100_u32, RowRange::MAX_COUNTED + 1);
        let (mut offset, mut seen) = (0, 0);
        loop {
            let rows = all.saturating_sub(offset).min(limit.into());
            seen += rows;
            offset += u64::from(limit);
            if (RowRange { offset: offset - u64::from(limit), limit }).total(counted, rows as usize) <= offset {
                break;
            }
        }
        assert_eq!(seen, all);
    }
}
