//! With `/proc`: finds processes by group, session, parent and the marker in their environment, which survives `setsid`
//! and a double fork. A process that clears its environment after its parents have ended is not found.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::proc_stat::{ProcessStat, name, processes, read};
use super::{Survivor, Survivors, TreeRoot};

/// How often the processes found are stopped and new ones looked for. A stopped process starts no others.
const FREEZING_ROUNDS: usize = 16;
/// The longest pause between two scans while processes may end by themselves.
const LONGEST_GRACE_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause between two scans after SIGKILL. What has not ended by then may not end for a long time.
const LONGEST_KILL_PAUSE: Duration = Duration::from_millis(500);

pub(super) struct ProcessTree {
    root: i32,
    marker: Vec<u8>,
}

/// Living processes of the tree with their start times. A process with the same id and another start time is a
/// different one.
type Members = BTreeMap<i32, u64>;

/// Growing pauses between scans.
struct PollDelay {
    next: Duration,
    longest: Duration,
    total: Duration,
}

impl PollDelay {
    fn new(longest: Duration) -> Self {
        Self { next: Duration::from_micros(200), longest, total: Duration::ZERO }
    }

    fn pause(&mut self) {
        thread::sleep(self.next);
        self.total += self.next;
        self.next = (self.next * 2).min(self.longest);
    }
}

impl ProcessTree {
    pub(super) fn new(root: &TreeRoot) -> Self {
        Self { root: root.pid.cast_signed(), marker: root.marker.clone().into_bytes() }
    }

    pub(super) fn hang_up(&self, grace: Duration, kill_timeout: Duration) -> Survivors {
        let mut members = self.find(&Members::new());
        signal(&members, Signal::SIGHUP);
        // A stopped process handles SIGHUP only after SIGCONT.
        signal(&members, Signal::SIGCONT);
        let mut pauses = PollDelay::new(LONGEST_GRACE_PAUSE);
        while !members.is_empty() && pauses.total < grace {
            pauses.pause();
            members = self.find(&members);
        }
        if members.is_empty() { Survivors::default() } else { self.kill(members, kill_timeout) }
    }

    pub(super) fn end(&self, kill_timeout: Duration) -> Survivors {
        // Started with the root alone, which is known to exist; `kill` looks for the others.
        let root = read(self.root).map(|root| (self.root, root.started));
        self.kill(root.into_iter().collect(), kill_timeout)
    }

    pub(super) fn end_marked(&self, kill_timeout: Duration) -> usize {
        let members = self.find(&Members::new());
        let count = members.len();
        if count > 0 {
            let survivors = self.kill(members, kill_timeout);
            return count - survivors.processes.len().min(count);
        }
        count
    }

    /// Stops all processes first, so that none starts another while they are killed. `known` are members found
    /// before. Gives up after `timeout`.
    fn kill(&self, mut known: Members, timeout: Duration) -> Survivors {
        for _ in 0..FREEZING_ROUNDS {
            let found = self.find(&known);
            // A process may have started another one before it was stopped.
            let has_new = found.keys().any(|pid| !known.contains_key(pid));
            signal(&found, Signal::SIGSTOP);
            known = found;
            if !has_new {
                break;
            }
        }
        let mut pauses = PollDelay::new(LONGEST_KILL_PAUSE);
        loop {
            known = self.find(&known);
            // The pauses grow, so the number of scans is bounded as well.
            if known.is_empty() || pauses.total >= timeout {
                return survivors(&known);
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
                // Last, because it reads another file of each process.
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

fn survivors(members: &Members) -> Survivors {
    let survivor = |(&pid, &started): (&i32, &u64)| Survivor { pid: pid.cast_unsigned(), started, name: name(pid) };
    Survivors { processes: members.iter().map(survivor).collect(), is_incomplete: false }
}

fn signal(members: &Members, signal: Signal) {
    for &pid in members.keys() {
        // It may have ended in the meantime.
        kill(Pid::from_raw(pid), signal).ok();
    }
}

#[cfg(test)]
mod tests;
