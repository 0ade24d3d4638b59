//! Commands through policy, journal and real processes, without a link.

mod journal;
mod power;

use super::*;
use hive_wire::ErrorCode;
use hive_wire::SatelliteName;
use hive_wire::agent::{CommandResult, ExecSpec, Payload, PowerSpec};
use hive_wire::api::{CommandStatus, PowerAction};
use hive_wire::id::Seed;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tempfile::TempDir;

/// A machine with a data directory, on which agents are started and killed.
struct DispatcherRig {
    dir: TempDir,
    config: AgentConfig,
}

/// One run of an agent.
struct DispatcherRun {
    dispatcher: Arc<Dispatcher>,
    _data: DataDir,
}

fn machine() -> DispatcherRig {
    let dir = tempfile::tempdir().unwrap();
    let name = SatelliteName::try_from("web-server-01").unwrap();
    let mut config = AgentConfig::new("http://localhost".parse().unwrap(), name, dir.path().join("data"));
    config.account.home = dir.path().to_string_lossy().into_owned();
    DispatcherRig { dir, config }
}

/// The id of a command. Another process has other ones, because tests that run at the same time would end each other's
/// processes.
fn id(n: u8) -> CommandId {
    CommandId::new(Seed { unix_millis: std::process::id().into(), random: [n; 10] })
}

fn command(n: u8, payload: Payload) -> Command {
    Command { id: id(n), expires_in_ms: 60_000, sent_at: None, received: Received::default(), started: false, payload }
}

fn shell(n: u8, line: &str) -> Command {
    command(n, Payload::Exec(ExecSpec { command: line.into(), timeout_seconds: 30, ..ExecSpec::default() }))
}

fn reboot(n: u8) -> Command {
    command(n, Payload::Power(PowerSpec { action: PowerAction::Reboot, delay_seconds: 0, message: None }))
}

impl DispatcherRig {
    fn start(&self) -> DispatcherRun {
        self.start_in_boot("boot-1")
    }

    fn start_in_boot(&self, boot_id: &str) -> DispatcherRun {
        let data = DataDir::open(&self.config.data_dir).unwrap();
        let dispatcher =
            Dispatcher::open(&self.config, &data, Some(boot_id.into()), Arc::new(Counters::new())).unwrap();
        DispatcherRun { dispatcher: Arc::new(dispatcher), _data: data }
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    fn with_helper(mut self, script: &str) -> Self {
        let path = self.dir.path().join("helper");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self.config.power_helper = Some(path);
        self
    }
}

impl DispatcherRun {
    async fn until(&self, n: u8, is_so: impl Fn(&ExecutionProgress) -> bool) -> ExecutionProgress {
        loop {
            let progress = self.dispatcher.command(id(n)).map(|command| command.progress()).unwrap_or_default();
            if is_so(&progress) {
                return progress;
            }
            // Every change of a command marks it, so that no polling is needed.
            self.dispatcher.dirty.take().await;
        }
    }

    fn deliver(&self, command: Command) -> DeliveryOutcome {
        let time_left = Duration::from_millis(command.expires_in_ms);
        self.dispatcher.deliver(command, Some(time_left))
    }

    async fn result(&self, n: u8) -> CommandResult {
        self.until(n, |progress| progress.result.is_some()).await.result.unwrap()
    }

    async fn run(&self, command: Command) -> CommandResult {
        let n = (0..=255).find(|&n| id(n) == command.id).unwrap();
        assert_eq!(self.deliver(command), DeliveryOutcome::Accepted);
        self.result(n).await
    }

    /// Ends as `kill -9` would: nothing more is written to the journal. Processes are killed, so that the test leaves
    /// nothing behind.
    async fn die(self) {
        self.dispatcher.journal.flush().await.unwrap();
        let journal = self.dispatcher.journal_path();
        // The journal of this moment is put back below, because a stop writes to it what a kill would not.
        let content = fs::read(&journal).unwrap();
        self.dispatcher.stop().await;
        drop(self);
        fs::write(&journal, content).unwrap();
    }
}

impl Dispatcher {
    fn journal_path(&self) -> PathBuf {
        self.spool.dir.with_file_name("journal.jsonl")
    }
}

fn count_lines(text: &str) -> usize {
    text.lines().count()
}

#[tokio::test]
async fn a_command_delivered_twice_runs_once() {
    let machine = machine();
    let agent = machine.start();
    agent.deliver(shell(1, "echo run >> runs"));
    agent.deliver(shell(1, "echo run >> runs"));
    let first = agent.result(1).await;
    let again = agent.run(shell(1, "echo run >> runs")).await;
    assert_eq!(first.status, CommandStatus::Succeeded);
    assert_eq!(first, again);
    assert_eq!(count_lines(&machine.file("runs")), 1);
}

#[tokio::test]
async fn an_expired_command_is_refused() {
    let machine = machine();
    let agent = machine.start();
    let late = Command { expires_in_ms: 0, ..shell(1, "echo run >> runs") };
    assert_eq!(agent.run(late).await.status, CommandStatus::Expired);
    assert_eq!(machine.file("runs"), "");
}

#[tokio::test]
async fn a_refused_command_never_starts() {
    let mut machine = machine();
    machine.config.policy.blocked_commands = vec!["echo".into()];
    machine.config.policy.allow_power_commands = false;
    let agent = machine.start();
    for (n, command) in [(1, shell(1, "echo run >> runs")), (2, reboot(2))] {
        let result = agent.run(command).await;
        assert_eq!(result.status, CommandStatus::Failed, "{n}");
        assert_eq!(result.error.unwrap().code, ErrorCode::CommandBlocked);
        assert!(!agent.dispatcher.command(id(n)).unwrap().progress().is_started);
    }
    assert_eq!(machine.file("runs"), "");
}

#[tokio::test]
async fn more_commands_than_allowed_at_once_are_sent_back() {
    let mut machine = machine().with_helper("echo \"$1\" >> power");
    machine.config.max_running = 1;
    let agent = machine.start();
    agent.deliver(shell(1, "sleep 60"));
    assert_eq!(agent.deliver(shell(2, "echo run >> runs")), DeliveryOutcome::Busy);
    assert!(agent.dispatcher.command(id(2)).is_none());
    assert_eq!(agent.run(reboot(3)).await.status, CommandStatus::Succeeded, "programs do not stop a change of power");
    agent.dispatcher.cancel(id(1));
    assert_eq!(agent.result(1).await.status, CommandStatus::Cancelled);
    assert_eq!(agent.run(shell(2, "echo run >> runs")).await.status, CommandStatus::Succeeded);
    assert_eq!(count_lines(&machine.file("runs")), 1);
}

#[tokio::test]
async fn a_command_that_is_sent_back_is_in_no_journal() {
    let machine = machine();
    let agent = machine.start();
    assert_eq!(agent.dispatcher.deliver(shell(1, "echo run >> runs"), None), DeliveryOutcome::Busy);
    agent.dispatcher.stop().await;
    drop(agent);
    let agent = machine.start();
    assert_eq!(agent.run(shell(1, "echo run >> runs")).await.status, CommandStatus::Succeeded);
    assert_eq!(
        agent.dispatcher.deliver(shell(1, "echo run >> runs"), None),
        DeliveryOutcome::Accepted,
        "it has run, late or not"
    );
    assert_eq!(count_lines(&machine.file("runs")), 1);
}
