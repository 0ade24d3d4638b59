//! Commands with real processes.

mod background;
mod ends;

use super::*;
use crate::config::Account;
use crate::spool::Spool;
use hive_wire::CommandId;
use hive_wire::agent::{ExecSpec, MAX_OUTPUT};
use hive_wire::id::Seed;
use std::collections::BTreeMap;
use std::path::Path;
use tempfile::TempDir;
use tokio::sync::oneshot;

struct Bench {
    dir: TempDir,
    spool: Spool,
    id: CommandId,
    account: Account,
    stop: StopSignals,
    drain: PipeDrain,
    unkilled: UnkilledCommands,
}

fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let mut random = [0; 10];
    getrandom::fill(&mut random).unwrap();
    Bench {
        spool: Spool::of_dir(dir.path().join("spool")),
        id: CommandId::new(Seed { unix_millis: 1, random }),
        account: Account { home: dir.path().to_string_lossy().into_owned(), ..Account::of_this_user() },
        stop: StopSignals { cancel: CancellationToken::new(), shutdown: CancellationToken::new() },
        drain: PipeDrain::new(),
        unkilled: UnkilledCommands::default(),
        dir,
    }
}

impl Bench {
    async fn run(&self, spec: &ExecSpec) -> ProcessOutcome {
        let program = match Program::of_spec(self.id, spec, &self.account) {
            Ok(program) => program,
            Err(error) => return ProcessOutcome::without_run(CommandStatus::Failed, Some(error)),
        };
        let outputs = ProcessOutputs {
            stdout: self.spool.writer(self.id, Channel::Stdout),
            stderr: self.spool.writer(self.id, Channel::Stderr),
            drain: &self.drain,
            unkilled: &self.unkilled,
            on_growth: |_, _| {},
        };
        let (give_permit, permit) = oneshot::channel();
        give_permit.send(()).unwrap();
        let condition = StartCondition { permit, cancel: self.stop.cancel.clone() };
        run(prepare(program, condition).await, outputs, &self.stop).await
    }

    fn output(&self, channel: Channel) -> String {
        std::fs::read_to_string(self.spool.dir.join(format!("{}.{channel}", self.id))).unwrap_or_default()
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    /// Waits until the command has written this file.
    async fn until_file(&self, name: &str) {
        while self.file(name).is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !String::from_utf8_lossy(&stat).contains(") Z ")
}

fn shell(line: &str) -> ExecSpec {
    ExecSpec { command: line.into(), timeout_seconds: 30, ..ExecSpec::default() }
}

async fn check(line: &str, status: CommandStatus, exit_code: i32, stdout: &str, stderr: &str) {
    let bench = bench();
    let outcome = bench.run(&shell(line)).await;
    assert_eq!((outcome.status, outcome.exit_code), (status, Some(exit_code)), "{line}");
    assert_eq!(bench.output(Channel::Stdout), stdout, "{line}");
    assert_eq!(bench.output(Channel::Stderr), stderr, "{line}");
}

#[tokio::test]
async fn a_command_ends_as_its_shell_does() {
    check("true", CommandStatus::Succeeded, 0, "", "").await;
    check("echo out; echo err >&2; exit 3", CommandStatus::Failed, 3, "out\n", "err\n").await;
    check("kill -TERM $$", CommandStatus::Failed, 128 + 15, "", "").await;
    check("cat", CommandStatus::Succeeded, 0, "", "").await;
}

#[tokio::test]
async fn argv_meets_no_shell() {
    let bench = bench();
    let spec = ExecSpec { args: Some(vec!["%s".into(), "$HOME; `id` *".into()]), ..shell("printf") };
    assert_eq!(bench.run(&spec).await.status, CommandStatus::Succeeded);
    assert_eq!(bench.output(Channel::Stdout), "$HOME; `id` *");
}

#[tokio::test]
async fn input_arrives_and_ends() {
    let bench = bench();
    let input = "0123456789".repeat(20_000);
    let spec = ExecSpec { stdin: Some(data_encoding::BASE64.encode(input.as_bytes())), ..shell("cat") };
    assert_eq!(bench.run(&spec).await.status, CommandStatus::Succeeded);
    assert_eq!(bench.output(Channel::Stdout), input);
}

#[tokio::test]
async fn input_nobody_reads_holds_nothing_up() {
    let bench = bench();
    let spec = ExecSpec { stdin: Some(data_encoding::BASE64.encode(&vec![b'x'; 300_000])), ..shell("exit 4") };
    assert_eq!(bench.run(&spec).await.exit_code, Some(4));
}

#[tokio::test]
async fn the_environment_is_rebuilt() {
    // The environment of the test runner stands for the agent's: `CARGO_*` must not be inherited.
    assert!(std::env::var("CARGO_MANIFEST_DIR").is_ok());
    let mut bench = bench();
    bench.account.extra = vec![("POLICY".into(), "p".into())];
    let spec = ExecSpec {
        env: BTreeMap::from([("ASKED".into(), "a b".into()), ("HIVE_COMMAND_ID".into(), "forged".into())]),
        args: Some(Vec::new()),
        ..shell("env")
    };
    bench.run(&spec).await;
    let output = bench.output(Channel::Stdout);
    let mut names: Vec<_> = output.lines().filter_map(|line| line.split('=').next()).collect();
    names.sort_unstable();
    assert_eq!(names, ["ASKED", "HIVE_COMMAND_ID", "HOME", "LANG", "PATH", "POLICY", "SHELL", "USER"]);
    assert!(output.contains(&format!("HIVE_COMMAND_ID={}", bench.id)) && output.contains("ASKED=a b"));
}

#[tokio::test]
async fn a_command_runs_at_home_unless_told_otherwise() {
    let bench = bench();
    let home = bench.dir.path().canonicalize().unwrap();
    bench.run(&shell("pwd -P")).await;
    assert_eq!(Path::new(bench.output(Channel::Stdout).trim()), home);
    let spec = ExecSpec { cwd: Some("/usr".into()), ..shell("pwd -P") };
    bench.run(&spec).await;
    assert_eq!(bench.output(Channel::Stdout), "/usr\n");
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let bench = bench();
    let program = |name: &str| ExecSpec { args: Some(Vec::new()), ..shell(name) };
    let with_env = |key: &str| ExecSpec { env: BTreeMap::from([(key.into(), "x".into())]), ..shell("true") };
    for (spec, part) in [
        (program("no-such-program"), "no-such-program"),
        (program("/no/such/file"), "/no/such/file"),
        (program("/usr"), "ermission denied"),
        (program(""), "empty"),
        (ExecSpec { cwd: Some("/no/dir".into()), ..shell("true") }, "/no/dir"),
        (ExecSpec { stdin: Some("?".into()), ..shell("true") }, "base64"),
        (with_env("A=B"), "A=B"),
        (shell("tr\0ue"), "nul"),
    ] {
        let outcome = bench.run(&spec).await;
        assert_eq!((outcome.status, outcome.exit_code), (CommandStatus::Failed, None), "{spec:?}");
        let error = outcome.error.unwrap();
        assert_eq!(error.code, ErrorCode::InvalidInput, "{}", error.message);
        assert!(error.message.contains(part), "{}", error.message);
    }
}

#[tokio::test]
async fn output_beyond_the_cap_is_dropped_and_the_program_runs_on() {
    let bench = bench();
    let outcome = bench.run(&shell("head -c 11000000 /dev/zero; echo done > done")).await;
    assert_eq!(outcome.status, CommandStatus::Succeeded);
    assert!(outcome.is_truncated);
    assert_eq!(outcome.output_len.stdout, MAX_OUTPUT);
    assert_eq!(bench.file("done"), "done\n");
}

#[tokio::test]
async fn a_command_has_no_terminal() {
    let bench = bench();
    let line =
        "read _ _ _ _ group session tty _ < /proc/self/stat; test $group = $$ && test $session = $$ && echo own $tty";
    assert_eq!(bench.run(&shell(line)).await.status, CommandStatus::Succeeded);
    assert_eq!(bench.output(Channel::Stdout), "own 0\n");
    // If the test has a terminal, the command must not have it.
    assert_ne!(bench.run(&shell("echo X > /dev/tty")).await.status, CommandStatus::Succeeded);
    assert_ne!(bench.run(&shell("read x < /dev/tty")).await.status, CommandStatus::Succeeded);
}

#[tokio::test]
async fn signals_reach_a_command_as_they_reach_others() {
    let bench = bench();
    // Rust programs ignore SIGPIPE; their children must not.
    check("yes | head -n 1; kill -34 $$", CommandStatus::Failed, 128 + 34, "y\n", "").await;
    bench.run(&shell("cat /proc/self/status")).await;
    let status = bench.output(Channel::Stdout);
    for name in ["SigIgn:", "SigBlk:"] {
        let mask = status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
        let of_pipe = 1 << (nix::libc::SIGPIPE - 1);
        assert_eq!(u64::from_str_radix(mask, 16).unwrap() & of_pipe, 0, "{name} {mask}");
    }
}
