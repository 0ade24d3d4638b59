//! What runs on this machine, as `/proc` says.

use std::collections::{HashMap, HashSet};
use std::fs;

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pid {
    /// Its number.
    pub number: i32,
    started: u64,
}

impl Pid {
    /// The process of this number, where it runs now.
    pub fn of(number: i32) -> Option<Self> {
        Some(stat(number)?.pid)
    }

    /// Whether it still runs. One that ended and was not yet waited for does not.
    pub fn is_alive(self) -> bool {
        stat(self.number).is_some_and(|stat| stat.pid == self && stat.state != 'Z')
    }

    /// Ends it by force, where it still runs.
    pub fn kill(self) {
        if self.is_alive() {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.number), nix::sys::signal::Signal::SIGKILL).ok();
        }
    }
}

struct Stat {
    pid: Pid,
    parent: i32,
    state: char,
    /// Clock ticks on a processor, its own and the kernel's for it.
    ticks: u64,
}

/// Reads `/proc/<pid>/stat`: `pid (name) state parent … start time`. The name may hold anything, even parentheses.
fn stat(number: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    // Field 22 of proc(5), counted from the third, which comes first behind the name.
    let started = fields.get(19)?.parse().ok()?;
    let [own, kernels] = [11, 12].map(|field| fields.get(field)?.parse::<u64>().ok());
    Some(Stat {
        pid: Pid { number, started },
        parent: fields.get(1)?.parse().ok()?,
        state: fields.first()?.chars().next()?,
        ticks: own? + kernels?,
    })
}

fn all() -> Vec<Stat> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter_map(stat).collect()
}

/// Everything that this process has started and that still hangs on it.
pub fn descendants(number: i32) -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<Pid>> = HashMap::new();
    for stat in all() {
        children.entry(stat.parent).or_default().push(stat.pid);
    }
    let mut found = Vec::new();
    let mut next = vec![number];
    let mut seen = HashSet::new();
    while let Some(parent) = next.pop() {
        for &child in children.get(&parent).into_iter().flatten() {
            if seen.insert(child) {
                found.push(child);
                next.push(child.number);
            }
        }
    }
    found
}

/// Processes whose command line holds this word, wherever they hang.
pub fn running_with(word: &str) -> Vec<Pid> {
    let has_word = |pid: &Pid| {
        let line = fs::read(format!("/proc/{}/cmdline", pid.number)).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes())
    };
    all().into_iter().filter(|stat| stat.state != 'Z').map(|stat| stat.pid).filter(has_word).collect()
}

/// Whether somebody traces every thread of a process.
pub fn are_threads_traced(number: i32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{number}/task")) else { return false };
    let is_traced = |status: String| !status.contains("TracerPid:\t0\n");
    threads.flatten().all(|thread| fs::read_to_string(thread.path().join("status")).is_ok_and(is_traced))
}

/// How long a process has had a processor, in hundredths of a second.
pub fn processor_ticks(number: i32) -> u64 {
    stat(number).expect("the process runs").ticks
}

/// Resident memory of a process, in bytes.
pub fn resident(number: i32) -> u64 {
    memory(number, "VmRSS:")
}

/// The most resident memory that a process has ever had, in bytes.
pub fn peak(number: i32) -> u64 {
    memory(number, "VmHWM:")
}

fn memory(number: i32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{number}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a process has memory");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes * 1024
}
