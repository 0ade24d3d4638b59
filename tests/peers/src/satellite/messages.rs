//! What satellites say, as far as it does not depend on what they were told.

use hive_wire::agent::{CommandResult, Handshake, Metrics, PROTOCOL_VERSION, Received, SystemInfo, ToServer};
use hive_wire::api::{CommandStatus, EndReason, SessionEnd};
use hive_wire::{CommandId, SatelliteId, Timestamp};

/// The handshake of a satellite with this journal and without sessions.
pub fn handshake(id: SatelliteId, journal: &str) -> Handshake {
    Handshake {
        agent_id: id,
        version: "0.1.0".into(),
        protocol_version: PROTOCOL_VERSION.into(),
        capabilities: vec!["shell".into(), "pty".into()],
        features: Vec::new(),
        capacity: None,
        journal_id: journal.into(),
        journal_position: None,
        start_id: None,
        earlier_start_ids: Vec::new(),
        sessions: Vec::new(),
        boot_id: None,
        system: SystemInfo { os: "linux".into(), kernel: "6.1.0".into(), ..SystemInfo::default() },
    }
}

/// The answer to a heartbeat.
pub fn pong(timestamp: Timestamp) -> ToServer {
    let metrics = Metrics { cpu_percent: 1.5, memory_percent: 20.0, ..Metrics::default() };
    ToServer::HeartbeatPong { timestamp, metrics: Some(metrics), capacity: None }
}

/// The end of a command that sent this many bytes of standard output.
pub fn result_of(id: CommandId, status: CommandStatus, exit_code: i32, stdout: u64) -> CommandResult {
    CommandResult {
        id,
        status,
        exit_code: Some(exit_code),
        duration_ms: 3,
        sent: Received { stdout, stderr: 0 },
        truncated: false,
        error: None,
    }
}

/// The end of a session whose program has ended.
pub fn exited(exit_code: i32) -> SessionEnd {
    SessionEnd { reason: EndReason::Exited, exit_code: Some(exit_code), error: None }
}
