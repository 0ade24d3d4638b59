//! Ends all processes that a command or a session has started, and returns when none is left, or when those that are
//! left do not die of SIGKILL.

#[cfg(not(target_os = "linux"))]
mod group;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod proc_stat;
mod survivors;

use std::time::Duration;

#[cfg(not(target_os = "linux"))]
use group::ProcessGroup as ProcessTree;
#[cfg(target_os = "linux")]
use linux::ProcessTree;

pub(crate) use survivors::{Survivor, SurvivorList, Survivors};

/// How long processes may take to end after SIGKILL. One that waits in the kernel, for example for a file server that
/// does not answer, ends when the wait does, which may be never.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the scans of `/proc` may take in addition. Reading a process that hangs in the kernel may hang as well.
const SCAN_TIMEOUT: Duration = Duration::from_secs(5);

/// The first process of a tree, and the marker of all others.
#[derive(Debug, Clone)]
pub(crate) struct TreeRoot {
    /// The process. It leads a process group of its own, and on a PTY also a session.
    pub(crate) pid: u32,
    /// A variable in the environment of all processes of the tree, as `NAME=value`.
    pub(crate) marker: String,
}

/// Kills a tree. The root must not be reaped yet, so that its process id is not reused. Returns what cannot be killed.
pub(crate) async fn end(root: TreeRoot) -> Survivors {
    on_thread(KILL_TIMEOUT, move || ProcessTree::new(&root).end(KILL_TIMEOUT)).await
}

/// Sends SIGHUP to a tree, as a broken line does, and kills what is left of it after `grace`. Returns what cannot be
/// killed. The root may have been reaped a moment ago: the kernel assigns ids in turn, so its id is not reused that
/// soon.
pub(crate) async fn hang_up(root: TreeRoot, grace: Duration) -> Survivors {
    on_thread(grace + KILL_TIMEOUT, move || ProcessTree::new(&root).hang_up(grace, KILL_TIMEOUT)).await
}

/// Kills the processes that an agent left behind when it was killed. Returns their number; without `/proc` none is
/// found.
pub(crate) async fn end_leftovers(marker: String) -> usize {
    let root = TreeRoot { pid: NO_PID, marker };
    tokio::task::spawn_blocking(move || ProcessTree::new(&root).end_marked(KILL_TIMEOUT)).await.unwrap_or_default()
}

/// An id that no process has. The root ended long ago, and another process may have its id.
const NO_PID: u32 = u32::MAX;

/// Scanning /proc takes milliseconds on a busy machine, so it runs on a blocking thread. A thread that hangs is left
/// alone: the end of the command must be reported all the same.
async fn on_thread(timeout: Duration, end: impl FnOnce() -> Survivors + Send + 'static) -> Survivors {
    match tokio::time::timeout(timeout + SCAN_TIMEOUT, tokio::task::spawn_blocking(end)).await {
        // An error means that the runtime shuts down.
        Ok(ended) => ended.unwrap_or_default(),
        Err(_) => Survivors { is_incomplete: true, ..Survivors::default() },
    }
}

#[cfg(target_os = "linux")]
fn is_running(process: &Survivor) -> bool {
    proc_stat::read(process.pid.cast_signed()).is_some_and(|found| found.started == process.started)
}

/// Without `/proc` no survivor is found in the first place.
#[cfg(not(target_os = "linux"))]
fn is_running(_process: &Survivor) -> bool {
    false
}
