//! What carries out a command, one module a kind.

pub(crate) mod power;
pub(crate) mod process;
