//! The order of lists.

use std::str::FromStr;

use clap::Args;
use hive_core::wire::api::{Sort, SortColumn};

/// The order of a list, as one of the columns that its list has.
#[derive(Debug, Args)]
pub(crate) struct SortArgs<C: SortColumn> {
    // A value may begin with a hyphen: it is the opposite order.
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true, help = help::<C>())]
    #[arg(value_parser = <Sort<C> as FromStr>::from_str)]
    pub(crate) sort: Option<Sort<C>>,
}

fn help<C: SortColumn>() -> String {
    let columns: Vec<_> = C::COLUMNS.iter().map(|column| column.as_str()).collect();
    format!("Sort by {}, or by -COLUMN for the opposite order [default: {}]", columns.join(", "), C::DEFAULT)
}
