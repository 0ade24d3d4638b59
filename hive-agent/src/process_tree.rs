//! Ends all processes that a command or a session has started, and returns when none is left.

#[cfg(not(target_os = "linux"))]
mod group;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod proc_stat;

use std::time::Duration;

#[cfg(not(target_os = "linux"))]
use group::ProcessGroup as ProcessTree;
#[cfg(target_os = "linux")]
use linux::ProcessTree;

/// The first process of a tree, and the marker of all others.
#[derive(Debug, Clone)]
pub(crate) struct TreeRoot {
    /// The process. It leads a process group of its own, and on a PTY also a session.
    pub(crate) pid: u32,
    /// A variable in the environment of all processes of the tree, as `NAME=value`.
    pub(crate) marker: String,
}

/// Kills a tree. The root must not be reaped yet, so that its process id is not reused.
pub(crate) async fn end(root: TreeRoot) {
    // Scanning /proc takes milliseconds on a busy machine, so it runs on a blocking thread. An error means that the
    // runtime shuts down.
    drop(tokio::task::spawn_blocking(move || ProcessTree::new(&root).end()).await);
}

/// Sends SIGHUP to a tree, as a broken line does, and kills what is left of it after `grace`. The root may have been
/// reaped a moment ago: the kernel assigns ids in turn, so its id is not reused that soon.
pub(crate) async fn hang_up(root: TreeRoot, grace: Duration) {
    drop(tokio::task::spawn_blocking(move || ProcessTree::new(&root).hang_up(grace)).await);
}

/// Kills the processes that an agent left behind when it was killed. Returns their number; without `/proc` none is
/// found.
pub(crate) async fn end_leftovers(marker: String) -> usize {
    tokio::task::spawn_blocking(move || ProcessTree::new(&TreeRoot { pid: NO_PID, marker }).end_marked())
        .await
        .unwrap_or_default()
}

/// An id that no process has. The root ended long ago, and another process may have its id.
const NO_PID: u32 = u32::MAX;
