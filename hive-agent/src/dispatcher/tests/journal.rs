//! What an agent knows after a restart, and what it does if the journal cannot be written.

use super::*;

#[tokio::test]
async fn what_the_server_knows_as_started_is_not_started_by_a_journal_without_it() {
    let machine = machine();
    let agent = machine.start();
    let line = format!("touch {}/ran", machine.dir.path().display());
    let result = agent.run(Command { started: true, ..shell(1, &line) }).await;
    assert_eq!(result.status, CommandStatus::OutcomeUnknown);
    assert!(!machine.dir.path().join("ran").exists());
    agent.run(shell(2, "true")).await;
    let known = agent.dispatcher.journal_position();
    agent.dispatcher.stop().await;
    assert!(known > 0);
    drop(agent);
    let agent = machine.start();
    let again = agent.run(Command { started: true, ..shell(2, &line) }).await;
    assert_eq!(again.status, CommandStatus::Succeeded, "its own journal answers");
}

#[tokio::test]
async fn a_process_knows_those_before_it() {
    let machine = machine();
    let ids = |agent: &DispatcherRun| agent.dispatcher.start_ids().to_vec();
    let first = machine.start();
    let before = ids(&first);
    drop(first);
    let second = machine.start();
    assert_eq!(before.len(), 1);
    assert!(ids(&second).len() == 2 && ids(&second)[0] == before[0] && ids(&second)[1] != before[0]);
}

#[tokio::test]
async fn a_result_survives_the_agent_until_it_is_acknowledged() {
    let machine = machine();
    let agent = machine.start();
    let result = agent.run(shell(1, "echo run >> runs; echo out")).await;
    agent.dispatcher.stop().await;
    drop(agent);

    let agent = machine.start();
    let line = shell(1, "echo run >> runs; echo out");
    assert_eq!(agent.run(line.clone()).await, result);
    let mut reader = agent.dispatcher.reader(id(1), Channel::Stdout, Arc::new(Semaphore::new(1)));
    assert_eq!(reader.read_all(0, 4).await.unwrap(), "out\n");
    assert!(agent.dispatcher.acknowledge(id(1)));
    agent.dispatcher.stop().await;
    assert_eq!(agent.dispatcher.spool.stored_len(id(1)).await, Received::default());
    drop(agent);

    let agent = machine.start();
    assert_eq!(agent.run(line).await.status, CommandStatus::OutcomeUnknown);
    assert_eq!(count_lines(&machine.file("runs")), 1);
}

#[tokio::test]
async fn a_killed_agent_does_not_know_how_its_commands_ended() {
    let machine = machine();
    let agent = machine.start();
    agent.deliver(shell(1, "echo run >> runs; echo partial; sleep 60"));
    agent.until(1, |progress| progress.produced.stdout == 8).await;
    agent.die().await;

    let agent = machine.start();
    let result = agent.run(shell(1, "echo run >> runs; echo partial; sleep 60")).await;
    assert_eq!(result.status, CommandStatus::OutcomeUnknown);
    let progress = agent.until(1, |progress| progress.result.is_some()).await;
    assert_eq!(progress.produced.stdout, 8, "what was kept of its output is told");
    assert_eq!(count_lines(&machine.file("runs")), 1);
}

#[tokio::test]
async fn a_stopped_agent_leaves_nothing_running_and_remembers() {
    let machine = machine();
    let agent = machine.start();
    agent.deliver(shell(1, "echo $$ > pid; echo ready; sleep 60"));
    agent.until(1, |progress| progress.produced.stdout > 0).await;
    agent.dispatcher.stop().await;
    let pid = machine.file("pid");
    assert!(!Path::new(&format!("/proc/{}", pid.trim())).exists());
    agent.deliver(shell(2, "echo run >> runs"));
    assert!(agent.dispatcher.command(id(2)).is_none(), "a stopping agent takes no more");
    drop(agent);

    let agent = machine.start();
    let result = agent.run(shell(1, "echo $$ > pid; echo ready; sleep 60")).await;
    assert_eq!(result.status, CommandStatus::Cancelled);
    assert!(result.error.unwrap().message.contains("stopped"));
}

#[tokio::test]
async fn the_journal_stays_small() {
    let machine = machine();
    let agent = machine.start();
    for n in 0..50 {
        agent.run(shell(n, "true")).await;
        agent.dispatcher.acknowledge(id(n));
    }
    let path = agent.dispatcher.journal_path();
    agent.dispatcher.stop().await;
    agent.dispatcher.compact().await;
    agent.dispatcher.journal.flush().await.unwrap();
    assert!(fs::metadata(&path).unwrap().len() < 51 * 130, "one short line a command");
    let size = fs::metadata(&path).unwrap().len();
    drop(agent);
    let agent = machine.start();
    assert!(fs::metadata(&path).unwrap().len() <= size + 64, "a start adds its id");
    assert_eq!(agent.run(shell(7, "true")).await.status, CommandStatus::OutcomeUnknown);
}

#[tokio::test]
async fn nothing_runs_that_cannot_be_journalled() {
    let machine = machine();
    let mut agent = machine.start();
    Arc::get_mut(&mut agent.dispatcher).unwrap().journal = Journal::broken();
    let result = agent.run(shell(1, "echo run >> runs")).await;
    assert_eq!(result.status, CommandStatus::Failed);
    assert_eq!(result.error.unwrap().code, ErrorCode::Unavailable);
    assert_eq!(machine.file("runs"), "");
}
