//! The progress bar of a job. It is shown on a terminal only, and removed at the end.

use std::time::Duration;

use hive_core::wire::api::{CommandStatus, JobCounts, TargetStatus};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The most redraws in a second.
const RATE: u8 = 15;
/// How often it is redrawn without a change.
const TICK: Duration = Duration::from_millis(250);

/// A bar on standard error. Where that is no terminal, nothing is drawn.
pub(crate) struct JobProgressBar(ProgressBar);

impl JobProgressBar {
    pub(crate) fn new() -> Self {
        let style = ProgressStyle::with_template("{bar:20} {wide_msg}").expect("the template is well formed");
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(RATE));
        let bar = bar.with_style(style.progress_chars("━╸ "));
        if !bar.is_hidden() {
            // Changes beyond the rate are not drawn: without the tick, the last one of a burst would never appear.
            bar.enable_steady_tick(TICK);
        }
        Self(bar)
    }

    pub(crate) fn show(&self, counts: &JobCounts) {
        self.0.set_length(counts.total());
        self.0.set_position(counts.ended());
        self.0.set_message(sentence(counts));
    }

    /// Hides the bar while something else is written.
    pub(crate) fn hide_while<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }
}

impl Drop for JobProgressBar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Returns the progress of a job in one line.
fn sentence(counts: &JobCounts) -> String {
    let succeeded = counts.of(&TargetStatus::Command(CommandStatus::Succeeded));
    let mut line = format!("{} of {} done", counts.ended(), counts.total());
    for (count, word) in
        [(counts.ended() - succeeded, "not successful"), (counts.running(), "running"), (counts.queued(), "waiting")]
    {
        if count > 0 {
            line = format!("{line}, {count} {word}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_what_there_is() {
        let mut counts = JobCounts::default();
        let check = |counts: &JobCounts, expected: &str| assert_eq!(sentence(counts), expected);
        counts.add(&TargetStatus::Command(CommandStatus::Queued), 3);
        check(&counts, "0 of 3 done, 3 waiting");
        counts.add(&TargetStatus::Command(CommandStatus::Succeeded), 2);
        counts.add(&TargetStatus::Command(CommandStatus::Failed), 1);
        counts.add(&TargetStatus::NotRun, 1);
        counts.add(&TargetStatus::Command(CommandStatus::Started), 1);
        check(&counts, "4 of 8 done, 2 not successful, 1 running, 3 waiting");
    }
}
