//! Without `/proc`: the process group.

use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::{Survivors, TreeRoot};

pub(super) struct ProcessGroup {
    group: Pid,
}

impl ProcessGroup {
    pub(super) fn new(root: &TreeRoot) -> Self {
        Self { group: Pid::from_raw(root.pid.cast_signed()) }
    }

    pub(super) fn hang_up(&self, grace: Duration, kill_timeout: Duration) -> Survivors {
        if killpg(self.group, Signal::SIGHUP).is_err() {
            return Survivors::default();
        }
        thread::sleep(grace);
        self.end(kill_timeout)
    }

    #[expect(clippy::unused_self, reason = "where there is `/proc` it is looked through")]
    pub(super) fn end_marked(&self, _kill_timeout: Duration) -> usize {
        0
    }

    /// What survives cannot be detected: the result is always empty.
    pub(super) fn end(&self, _kill_timeout: Duration) -> Survivors {
        // The group exists until the root is reaped, so its end cannot be detected here. A few rounds kill
        // processes that were just started.
        for _ in 0..5 {
            if killpg(self.group, Signal::SIGKILL).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(2));
        }
        Survivors::default()
    }
}
