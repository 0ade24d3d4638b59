//! `hive` between other programs: whoever reads its output goes, its input ends, it is asked to end.

use hive_testkit::{Finished, Process, Signal, TestHive, until};
use tokio::process::Command;

use crate::support::{text, unique_seconds, until_sleeping};

const NAME: &str = "web-server-01";

/// A pipeline in which `"$@"` stands for `hive` with these arguments.
fn pipeline(hive: &TestHive, pipeline: &str, args: &[&str]) -> Command {
    let plain = hive.hive_command(hive.url(), args);
    let plain = plain.as_std();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", pipeline, "sh"]).arg(plain.get_program()).args(plain.get_args());
    shell.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell
}

#[tokio::test]
async fn a_command_whose_output_nobody_reads_any_more_is_cancelled() {
    let hive = TestHive::start().await;
    let satellite = hive.satellite(NAME).await;
    // `head` closes the pipe after a line; `yes` would go on for ever.
    let first = Finished::run(pipeline(&hive, "\"$@\" | head -n 1", &["exec", NAME, "--", "yes"])).await;
    assert_eq!((first.stdout.as_str(), first.stderr.as_str()), ("y\n", ""));
    let commands = satellite.path("/commands");
    let status = async || text(&hive.rest().get(&commands).await.data()[0]["status"]).to_owned();
    until("the command is cancelled", async || status().await == "cancelled").await;
}

#[tokio::test]
async fn a_signal_to_hive_cancels_what_it_waits_for() {
    let hive = TestHive::start().await;
    let _satellite = hive.satellite(NAME).await;
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129), (Signal::SIGINT, 130)] {
        for target in [NAME, "all"] {
            let seconds = unique_seconds();
            let command = hive.hive_command(hive.url(), ["exec", target, "--", "sleep", &seconds]);
            let mut running = Process::spawn("exec", command.into_std(), hive.dir());
            // `hive` has the number among its arguments as well.
            until_sleeping(&seconds, 2).await;
            running.signal(signal);
            assert_eq!(running.exited().await.code(), Some(code), "{signal} {target}");
            until_sleeping(&seconds, 0).await;
        }
    }
}

#[tokio::test]
async fn a_terminal_ends_with_its_input() {
    let hive = TestHive::start().await;
    let _satellite = hive.satellite(NAME).await;
    for lines in ["echo $((6 * 7))\\n", "echo $((6 * 7))", "sleep 0.3; echo $((6 * 7)); cat; exit 3\\n"] {
        let typed = format!("printf '{lines}' | \"$@\"");
        let shell = Finished::run(pipeline(&hive, &typed, &["shell", NAME, "--shell", "/bin/sh"])).await;
        assert!(shell.stdout.contains("42"), "{shell:?}");
        assert_eq!(shell.code, Some(if lines.contains("exit 3") { 3 } else { 0 }), "{shell:?}");
    }
    let sessions = hive.rest().get("/api/v1/sessions").await.data();
    assert_eq!(sessions.as_array().map(Vec::len), Some(0), "{sessions}");
}

#[tokio::test]
async fn output_that_was_cut_is_no_plain_success() {
    let hive = TestHive::start().await;
    let _satellite = hive.satellite(NAME).await;
    for target in [NAME, "all"] {
        let cut = hive.cli(["exec", target, "--", "head", "-c", "12000000", "/dev/zero"]).await;
        assert_eq!(cut.code, Some(65), "{}", cut.stderr);
    }
}
