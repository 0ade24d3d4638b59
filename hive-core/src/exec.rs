//! Running commands on one satellite or many.

pub(crate) mod stream;
