//! Control messages of the link between server and satellite, version 2: JSON text, tagged by `type`.
//!
//! Data travels beside them as binary [`frame`](crate::frame)s. Unknown message types decode to `Unknown` and unknown
//! fields are skipped, so that satellites and servers of different versions work together.

mod command;
mod terminal;

use serde::{Deserialize, Serialize};

pub use self::command::{Channel, Command, CommandResult, ExecSpec, Payload, PowerSpec, Received};
pub use self::terminal::{PtySpec, PtyStarted};
pub use crate::code::ErrorBody;
use crate::credential::Secret;
use crate::frame::StreamId;
use crate::id::CommandId;
use crate::terminal::{SessionEnd, Size};
use crate::{HiveId, SatelliteId, SessionId, Timestamp, ViewerId};

/// The WebSocket sub-protocol of this version.
pub const SUBPROTOCOL: &str = "hive.agent.v2";
/// The `protocol_version` of this version.
pub const PROTOCOL_VERSION: &str = "2";
/// The most bytes of one message, control or data.
pub const MAX_MESSAGE: usize = 1024 * 1024;
/// How long a new connection may take to send its handshake, in seconds.
pub const HANDSHAKE_TIMEOUT_SECONDS: u64 = 10;
/// Output kept of each of a command's two streams, in bytes; what comes after is dropped and `truncated` set.
pub const MAX_OUTPUT: u64 = 10 * 1024 * 1024;
/// The most bytes of a command's standard input.
pub const MAX_STDIN: usize = 512 * 1024;
/// How long a command may run unless the request says otherwise, in seconds.
pub const DEFAULT_TIMEOUT_SECONDS: u32 = 60;
/// The longest a command may run, in seconds.
pub const MAX_TIMEOUT_SECONDS: u32 = 24 * 3600;

/// Commands that a satellite runs at the same time unless it reports another number.
pub const DEFAULT_CAPACITY: u32 = 512;

/// WebSocket close codes of this protocol.
pub mod close {
    /// The peer violated the protocol.
    pub const PROTOCOL_ERROR: u16 = 4400;
    /// The API key is wrong, expired or was replaced.
    pub const AUTH_FAILED: u16 = 4401;
    /// No handshake came in time, or heartbeats were missed.
    pub const TIMEOUT: u16 = 4408;
    /// A newer connection of the same satellite took over.
    pub const REPLACED: u16 = 4409;
    /// Another process with this satellite's identity is online and answers.
    pub const IDENTITY_CONFLICT: u16 = 4423;
    /// The server cannot keep up with this satellite's link.
    pub const OVERLOADED: u16 = 4429;
    /// The server stops; connect again.
    pub const GOING_AWAY: u16 = 1001;
}

/// A message from a satellite to the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ToServer {
    /// The first message.
    Handshake(Box<Handshake>),
    /// The answer to a ping. It may also be sent without one.
    #[serde(alias = "heartbeat")]
    HeartbeatPong {
        /// When it was sent.
        timestamp: Timestamp,
        /// The state of the machine.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metrics: Option<Metrics>,
        /// The number of commands that the satellite runs at the same time from now on; unchanged unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        capacity: Option<u32>,
    },
    /// The command is in the journal and runs.
    CommandAck {
        /// The command.
        id: CommandId,
        /// How many records were appended to the journal before or with its start, as in [`Handshake::journal_position`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        journal_position: Option<u64>,
    },
    /// The satellite cannot take this command now. It is not in its journal and was not started: the server may send it
    /// again, or end it.
    Busy {
        /// The command.
        id: CommandId,
    },
    /// The satellite is about to send one output stream of a command.
    StreamOpen {
        /// The stream's number, odd.
        stream: StreamId,
        /// The command.
        command_id: CommandId,
        /// Which of its outputs.
        channel: Channel,
        /// The offset of the first byte it will send.
        offset: u64,
    },
    /// The command has ended, and all its output was sent before this message.
    CommandResult(CommandResult),
    /// The terminal runs, and its output follows on this stream. It answers [`ToAgent::PtyStart`] and
    /// [`ToAgent::PtyAttach`].
    PtyStarted(PtyStarted),
    /// Output that was dropped before it was sent. The stream continues at `to`. It is in order with the frames of the
    /// stream.
    PtyGap {
        /// The terminal.
        session_id: SessionId,
        /// The first missing byte.
        from: u64,
        /// The first byte that follows.
        to: u64,
    },
    /// All input before this offset was written to the terminal.
    PtyApplied {
        /// The terminal.
        session_id: SessionId,
        /// The offset.
        offset: u64,
    },
    /// The terminal and all its processes have ended, and all its output was sent before this message. It also answers
    /// [`ToAgent::PtyAttach`] for an unknown terminal. It is sent again on each link until [`ToAgent::PtyEndAck`].
    PtyEnded {
        /// The terminal.
        session_id: SessionId,
        /// How it ended.
        end: SessionEnd,
    },
    /// The satellite is about to close.
    Disconnect {
        /// Why: `shutdown`, `update` or `restart`.
        reason: String,
    },
    /// Something went wrong that belongs to no command.
    Error {
        /// The error.
        error: ErrorBody,
    },
    /// A message of a newer version.
    #[serde(other)]
    Unknown,
}

/// A message from the server to a satellite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ToAgent {
    /// The answer to the handshake.
    HandshakeAck(Box<HandshakeAck>),
    /// Asks for a [`ToServer::HeartbeatPong`].
    HeartbeatPing {
        /// When it was sent.
        timestamp: Timestamp,
        /// When it was sent by the server's steady clock, see [`Command::sent_at`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sent_at: Option<Timestamp>,
    },
    /// Runs a command. It may be sent again after a reconnect.
    Command(Box<Command>),
    /// Ends a command with all its processes.
    CommandCancel {
        /// The command.
        id: CommandId,
    },
    /// The result is stored. The satellite may delete the command.
    ResultAck {
        /// The command.
        id: CommandId,
    },
    /// The satellite may send up to this offset of the stream.
    StreamCredit {
        /// The stream.
        stream: StreamId,
        /// The offset behind the last byte it may send.
        limit: u64,
    },
    /// Opens a terminal. It is sent once: if the link breaks before the answer, [`Self::PtyAttach`] follows.
    PtyStart(Box<PtySpec>),
    /// Continues a terminal on this link. The answer is [`ToServer::PtyStarted`] or [`ToServer::PtyEnded`].
    PtyAttach {
        /// The terminal.
        session_id: SessionId,
        /// How much of its output the server has. Without it, the server has nothing, and the satellite continues at
        /// the first byte that a viewer still needs, or a screenful before the end.
        received: Option<u64>,
    },
    /// The credit for the output of a terminal. On a new link nothing is sent before the first one.
    PtyFlow {
        /// The terminal.
        session_id: SessionId,
        /// The offset behind the last byte that may be sent.
        limit: u64,
        /// The first byte that a viewer still needs. While it is set, this byte and all that follow are kept, and the
        /// terminal is read only up to `limit`, so that its program waits. Without it, the oldest bytes are dropped.
        keep: Option<u64>,
    },
    /// The viewer whose input follows. [`PtyStarted`] reports it.
    PtyWriter {
        /// The terminal.
        session_id: SessionId,
        /// The viewer; none if the keyboard is free.
        writer: Option<ViewerId>,
    },
    /// Changes the size of a terminal.
    PtyResize {
        /// The terminal.
        session_id: SessionId,
        /// The size.
        #[serde(flatten)]
        size: Size,
        /// Whether the program is notified even if the size is the same, so that it redraws its screen.
        #[serde(default)]
        redraw: bool,
    },
    /// Ends a terminal with all its processes.
    PtyEnd {
        /// The terminal.
        session_id: SessionId,
    },
    /// The end is stored. The satellite may delete the terminal.
    PtyEndAck {
        /// The terminal.
        session_id: SessionId,
    },
    /// The new key of the satellite, which stores it and connects with it.
    RotateKey {
        /// The new key. The earlier one is void.
        api_key: Secret,
    },
    /// The server is about to close.
    Disconnect {
        /// Why.
        reason: String,
        /// The shortest time before the next attempt, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    /// Something went wrong that belongs to no command.
    Error {
        /// The error.
        error: ErrorBody,
    },
    /// A message of a newer version.
    #[serde(other)]
    Unknown,
}

/// The first message of a satellite. Its API key was sent in the `Authorization` header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Handshake {
    /// The id of the satellite; must be the satellite of the key.
    pub agent_id: SatelliteId,
    /// The agent's version.
    pub version: String,
    /// `"2"`.
    pub protocol_version: String,
    /// Its capabilities: `shell`, `pty`, `power`, `stdio` …
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Protocol features beyond the version that it supports.
    #[serde(default)]
    pub features: Vec<String>,
    /// The id of the journal of commands. Another id means that the record of what ran is lost.
    pub journal_id: String,
    /// How many records were ever appended to this journal and are on the disk. It never falls: a smaller number than
    /// one reported before means that the machine was rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_position: Option<u64>,
    /// The id of the agent process, random at each start. Without it, a copy of a satellite cannot be detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_id: Option<String>,
    /// The processes that wrote this journal before this one, the latest last. May leave out the oldest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_start_ids: Vec<String>,
    /// The id of the current boot of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// How many commands it runs at the same time, [`DEFAULT_CAPACITY`] unless given. Changes of power do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// Its terminals, including ended ones whose end is not acknowledged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<SessionId>,
    /// The machine.
    pub system: SystemInfo,
}

/// The machine a satellite runs on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct SystemInfo {
    /// The host's name.
    pub hostname: String,
    /// `linux`, `darwin` or `windows`.
    pub os: String,
    /// The distribution or release.
    pub os_version: String,
    /// `x86_64`, `aarch64` …
    pub arch: String,
    /// The kernel's version.
    pub kernel: String,
    /// Seconds since boot.
    pub uptime_seconds: u64,
    /// Logical processors.
    pub cpu_cores: u32,
    /// Memory, in MiB.
    pub memory_total_mb: u64,
    /// Memory free for programs, in MiB.
    pub memory_available_mb: u64,
}

/// The state of the machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Metrics {
    /// Processors in use, 0 to 100.
    pub cpu_percent: f32,
    /// Memory in use, 0 to 100.
    pub memory_percent: f32,
    /// The root disk in use, 0 to 100.
    pub disk_percent: f32,
    /// Load over 1, 5 and 15 minutes.
    pub load_average: [f64; 3],
    /// Bytes received since boot.
    pub network_rx_bytes: u64,
    /// Bytes sent since boot.
    pub network_tx_bytes: u64,
    /// Open terminals.
    pub active_sessions: u32,
    /// Problems of the satellite as text, such as a full disk.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// The answer to a handshake.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HandshakeAck {
    /// Whether the link is up.
    pub success: bool,
    /// `"2"`.
    pub protocol_version: String,
    /// The server's clock.
    pub server_time: Timestamp,
    /// When it was sent by the server's steady clock, see [`Command::sent_at`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// Seconds between heartbeats.
    pub heartbeat_interval: u64,
    /// The hive that answers. Servers of earlier versions do not send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hive_id: Option<HiveId>,
    /// Why the handshake was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_a_newer_version_is_readable() {
        let newer = r#"{"type":"from_the_future","field":1}"#;
        assert_eq!(serde_json::from_str::<ToAgent>(newer).unwrap(), ToAgent::Unknown);
        assert_eq!(serde_json::from_str::<ToServer>(newer).unwrap(), ToServer::Unknown);
    }
}
