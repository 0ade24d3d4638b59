//! Without `/proc`: the process group.

use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::TreeRoot;

pub(super) struct ProcessGroup {
    group: Pid,
}

impl ProcessGroup {
    pub(super) fn new(root: &TreeRoot) -> Self {
        Self { group: Pid::from_raw(root.pid.cast_signed()) }
    }

    pub(super) fn hang_up(&self, grace: Duration) {
        if killpg(self.group, Signal::SIGHUP).is_ok() {
            thread::sleep(grace);
            self.end();
        }
    }

    #[expect(clippy::unused_self, reason = "where there is `/proc` it is looked through")]
    pub(super) fn end_marked(&self) -> usize {
        0
    }

    pub(super) fn end(&self) {
        // The group exists until the root is reaped, so its end cannot be detected here. A few rounds kill
        // processes that were just started.
        for _ in 0..5 {
            if killpg(self.group, Signal::SIGKILL).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}
