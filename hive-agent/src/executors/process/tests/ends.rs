//! Commands that are ended by force, with everything they started.

use super::*;

/// A shell, a child, a grandchild in a session of its own, and an orphan in another session.
const FAMILY: &str = "sleep 97 & echo $! >> pids
    setsid sh -c 'echo $$ >> pids; sleep 97 & echo $! >> pids; wait' &
    setsid sh -c 'setsid sleep 97 & echo $! >> pids'
    echo $$ >> pids; wait";

fn check_family_is_gone(bench: &Bench) {
    let pids: Vec<i32> = bench.file("pids").lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(pids.len(), 5);
    for pid in pids {
        assert!(!is_alive(pid), "{pid} is alive");
    }
}

#[tokio::test]
async fn a_timeout_ends_everything_the_command_started() {
    let bench = bench();
    let spec = ExecSpec { timeout_seconds: 2, ..shell(FAMILY) };
    let outcome = bench.run(&spec).await;
    assert_eq!(outcome.status, CommandStatus::TimedOut);
    check_family_is_gone(&bench);
}

#[tokio::test]
async fn a_process_whose_kernel_name_cuts_a_character_is_ended_like_others() {
    let bench = bench();
    // The kernel keeps 15 bytes of a name: "v2" and 13 bytes of three-byte characters.
    let program = bench.dir.path().join("v2バックアップ処理");
    std::fs::copy("/bin/sleep", &program).unwrap();
    let spec = ExecSpec { args: Some(vec!["9".into()]), timeout_seconds: 1, ..shell(program.to_str().unwrap()) };
    let outcome = bench.run(&spec).await;
    assert_eq!(outcome.status, CommandStatus::TimedOut);
    assert!(outcome.duration < Duration::from_secs(8), "{:?}", outcome.duration);
    let child = ExecSpec { timeout_seconds: 1, ..shell(&format!("'{}' 9 & echo $! > pid; wait", program.display())) };
    assert_eq!(bench.run(&child).await.status, CommandStatus::TimedOut);
    assert!(!is_alive(bench.file("pid").trim().parse().unwrap()));
}

#[tokio::test]
async fn a_command_whose_time_was_up_has_no_exit_code() {
    let bench = bench();
    for line in ["sleep 9", "trap 'exit 0' TERM; while :; do sleep 0.01; done"] {
        let outcome = bench.run(&ExecSpec { timeout_seconds: 1, ..shell(line) }).await;
        assert_eq!((outcome.status, outcome.exit_code), (CommandStatus::TimedOut, None), "{line}");
    }
}

#[tokio::test]
async fn a_cancel_ends_everything_the_command_started() {
    let bench = bench();
    let cancel = async {
        while bench.file("pids").lines().count() < 5 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        bench.stop.cancel.cancel();
    };
    let spec = shell(FAMILY);
    let (outcome, ()) = tokio::join!(bench.run(&spec), cancel);
    assert_eq!((outcome.status, outcome.exit_code), (CommandStatus::Cancelled, Some(128 + 9)));
    check_family_is_gone(&bench);
}

#[tokio::test]
async fn a_stopped_agent_ends_its_commands_and_says_why() {
    let bench = bench();
    let stop = async {
        bench.until_file("ready").await;
        bench.stop.shutdown.cancel();
    };
    let spec = shell("echo before; echo x > ready; sleep 60");
    let (outcome, ()) = tokio::join!(bench.run(&spec), stop);
    assert_eq!(outcome.status, CommandStatus::Cancelled);
    assert!(outcome.error.unwrap().message.contains("stopped"));
    assert_eq!(bench.output(Channel::Stdout), "before\n");
}

#[tokio::test]
async fn a_command_cancelled_before_its_start_never_starts() {
    let bench = bench();
    bench.stop.cancel.cancel();
    let outcome = bench.run(&shell("echo x > ready")).await;
    assert_eq!((outcome.status, outcome.exit_code), (CommandStatus::Cancelled, None));
    assert_eq!(bench.file("ready"), "");
}

#[tokio::test]
async fn a_command_that_forks_without_end_is_ended() {
    let bench = bench();
    let spec = ExecSpec {
        timeout_seconds: 1,
        ..shell("i=0; while [ $i -lt 200000 ]; do setsid sleep 30 & i=$((i+1)); sleep 0.01; done")
    };
    assert_eq!(bench.run(&spec).await.status, CommandStatus::TimedOut);
    let marker = format!("HIVE_COMMAND_ID={}", bench.id);
    let left = std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(&marker)
    });
    assert_eq!(left.count(), 0);
}
