//! The order of what one command sends.

use super::*;
use crate::dirty_set::DirtySet;
use crate::spool::Spool;
use bytes::Bytes;
use hive_wire::api::CommandStatus;
use hive_wire::id::Seed;
use hive_wire::stream::INITIAL_WINDOW;
use std::sync::Arc;
use tokio::sync::Semaphore;

struct SenderRig {
    _dir: tempfile::TempDir,
    spool: Spool,
    ready: Arc<DirtySet<CommandId>>,
    id: CommandId,
    streams: u32,
}

fn rig() -> SenderRig {
    let dir = tempfile::tempdir().unwrap();
    SenderRig {
        spool: Spool::of_dir(dir.path().to_owned()),
        ready: Arc::default(),
        id: CommandId::new(Seed { unix_millis: 1, random: [1; 10] }),
        _dir: dir,
        streams: 1,
    }
}

impl SenderRig {
    async fn write(&self, stdout: &[u8], stderr: &[u8]) {
        self.spool.writer(self.id, Channel::Stdout).append(Bytes::copy_from_slice(stdout)).await;
        self.spool.writer(self.id, Channel::Stderr).append(Bytes::copy_from_slice(stderr)).await;
    }

    fn resume(&self, received: Received) -> CommandSender {
        let slots = Arc::new(Semaphore::new(1));
        let reader = |channel| self.spool.reader(self.id, channel, slots.clone(), self.ready.clone());
        CommandSender::new(self.id, received, [reader(Channel::Stdout), reader(Channel::Stderr)])
    }

    async fn progress(&self, is_ended: bool) -> ExecutionProgress {
        let produced = self.spool.stored_len(self.id).await;
        let result = CommandResult {
            id: self.id,
            status: CommandStatus::Succeeded,
            exit_code: Some(0),
            duration_ms: 1,
            sent: produced,
            truncated: false,
            error: None,
        };
        ExecutionProgress { is_started: true, journal_position: None, produced, result: is_ended.then_some(result) }
    }

    /// Everything that is sent until the spool has nothing more to read, one word per message.
    async fn sent(&mut self, resume: &mut CommandSender) -> Vec<String> {
        let mut sent = Vec::new();
        while let Some(control) = resume.next_control() {
            sent.push(describe(&AgentMessage::Control(control)));
        }
        let mut new_stream = || {
            self.streams += 2;
            StreamId(self.streams - 2)
        };
        loop {
            match resume.next_output(&mut new_stream) {
                Some(piece) => sent.push(describe(&piece)),
                None if resume.is_reading() => drop(self.ready.take().await),
                None => return sent,
            }
        }
    }
}

fn describe(piece: &AgentMessage) -> String {
    match piece {
        AgentMessage::Control(ToServer::CommandAck { .. }) => "ack".into(),
        AgentMessage::Control(ToServer::StreamOpen { stream, offset, channel, .. }) => {
            format!("open {stream} {channel:?} {offset}")
        }
        AgentMessage::Control(ToServer::CommandResult(result)) => {
            let cut = if result.truncated { " cut" } else { "" };
            format!("result {} {}{cut}", result.sent.stdout, result.sent.stderr)
        }
        AgentMessage::Ping => panic!("a ping"),
        AgentMessage::Control(other) => panic!("{other:?}"),
        AgentMessage::Data(frame) => {
            let end = if frame.is_last { " last" } else { "" };
            format!("data {} {}+{}{end}", frame.stream, frame.offset, frame.payload.len())
        }
    }
}

fn received(stdout: u64, stderr: u64) -> Received {
    Received { stdout, stderr }
}

#[tokio::test]
async fn a_silent_command_needs_two_messages() {
    let mut rig = rig();
    let mut resume = rig.resume(received(0, 0));
    resume.advance(rig.progress(true).await);
    assert_eq!(rig.sent(&mut resume).await, ["ack", "result 0 0"]);
    assert_eq!(rig.sent(&mut resume).await, [""; 0]);
}

#[tokio::test]
async fn output_goes_before_the_result() {
    let mut rig = rig();
    rig.write(b"hello", b"oops!!").await;
    let mut resume = rig.resume(received(0, 0));
    resume.advance(rig.progress(false).await);
    assert_eq!(rig.sent(&mut resume).await, ["ack", "open 1 Stdout 0", "data 1 0+5", "open 3 Stderr 0", "data 3 0+6"]);
    resume.advance(rig.progress(true).await);
    assert_eq!(rig.sent(&mut resume).await, ["data 1 5+0 last", "data 3 6+0 last", "result 5 6"]);
}

#[tokio::test]
async fn what_the_server_has_is_not_sent_again() {
    let mut rig = rig();
    rig.write(b"hello", b"oops!!").await;
    let mut resume = rig.resume(received(3, 6));
    resume.advance(rig.progress(true).await);
    assert_eq!(rig.sent(&mut resume).await, ["ack", "open 1 Stdout 3", "data 1 3+2 last", "result 5 6"]);
}

#[tokio::test]
async fn no_more_is_sent_than_there_is_credit() {
    let mut rig = rig();
    let window = INITIAL_WINDOW as usize;
    rig.write(&vec![b'x'; window + 10], b"").await;
    let mut resume = rig.resume(received(0, 0));
    resume.advance(rig.progress(true).await);
    let sent = rig.sent(&mut resume).await;
    assert_eq!(sent.last().unwrap(), &format!("data 1 {}+65536", window - 65536));
    resume.credit(StreamId(9), u64::MAX);
    assert_eq!(rig.sent(&mut resume).await, [""; 0]);
    resume.credit(StreamId(1), INITIAL_WINDOW + 4);
    assert_eq!(rig.sent(&mut resume).await, [format!("data 1 {window}+4")]);
    resume.credit(StreamId(1), INITIAL_WINDOW * 2);
    assert_eq!(
        rig.sent(&mut resume).await,
        [format!("data 1 {}+6 last", window + 4), format!("result {} 0", window + 10)]
    );
}

#[tokio::test]
async fn output_that_is_lost_is_said_to_be_cut() {
    let mut rig = rig();
    rig.write(b"hello", b"").await;
    let progress = rig.progress(true).await;
    rig.spool.remove(rig.id).await;
    let mut resume = rig.resume(received(2, 0));
    resume.advance(progress.clone());
    assert_eq!(rig.sent(&mut resume).await, ["ack", "open 1 Stdout 2", "result 2 0 cut"]);
    let mut resume = rig.resume(received(2, 0));
    resume.advance(ExecutionProgress { produced: received(0, 0), ..progress });
    assert_eq!(rig.sent(&mut resume).await, ["ack", "result 2 0 cut"]);
}
