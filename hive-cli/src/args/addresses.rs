//! The allow lists of teams and satellites.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct AddressesArgs {
    /// The team or satellite, by its name or id
    #[arg(value_name = "NAME")]
    pub(crate) of: String,
    /// Replace the list with these networks or addresses, such as 192.0.2.0/24 or 2001:db8::/32 [default: show the list]
    #[arg(value_name = "NETWORK")]
    pub(crate) networks: Vec<String>,
    /// Lift the limit: every address is allowed
    #[arg(long, conflicts_with = "networks")]
    pub(crate) clear: bool,
    /// Set the list although it excludes your own address, or that of the satellite's link
    #[arg(long, requires = "networks")]
    pub(crate) force: bool,
}
