//! Ends everything a command has started, however deep, and says so only when all of it is gone.

use hive_wire::CommandId;

/// Ends the process `root`, which leads its own group and is not reaped yet, with everything it started.
pub(super) async fn end(root: u32, id: CommandId) {
    // Looking through /proc takes milliseconds on a busy machine. If this cannot be waited for, the process ends.
    drop(tokio::task::spawn_blocking(move || Tree::new(root, id).end()).await);
}

#[cfg(not(target_os = "linux"))]
use group::Tree;
#[cfg(target_os = "linux")]
use linux::Tree;

/// With `/proc`: by process group, by descent, and by the marker in the environment, which survives `setsid` and a double
/// fork. A process that also empties its environment after its parents have gone is out of reach.
#[cfg(target_os = "linux")]
mod linux {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::thread;
    use std::time::Duration;

    use hive_wire::CommandId;
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use crate::exec::program::MARKER;

    /// How often those found are stopped and the rest looked for: a stopped process starts no others.
    const FREEZING_ROUNDS: usize = 16;
    /// The longest pause between two looks at what is still there.
    const LONGEST_PAUSE: Duration = Duration::from_millis(50);

    pub(super) struct Tree {
        root: i32,
        marker: Vec<u8>,
    }

    /// A living process.
    struct Process {
        parent: i32,
        group: i32,
    }

    impl Tree {
        pub(super) fn new(root: u32, id: CommandId) -> Self {
            Self { root: root.cast_signed(), marker: format!("{MARKER}={id}").into_bytes() }
        }

        /// Stops all of it first, so that nothing is born while the killing goes on.
        pub(super) fn end(&self) {
            let mut known = BTreeSet::from([self.root]);
            for _ in 0..FREEZING_ROUNDS {
                let found = self.find(&known);
                let new: Vec<_> = found.difference(&known).copied().collect();
                signal(&found, Signal::SIGSTOP);
                known.extend(&found);
                if new.is_empty() {
                    break;
                }
            }
            let mut pause = Duration::from_micros(200);
            loop {
                let living = self.find(&known);
                if living.is_empty() {
                    return;
                }
                signal(&living, Signal::SIGKILL);
                known = living;
                thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }

        /// The living processes that belong to the command. `known` are members found before: their children belong too.
        fn find(&self, known: &BTreeSet<i32>) -> BTreeSet<i32> {
            let processes = processes();
            let mut members: BTreeSet<i32> = processes
                .iter()
                .filter(|(pid, process)| process.group == self.root || self.is_marked(**pid))
                .map(|(&pid, _)| pid)
                .collect();
            if processes.contains_key(&self.root) {
                members.insert(self.root);
            }
            loop {
                let is_child = |process: &Process| members.contains(&process.parent) || known.contains(&process.parent);
                let children: Vec<_> = processes
                    .iter()
                    .filter(|(pid, process)| !members.contains(pid) && is_child(process))
                    .map(|(&pid, _)| pid)
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

    fn signal(members: &BTreeSet<i32>, signal: Signal) {
        for &pid in members {
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
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in front may hold anything, also blanks and brackets.
        let (_, rest) = stat.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        let state = fields.next()?;
        let is_dead = matches!(state, "Z" | "X");
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        (!is_dead).then_some(Process { parent, group })
    }
}

/// Without `/proc`: the process group.
#[cfg(not(target_os = "linux"))]
mod group {
    use std::thread;
    use std::time::Duration;

    use hive_wire::CommandId;
    use nix::sys::signal::{Signal, killpg};
    use nix::unistd::Pid;

    pub(super) struct Tree {
        group: Pid,
    }

    impl Tree {
        pub(super) fn new(root: u32, _id: CommandId) -> Self {
            Self { group: Pid::from_raw(root.cast_signed()) }
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
