//! Commands through policy, journal and real processes, without a link.

use super::*;
use hive_wire::SatelliteName;
use hive_wire::agent::{ExecSpec, PowerSpec};
use hive_wire::api::PowerAction;
use hive_wire::id::Seed;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tempfile::TempDir;

/// A machine with a data directory, on which agents start and die.
struct Machine {
    dir: TempDir,
    config: Config,
}

/// One life of an agent.
struct Life {
    dispatch: Arc<Dispatch>,
    _data: DataDir,
}

fn machine() -> Machine {
    let dir = tempfile::tempdir().unwrap();
    let name = SatelliteName::try_from("web-server-01").unwrap();
    let mut config = Config::new("http://localhost".parse().unwrap(), name, dir.path().join("data"));
    config.account.home = dir.path().to_string_lossy().into_owned();
    Machine { dir, config }
}

fn id(n: u8) -> CommandId {
    CommandId::new(Seed { unix_millis: 1, random: [n; 10] })
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

impl Machine {
    fn start(&self) -> Life {
        self.start_in_boot("boot-1")
    }

    fn start_in_boot(&self, boot_id: &str) -> Life {
        let data = DataDir::open(&self.config.data_dir).unwrap();
        let dispatch = Dispatch::open(&self.config, &data, Some(boot_id.into()), Arc::new(Counters::new())).unwrap();
        Life { dispatch: Arc::new(dispatch), _data: data }
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

impl Life {
    async fn until(&self, n: u8, is_so: impl Fn(&Progress) -> bool) -> Progress {
        loop {
            let progress = self.dispatch.job(id(n)).map(|job| job.progress()).unwrap_or_default();
            if is_so(&progress) {
                return progress;
            }
            self.dispatch.board.take().await;
        }
    }

    fn deliver(&self, command: Command) -> Delivery {
        let time_left = Duration::from_millis(command.expires_in_ms);
        self.dispatch.deliver(command, Some(time_left))
    }

    async fn result(&self, n: u8) -> CommandResult {
        self.until(n, |progress| progress.result.is_some()).await.result.unwrap()
    }

    async fn run(&self, command: Command) -> CommandResult {
        let n = (0..=255).find(|&n| id(n) == command.id).unwrap();
        assert_eq!(self.deliver(command), Delivery::Taken);
        self.result(n).await
    }

    /// As `kill -9` would: nothing more is journalled. What runs is killed, so that the test leaves nothing behind.
    async fn die(self) {
        self.dispatch.journal.flush().await.unwrap();
        let journal = self.dispatch.journal_path();
        let content = fs::read(&journal).unwrap();
        self.dispatch.stop().await;
        drop(self);
        fs::write(&journal, content).unwrap();
    }
}

#[tokio::test]
async fn what_the_server_knows_as_started_is_not_started_by_a_journal_without_it() {
    let machine = machine();
    let life = machine.start();
    let line = format!("touch {}/ran", machine.dir.path().display());
    let result = life.run(Command { started: true, ..shell(1, &line) }).await;
    assert_eq!(result.status, CommandStatus::OutcomeUnknown);
    assert!(!machine.dir.path().join("ran").exists());
    life.run(shell(2, "true")).await;
    let known = life.dispatch.journal_position();
    life.dispatch.stop().await;
    assert!(known > 0);
    drop(life);
    let life = machine.start();
    let again = life.run(Command { started: true, ..shell(2, &line) }).await;
    assert_eq!(again.status, CommandStatus::Succeeded, "its own journal answers");
}

#[tokio::test]
async fn a_process_knows_those_before_it() {
    let machine = machine();
    let ids = |life: &Life| life.dispatch.start_ids().to_vec();
    let first = machine.start();
    let before = ids(&first);
    drop(first);
    let second = machine.start();
    assert_eq!(before.len(), 1);
    assert!(ids(&second).len() == 2 && ids(&second)[0] == before[0] && ids(&second)[1] != before[0]);
}

impl Dispatch {
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
    let life = machine.start();
    life.deliver(shell(1, "echo run >> runs"));
    life.deliver(shell(1, "echo run >> runs"));
    let first = life.result(1).await;
    let again = life.run(shell(1, "echo run >> runs")).await;
    assert_eq!(first.status, CommandStatus::Succeeded);
    assert_eq!(first, again);
    assert_eq!(count_lines(&machine.file("runs")), 1);
}

#[tokio::test]
async fn a_result_survives_the_agent_until_it_is_acknowledged() {
    let machine = machine();
    let life = machine.start();
    let result = life.run(shell(1, "echo run >> runs; echo out")).await;
    life.dispatch.stop().await;
    drop(life);

    let life = machine.start();
    let line = shell(1, "echo run >> runs; echo out");
    assert_eq!(life.run(line.clone()).await, result);
    let mut reader = life.dispatch.reader(id(1), Channel::Stdout);
    assert_eq!(reader.read(0, 4).unwrap(), "out\n");
    assert!(life.dispatch.acknowledge(id(1)));
    life.dispatch.stop().await;
    assert_eq!(life.dispatch.spool.kept(id(1)), Received::default());
    drop(life);

    let life = machine.start();
    assert_eq!(life.run(line).await.status, CommandStatus::OutcomeUnknown);
    assert_eq!(count_lines(&machine.file("runs")), 1);
}

#[tokio::test]
async fn a_killed_agent_does_not_know_how_its_commands_ended() {
    let machine = machine();
    let life = machine.start();
    life.deliver(shell(1, "echo run >> runs; echo partial; sleep 60"));
    life.until(1, |progress| progress.produced.stdout == 8).await;
    life.die().await;

    let life = machine.start();
    let result = life.run(shell(1, "echo run >> runs; echo partial; sleep 60")).await;
    assert_eq!(result.status, CommandStatus::OutcomeUnknown);
    let progress = life.until(1, |_| true).await;
    assert_eq!(progress.produced.stdout, 8, "what was kept of its output is told");
    assert_eq!(count_lines(&machine.file("runs")), 1);
}

#[tokio::test]
async fn an_expired_command_is_refused() {
    let machine = machine();
    let life = machine.start();
    let late = Command { expires_in_ms: 0, ..shell(1, "echo run >> runs") };
    assert_eq!(life.run(late).await.status, CommandStatus::Expired);
    assert_eq!(machine.file("runs"), "");
}

#[tokio::test]
async fn a_refused_command_never_starts() {
    let mut machine = machine();
    machine.config.policy.blocked_commands = vec!["echo".into()];
    machine.config.policy.allow_power_commands = false;
    let life = machine.start();
    for (n, command) in [(1, shell(1, "echo run >> runs")), (2, reboot(2))] {
        let result = life.run(command).await;
        assert_eq!(result.status, CommandStatus::Failed, "{n}");
        assert_eq!(result.error.unwrap().code, ErrorCode::CommandBlocked);
        assert!(!life.dispatch.job(id(n)).unwrap().progress().is_started);
    }
    assert_eq!(machine.file("runs"), "");
}

#[tokio::test]
async fn more_commands_than_allowed_at_once_are_sent_back() {
    let mut machine = machine().with_helper("echo \"$1\" >> power");
    machine.config.max_running = 1;
    let life = machine.start();
    life.deliver(shell(1, "sleep 60"));
    assert_eq!(life.deliver(shell(2, "echo run >> runs")), Delivery::Busy);
    assert!(life.dispatch.job(id(2)).is_none());
    assert_eq!(life.run(reboot(3)).await.status, CommandStatus::Succeeded, "programs do not stop a change of power");
    life.dispatch.cancel(id(1));
    assert_eq!(life.result(1).await.status, CommandStatus::Cancelled);
    assert_eq!(life.run(shell(2, "echo run >> runs")).await.status, CommandStatus::Succeeded);
    assert_eq!(count_lines(&machine.file("runs")), 1);
}

#[tokio::test]
async fn a_command_that_is_sent_back_is_in_no_journal() {
    let machine = machine();
    let life = machine.start();
    assert_eq!(life.dispatch.deliver(shell(1, "echo run >> runs"), None), Delivery::Busy);
    life.dispatch.stop().await;
    drop(life);
    let life = machine.start();
    assert_eq!(life.run(shell(1, "echo run >> runs")).await.status, CommandStatus::Succeeded);
    assert_eq!(life.dispatch.deliver(shell(1, "echo run >> runs"), None), Delivery::Taken, "it has run, late or not");
    assert_eq!(count_lines(&machine.file("runs")), 1);
}

#[tokio::test]
async fn a_stopped_agent_leaves_nothing_running_and_remembers() {
    let machine = machine();
    let life = machine.start();
    life.deliver(shell(1, "echo $$ > pid; echo ready; sleep 60"));
    life.until(1, |progress| progress.produced.stdout > 0).await;
    life.dispatch.stop().await;
    let pid = machine.file("pid");
    assert!(!Path::new(&format!("/proc/{}", pid.trim())).exists());
    life.deliver(shell(2, "echo run >> runs"));
    assert!(life.dispatch.job(id(2)).is_none(), "a stopping agent takes no more");
    drop(life);

    let life = machine.start();
    let result = life.run(shell(1, "echo $$ > pid; echo ready; sleep 60")).await;
    assert_eq!(result.status, CommandStatus::Cancelled);
    assert!(result.error.unwrap().message.contains("stopped"));
}

#[tokio::test]
async fn power_goes_through_the_helper() {
    let machine = machine().with_helper("echo \"$@\" >> power");
    let life = machine.start();
    let spec = PowerSpec { action: PowerAction::Shutdown, delay_seconds: 7, message: Some("bye all".into()) };
    let result = life.run(command(1, Payload::Power(spec))).await;
    assert_eq!(result.status, CommandStatus::Succeeded);
    assert_eq!(machine.file("power"), "shutdown 7 bye all\n");
}

#[tokio::test]
async fn a_reboot_is_not_issued_again_after_the_boot() {
    let machine = machine().with_helper("echo \"$1\" >> power; sleep 60");
    let life = machine.start();
    life.deliver(reboot(1));
    while machine.file("power").is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // The reboot stops the agent while the helper is still at work.
    life.dispatch.stop().await;
    drop(life);

    let life = machine.start_in_boot("boot-2");
    assert_eq!(life.run(reboot(1)).await.status, CommandStatus::Succeeded);
    drop(life);
    let life = machine.start_in_boot("boot-1");
    assert_eq!(life.run(reboot(1)).await.status, CommandStatus::OutcomeUnknown);
    assert_eq!(machine.file("power"), "reboot\n");
}

#[tokio::test]
async fn nothing_runs_that_cannot_be_journalled() {
    let machine = machine();
    let mut life = machine.start();
    Arc::get_mut(&mut life.dispatch).unwrap().journal = Journal::broken();
    let result = life.run(shell(1, "echo run >> runs")).await;
    assert_eq!(result.status, CommandStatus::Failed);
    assert_eq!(result.error.unwrap().code, ErrorCode::Unavailable);
    assert_eq!(machine.file("runs"), "");
}

#[tokio::test]
async fn the_journal_stays_small() {
    let machine = machine();
    let life = machine.start();
    for n in 0..50 {
        life.run(shell(n, "true")).await;
        life.dispatch.acknowledge(id(n));
    }
    let path = life.dispatch.journal_path();
    life.dispatch.stop().await;
    life.dispatch.compact().await;
    life.dispatch.journal.flush().await.unwrap();
    assert!(fs::metadata(&path).unwrap().len() < 51 * 130, "one short line a command");
    let size = fs::metadata(&path).unwrap().len();
    drop(life);
    let life = machine.start();
    assert!(fs::metadata(&path).unwrap().len() <= size + 64, "a start adds its id");
    assert_eq!(life.run(shell(7, "true")).await.status, CommandStatus::OutcomeUnknown);
}
