//! `cargo xtask ci`: what a change must pass, and how long that may take.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};

use crate::steps::StepTimes;
use crate::tiers::Tier;
use crate::{lint, test};

/// From here on a run says that it is too long.
const WARN_ABOVE: Duration = Duration::from_mins(30);
/// From here on it fails: nobody waits for an hour to learn that a comma is missing.
const FAIL_ABOVE: Duration = Duration::from_mins(40);

/// Lints and tests. `began` is when the run began, in seconds since 1970, where that was before this process.
pub(crate) fn run(tier: Tier, began: Option<u64>) -> Result<()> {
    let mut steps = began.map_or_else(StepTimes::start, |began| StepTimes::start_after("compile xtask", since(began)));
    let done = lint::run(tier, &mut steps).and_then(|()| test::run(None, tier, &mut steps));
    println!("\n{steps}");
    // Nobody waits for everything.
    done.and_then(|()| if tier == Tier::All { Ok(()) } else { check(steps.total()) })
}

fn since(began: u64) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "what is measured here is the real time")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_secs(began))
}

fn check(total: Duration) -> Result<()> {
    let minutes = total.as_secs() / 60;
    ensure!(total <= FAIL_ABOVE, "the run took {minutes} minutes; more than {} fails", FAIL_ABOVE.as_secs() / 60);
    if total > WARN_ABOVE {
        println!("warning: the run took {minutes} minutes, more than {}", WARN_ABOVE.as_secs() / 60);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_more_than_forty_minutes_fails() {
        check(WARN_ABOVE + Duration::from_secs(1)).unwrap();
        check(FAIL_ABOVE).unwrap();
        let error = check(FAIL_ABOVE + Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.to_string(), "the run took 40 minutes; more than 40 fails");
    }
}
