//! Processes that were sent SIGKILL and still run: one that waits for a disk or a file server that does not answer, or
//! one of another user.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use hive_wire::escape;

/// Processes that a message names. The others are counted.
const MAX_NAMED: usize = 8;
/// Processes that are remembered until they end. Further ones are reported once, with the end of their command.
const MAX_REMEMBERED: usize = 64;

/// A process that cannot be killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Survivor {
    pub(crate) pid: u32,
    /// The start time, which tells it from a later process with the same id.
    pub(super) started: u64,
    /// The name as the kernel keeps it: up to 15 bytes, which the program chooses itself.
    pub(super) name: String,
}

/// What is left of a process tree that was killed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Survivors {
    pub(super) processes: Vec<Survivor>,
    /// The list of processes could not be read in time, so that more may be left.
    pub(super) is_incomplete: bool,
}

impl Survivors {
    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.processes.is_empty() && !self.is_incomplete
    }

    /// What still runs, as a sentence for people. `None` if nothing does.
    pub(crate) fn message(&self) -> Option<String> {
        let count = self.processes.len();
        match count {
            0 if self.is_incomplete => Some("it cannot be seen whether its processes have ended".to_owned()),
            0 => None,
            1 => Some(format!("1 process cannot be killed and still runs: {}", self.names())),
            _ => Some(format!("{count} processes cannot be killed and still run: {}", self.names())),
        }
    }

    fn names(&self) -> String {
        let mut names = String::new();
        for process in self.processes.iter().take(MAX_NAMED) {
            let separator = if names.is_empty() { "" } else { ", " };
            // A program chooses its name, so it may contain anything.
            let name = escape::text(&process.name);
            write!(names, "{separator}{} ({name})", process.pid).expect("a string takes everything");
        }
        match self.processes.len().saturating_sub(MAX_NAMED) {
            0 => names,
            more => format!("{names} and {more} more"),
        }
    }
}

/// The survivors of all commands or sessions that have ended.
#[derive(Debug, Default)]
pub(crate) struct SurvivorList {
    processes: Mutex<Vec<Survivor>>,
}

impl SurvivorList {
    /// Adds what is left of one tree.
    pub(crate) fn add(&self, survivors: &Survivors) {
        let mut processes = self.processes.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_REMEMBERED.saturating_sub(processes.len());
        processes.extend(survivors.processes.iter().take(room).cloned());
    }

    /// Which of them still run, as a sentence for people. `of` says whose processes they are.
    pub(crate) fn problem(&self, of: &str) -> Option<String> {
        let mut processes = self.processes.lock().unwrap_or_else(PoisonError::into_inner);
        processes.retain(super::is_running);
        let survivors = Survivors { processes: processes.clone(), is_incomplete: false };
        survivors.message().map(|message| format!("{of}: {message}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survivors(names: &[&str]) -> Survivors {
        let process = |(n, name): (usize, &&str)| Survivor { pid: n as u32 + 1, started: 0, name: (*name).to_owned() };
        Survivors { processes: names.iter().enumerate().map(process).collect(), is_incomplete: false }
    }

    #[test]
    fn a_message_names_what_still_runs() {
        assert_eq!(survivors(&[]).message(), None);
        assert_eq!(survivors(&["dd"]).message().unwrap(), "1 process cannot be killed and still runs: 1 (dd)");
        let two = survivors(&["dd", "sh"]).message().unwrap();
        assert_eq!(two, "2 processes cannot be killed and still run: 1 (dd), 2 (sh)");
        let unknown = Survivors { is_incomplete: true, ..Survivors::default() };
        assert!(!unknown.is_empty() && unknown.message().is_some());
    }

    #[test]
    fn a_message_is_short_and_harmless_whatever_the_programs_are_called() {
        let message = survivors(&["\u{1b}[2J\nok"; 100]).message().unwrap();
        assert!(message.ends_with(" and 92 more") && message.len() < 300, "{message}");
        assert!(!message.contains(escape::is_harmful), "{message}");
    }

    #[test]
    fn a_process_is_a_problem_until_it_has_ended() {
        let list = SurvivorList::default();
        // Nothing has this id, so the process has ended.
        list.add(&Survivors {
            processes: vec![Survivor { pid: u32::MAX, ..survivors(&["dd"]).processes[0].clone() }],
            is_incomplete: false,
        });
        assert_eq!(list.problem("processes of ended commands"), None);
    }
}
