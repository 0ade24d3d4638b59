//! Ends all processes that a command or a session has started, and returns when none is left.

use std::time::Duration;

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

#[cfg(not(target_os = "linux"))]
use group::ProcessTree;
#[cfg(target_os = "linux")]
use linux::ProcessTree;

/// With `/proc`: finds processes by group, session, parent and the marker in their environment, which survives `setsid`
/// and a double fork. A process that clears its environment after its parents have ended is not found.
#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;
    use std::fs;
    use std::thread;
    use std::time::Duration;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::TreeRoot;

    /// How often the processes found are stopped and new ones looked for. A stopped process starts no others.
    const FREEZING_ROUNDS: usize = 16;
    /// The longest pause between two scans.
    const LONGEST_PAUSE: Duration = Duration::from_millis(50);

    pub(super) struct ProcessTree {
        root: i32,
        marker: Vec<u8>,
    }

    /// Living processes of the tree with their start times. A process with the same id and another start time is a
    /// different one.
    type Members = BTreeMap<i32, u64>;

    /// The fields of `/proc/PID/stat` that are needed.
    struct ProcessStat {
        parent: i32,
        group: i32,
        session: i32,
        started: u64,
    }

    /// Growing pauses between scans.
    struct PollDelay {
        next: Duration,
        total: Duration,
    }

    impl PollDelay {
        fn new() -> Self {
            Self { next: Duration::from_micros(200), total: Duration::ZERO }
        }

        fn pause(&mut self) {
            thread::sleep(self.next);
            self.total += self.next;
            self.next = (self.next * 2).min(LONGEST_PAUSE);
        }
    }

    impl ProcessTree {
        pub(super) fn new(root: &TreeRoot) -> Self {
            Self { root: root.pid.cast_signed(), marker: root.marker.clone().into_bytes() }
        }

        pub(super) fn hang_up(&self, grace: Duration) {
            let mut members = self.find(&Members::new());
            signal(&members, Signal::SIGHUP);
            // A stopped process handles SIGHUP only after SIGCONT.
            signal(&members, Signal::SIGCONT);
            let mut pauses = PollDelay::new();
            while !members.is_empty() && pauses.total < grace {
                pauses.pause();
                members = self.find(&members);
            }
            if !members.is_empty() {
                self.kill(members);
            }
        }

        pub(super) fn end(&self) {
            // Started with the root alone, which is known to exist; `kill` looks for the others.
            self.kill(read(self.root).map(|root| (self.root, root.started)).into_iter().collect());
        }

        pub(super) fn end_marked(&self) -> usize {
            let members = self.find(&Members::new());
            let count = members.len();
            if count > 0 {
                self.kill(members);
            }
            count
        }

        /// Stops all processes first, so that none starts another while they are killed. `known` are members found
        /// before.
        fn kill(&self, mut known: Members) {
            for _ in 0..FREEZING_ROUNDS {
                let found = self.find(&known);
                let has_new = found.keys().any(|pid| !known.contains_key(pid));
                signal(&found, Signal::SIGSTOP);
                known = found;
                if !has_new {
                    break;
                }
            }
            let mut pauses = PollDelay::new();
            loop {
                known = self.find(&known);
                if known.is_empty() {
                    return;
                }
                // SIGKILL also ends stopped processes, so SIGCONT is not needed.
                signal(&known, Signal::SIGKILL);
                pauses.pause();
            }
        }

        /// The living processes of the tree. Members found before stay members after their parents have ended.
        fn find(&self, known: &Members) -> Members {
            let processes = processes();
            let is_ours = |pid: i32, process: &ProcessStat| {
                process.group == self.root
                    || process.session == self.root
                    || known.get(&pid) == Some(&process.started)
                    || self.is_marked(pid)
            };
            let mut members: Members = processes
                .iter()
                .filter(|&(&pid, process)| is_ours(pid, process))
                .map(|(&pid, process)| (pid, process.started))
                .collect();
            loop {
                let children: Vec<_> = processes
                    .iter()
                    .filter(|(pid, process)| !members.contains_key(pid) && members.contains_key(&process.parent))
                    .map(|(&pid, process)| (pid, process.started))
                    .collect();
                if children.is_empty() {
                    return members;
                }
                members.extend(children);
            }
        }

        fn is_marked(&self, pid: i32) -> bool {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|&byte| byte == 0).any(|variable| variable == self.marker)
        }
    }

    fn signal(members: &Members, signal: Signal) {
        for &pid in members.keys() {
            // It may have ended in the meantime.
            kill(Pid::from_raw(pid), signal).ok();
        }
    }

    /// All processes except this one, process 1 and zombies.
    fn processes() -> BTreeMap<i32, ProcessStat> {
        // An agent that was started by a command of another agent inherits the marker of that command.
        let own = nix::unistd::getpid().as_raw();
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|&pid| pid != own && pid != 1)
            .filter_map(|pid| Some((pid, read(pid)?)))
            .collect()
    }

    fn read(pid: i32) -> Option<ProcessStat> {
        parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Parses a line of `/proc/PID/stat`. The name consists of arbitrary bytes, including blanks, brackets and line
    /// breaks, and the kernel cuts it at 15 bytes, possibly within a character. The fields behind it are ASCII.
    fn parse(stat: &[u8]) -> Option<ProcessStat> {
        let name_end = stat.iter().rposition(|&byte| byte == b')')?;
        let fields = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
        let fields: Vec<_> = fields.split_ascii_whitespace().collect();
        let &[state, parent, group, session, ..] = fields.as_slice() else { return None };
        let is_dead = matches!(state, "Z" | "X");
        // The start time is field 22 in proc(5), where the state is field 3.
        let started = fields.get(22 - 3)?.parse().ok()?;
        let (parent, group, session) = (parent.parse().ok()?, group.parse().ok()?, session.parse().ok()?);
        // A zombie cannot be killed and does nothing; its parent has to reap it.
        (!is_dead).then_some(ProcessStat { parent, group, session, started })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn check(name: &[u8], state: &str, is_alive: bool) {
            let rest = format!(") {state} 2 3 4 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 99 1 1\n");
            let stat = [b"1 (", name, rest.as_bytes()].concat();
            let found = parse(&stat).map(|it| (it.parent, it.group, it.session, it.started));
            assert_eq!(found, is_alive.then_some((2, 3, 4, 99)), "{name:?}");
        }

        #[test]
        fn a_process_is_read_whatever_its_name() {
            check(b"sleep", "S", true);
            check(b") R 1 (x", "D", true);
            check(b"\n", "T", true);
            check(&"v2\u{30d0}\u{30c3}\u{30af}\u{30a2}\u{30c3}".as_bytes()[..15], "S", true);
            check(b"\xff\xfe", "S", true);
            check(b"\xff", "Z", false);
            assert!(parse(b"1 (x").is_none() && parse(b"1 (x) S 2").is_none() && parse(b"").is_none());
        }
    }
}

/// Without `/proc`: the process group.
#[cfg(not(target_os = "linux"))]
mod group {
    use std::thread;
    use std::time::Duration;

    use nix::sys::signal::{Signal, killpg};
    use nix::unistd::Pid;

    use super::TreeRoot;

    pub(super) struct ProcessTree {
        group: Pid,
    }

    impl ProcessTree {
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
}
