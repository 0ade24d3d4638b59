//! A process that cannot be killed, because it belongs to another user.

use super::*;
use rustix::process::Uid;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};

/// A process in a group of its own, as those of commands are.
fn sleeper() -> Child {
    Command::new("sleep").arg("97").process_group(0).spawn().unwrap()
}

fn tree_of(child: &Child) -> ProcessTree {
    ProcessTree::new(&TreeRoot { pid: child.id(), marker: "HIVE_TEST=none".to_owned() })
}

/// Runs on a thread of another user. The kernel refuses its signals to processes of root.
fn as_another_user<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    let nobody = Uid::from_raw(65_534);
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            act()
        });
        thread.join().unwrap()
    })
}

#[test]
fn what_cannot_be_killed_is_named_and_waited_for_no_longer_than_the_limit() {
    if !nix::unistd::geteuid().is_root() {
        // Only root has two users. `tests/it/bad_days` claims the same of a process on a disk that hangs.
        return;
    }
    let mut child = sleeper();
    let left = as_another_user(|| tree_of(&child).end(Duration::from_millis(20)));
    let named = left.processes.iter().map(|process| (process.pid, process.name.as_str()));
    assert_eq!(named.collect::<Vec<_>>(), [(child.id(), "sleep")]);
    let hung_up = as_another_user(|| tree_of(&child).hang_up(Duration::ZERO, Duration::from_millis(20)));
    assert_eq!(hung_up, left);
    assert!(super::super::is_running(&left.processes[0]));
    assert!(tree_of(&child).end(Duration::from_secs(5)).is_empty(), "its own user kills it");
    child.wait().unwrap();
    assert!(!super::super::is_running(&left.processes[0]));
}
