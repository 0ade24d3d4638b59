//! Targets of a command for many satellites.

use hive_core::Error;
use hive_core::wire::api::Target;

pub(super) fn read_targets(targets: &[String]) -> Result<Vec<Target>, Error> {
    let read = |text: &String| text.parse();
    let targets: Result<_, hive_core::wire::api::InvalidTarget> = targets.iter().map(read).collect();
    targets.map_err(|error| Error::invalid("targets", error.to_string()))
}
