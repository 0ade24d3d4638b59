//! Targets of a command for several satellites.

use hive_core::Error;
use hive_core::wire::api::Target;

pub(super) fn parse_targets(targets: &[String]) -> Result<Vec<Target>, Error> {
    let parse = |text: &String| text.parse();
    let targets: Result<_, hive_core::wire::api::InvalidTarget> = targets.iter().map(parse).collect();
    targets.map_err(|error| Error::invalid("targets", error.to_string()))
}
