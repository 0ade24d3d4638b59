//! Ends everything a command or a terminal has started, however deep, and says so only when all of it is gone.

use std::time::Duration;

/// The first process of a tree, and what marks the others.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    /// The process. It leads its own group, and a terminal's also its own session.
    pub(crate) pid: u32,
    /// A variable in the environment of all of them, as `NAME=value`.
    pub(crate) marker: String,
}

/// Ends a tree at once. The root must not be reaped yet, so that no stranger has its number.
pub(crate) async fn end(root: Root) {
    // Looking through /proc takes milliseconds on a busy machine. If this cannot be waited for, the process ends.
    drop(tokio::task::spawn_blocking(move || Tree::new(&root).end()).await);
}

/// Tells a tree to hang up, as a line that breaks does, and ends what is left of it after `grace`. The root may have been
/// reaped a moment ago: numbers go round, and its own comes last.
pub(crate) async fn hang_up(root: Root, grace: Duration) {
    drop(tokio::task::spawn_blocking(move || Tree::new(&root).hang_up(grace)).await);
}

/// Ends what an agent that was killed has left of a tree; how many processes that were. Without `/proc` none is found.
pub(crate) async fn end_leftovers(marker: String) -> usize {
    tokio::task::spawn_blocking(move || Tree::new(&Root { pid: NOBODY, marker }).end_marked()).await.unwrap_or_default()
}

/// A number no process has: the root is long gone, and another may have its number.
const NOBODY: u32 = u32::MAX;

#[cfg(not(target_os = "linux"))]
use group::Tree;
#[cfg(target_os = "linux")]
use linux::Tree;

/// With `/proc`: by process group, by session, by descent, and by the marker in the environment, which survives `setsid`
/// and a double fork. A process that also empties its environment after its parents have gone is out of reach.
#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;
    use std::fs;
    use std::thread;
    use std::time::Duration;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::Root;

    /// How often those found are stopped and the rest looked for: a stopped process starts no others.
    const FREEZING_ROUNDS: usize = 16;
    /// The longest pause between two looks at what is still there.
    const LONGEST_PAUSE: Duration = Duration::from_millis(50);

    pub(super) struct Tree {
        root: i32,
        marker: Vec<u8>,
    }

    /// Living processes of the tree, each with the time of its start: the next one with its number is a stranger.
    type Members = BTreeMap<i32, u64>;

    /// A living process.
    struct Process {
        parent: i32,
        group: i32,
        session: i32,
        started: u64,
    }

    /// Ever longer pauses between looks, in a thread of its own.
    struct Pauses {
        next: Duration,
        total: Duration,
    }

    impl Pauses {
        fn new() -> Self {
            Self { next: Duration::from_micros(200), total: Duration::ZERO }
        }

        fn pause(&mut self) {
            thread::sleep(self.next);
            self.total += self.next;
            self.next = (self.next * 2).min(LONGEST_PAUSE);
        }
    }

    impl Tree {
        pub(super) fn new(root: &Root) -> Self {
            Self { root: root.pid.cast_signed(), marker: root.marker.clone().into_bytes() }
        }

        pub(super) fn hang_up(&self, grace: Duration) {
            let mut members = self.find(&Members::new());
            signal(&members, Signal::SIGHUP);
            // A stopped process has to be woken to hear it.
            signal(&members, Signal::SIGCONT);
            let mut pauses = Pauses::new();
            while !members.is_empty() && pauses.total < grace {
                pauses.pause();
                members = self.find(&members);
            }
            if !members.is_empty() {
                self.kill(members);
            }
        }

        pub(super) fn end(&self) {
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

        /// Stops all of it first, so that nothing is born while the killing goes on. `known` are members found before.
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
            let mut pauses = Pauses::new();
            loop {
                known = self.find(&known);
                if known.is_empty() {
                    return;
                }
                signal(&known, Signal::SIGKILL);
                pauses.pause();
            }
        }

        /// The living processes that belong to the tree, with those known before whose parents have gone since.
        fn find(&self, known: &Members) -> Members {
            let processes = processes();
            let is_ours = |pid: i32, process: &Process| {
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
            // It may have gone in the meantime.
            kill(Pid::from_raw(pid), signal).ok();
        }
    }

    /// All processes but this one, the first one, and the dead that only wait to be reaped.
    fn processes() -> BTreeMap<i32, Process> {
        let own = nix::unistd::getpid().as_raw();
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|&pid| pid != own && pid != 1)
            .filter_map(|pid| Some((pid, read(pid)?)))
            .collect()
    }

    fn read(pid: i32) -> Option<Process> {
        parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Reads a line of `/proc/PID/stat`. The name in it is bytes: it may hold blanks, brackets and line ends, and the kernel
    /// cuts it at 15 bytes, which may be in the middle of a character. The fields behind it are ASCII.
    fn parse(stat: &[u8]) -> Option<Process> {
        let name_end = stat.iter().rposition(|&byte| byte == b')')?;
        let fields = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
        let fields: Vec<_> = fields.split_ascii_whitespace().collect();
        let &[state, parent, group, session, ..] = fields.as_slice() else { return None };
        let is_dead = matches!(state, "Z" | "X");
        // The 22nd field in the numbering of proc(5), in which the state is the third.
        let started = fields.get(22 - 3)?.parse().ok()?;
        let (parent, group, session) = (parent.parse().ok()?, group.parse().ok()?, session.parse().ok()?);
        (!is_dead).then_some(Process { parent, group, session, started })
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

    use super::Root;

    pub(super) struct Tree {
        group: Pid,
    }

    impl Tree {
        pub(super) fn new(root: &Root) -> Self {
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
            // The unreaped root keeps the group in being, so its end cannot be seen from here; a few rounds catch the young.
            for _ in 0..5 {
                if killpg(self.group, Signal::SIGKILL).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(2));
            }
        }
    }
}
