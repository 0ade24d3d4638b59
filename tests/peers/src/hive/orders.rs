//! What a fake hive asks of a satellite.

use std::hash::{BuildHasher as _, RandomState};

use hive_wire::agent::{Command, ExecSpec, Payload, PtySpec, Received, ToAgent};
use hive_wire::api::Size;
use hive_wire::id::Seed;
use hive_wire::{CommandId, SessionId};

/// The id of a command. Another process has other ones, because tests that run at the same time would end each other's
/// processes.
pub fn command_id(n: u8) -> CommandId {
    CommandId::new(Seed { unix_millis: std::process::id().into(), random: [n; 10] })
}

/// A command with a shell line. The hive has `received` so many bytes of its standard output.
pub fn shell(n: u8, line: &str, received: u64) -> ToAgent {
    ToAgent::Command(Box::new(Command {
        id: command_id(n),
        expires_in_ms: 60_000,
        sent_at: None,
        started: false,
        received: Received { stdout: received, stderr: 0 },
        payload: Payload::Exec(ExecSpec { command: line.into(), timeout_seconds: 30, ..ExecSpec::default() }),
    }))
}

/// A shell without a prompt. Its id is unique, because tests that run at the same time would end each other's processes.
pub fn session_spec() -> PtySpec {
    let mut random = [0; 10];
    // Each new hasher of the standard library has keys of its own.
    random[..8].copy_from_slice(&RandomState::new().hash_one(()).to_le_bytes());
    PtySpec {
        session_id: SessionId::new(Seed { unix_millis: 1, random }),
        shell: Some("/bin/sh".into()),
        size: Size::default(),
        env: [("PS1".to_owned(), String::new())].into(),
        idle_timeout_seconds: None,
        linger_seconds: 600,
    }
}
