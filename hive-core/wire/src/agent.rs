//! Control messages of the link between server and satellite, version 2: JSON text, tagged by `type`.
//!
//! Data travels beside them as binary [`frame`](crate::frame)s. Unknown message types decode to `Unknown` and unknown
//! fields are skipped, so that old satellites and new servers live together.

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

/// Commands a satellite takes at the same time unless it says otherwise.
pub const DEFAULT_CAPACITY: u32 = 512;

/// WebSocket close codes of our own.
pub mod close {
    /// The peer sent something that is not the protocol.
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

/// What a satellite says to its server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ToServer {
    /// The first message.
    Handshake(Box<Handshake>),
    /// The answer to a ping, or unprompted.
    #[serde(alias = "heartbeat")]
    HeartbeatPong {
        /// When it was sent.
        timestamp: Timestamp,
        /// How the machine does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metrics: Option<Metrics>,
        /// How many commands the satellite takes at the same time from here on; as before unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        capacity: Option<u32>,
    },
    /// The command is in the journal and runs.
    CommandAck {
        /// Which command.
        id: CommandId,
        /// How many records were appended to the journal before or with its start, as in [`Handshake::journal_position`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        journal_position: Option<u64>,
    },
    /// The satellite cannot take this command now. It is not in its journal and was not started: the server may send it
    /// again, or end it.
    Busy {
        /// Which command.
        id: CommandId,
    },
    /// The satellite is about to send one output stream of a command.
    StreamOpen {
        /// The stream's number, odd.
        stream: StreamId,
        /// Which command.
        command_id: CommandId,
        /// Which of its outputs.
        channel: Channel,
        /// The offset of the first byte it will send.
        offset: u64,
    },
    /// The command has ended, and all its output was sent before this message.
    CommandResult(CommandResult),
    /// A terminal is there, and its output comes on this stream from here on: the answer to [`ToAgent::PtyStart`] and
    /// [`ToAgent::PtyAttach`].
    PtyStarted(PtyStarted),
    /// Output that was dropped before it could be sent: the stream goes on at `to`. In order with the stream's frames.
    PtyGap {
        /// Which terminal.
        session_id: SessionId,
        /// The first missing byte.
        from: u64,
        /// The first byte that follows.
        to: u64,
    },
    /// Everything before this offset of the input was given to the terminal.
    PtyApplied {
        /// Which terminal.
        session_id: SessionId,
        /// The offset.
        offset: u64,
    },
    /// The terminal is gone with all its processes, and all its output was sent before this message; also the answer to
    /// [`ToAgent::PtyAttach`] for one that is not there. Said again on each link until [`ToAgent::PtyEndAck`].
    PtyEnded {
        /// Which terminal.
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
        /// What.
        error: ErrorBody,
    },
    /// A message of a newer version.
    #[serde(other)]
    Unknown,
}

/// What the server says to a satellite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Run this; may come again after a reconnect.
    Command(Box<Command>),
    /// End this command and everything it started.
    CommandCancel {
        /// Which command.
        id: CommandId,
    },
    /// The result is stored; the satellite may forget it.
    ResultAck {
        /// Which command.
        id: CommandId,
    },
    /// The satellite may send up to this offset of the stream.
    StreamCredit {
        /// Which stream.
        stream: StreamId,
        /// The offset behind the last byte it may send.
        limit: u64,
    },
    /// Open a terminal. Sent once: a link that breaks before the answer is followed by [`Self::PtyAttach`].
    PtyStart(Box<PtySpec>),
    /// Go on with a terminal on this link. The answer is [`ToServer::PtyStarted`] or [`ToServer::PtyEnded`].
    PtyAttach {
        /// Which terminal.
        session_id: SessionId,
        /// How much of its output the server has. Without it, the server has nothing: the satellite goes on at the first
        /// byte somebody still needs, or a screenful before the end.
        received: Option<u64>,
    },
    /// How far a terminal's output may go. Nothing is sent before the first one on a link.
    PtyFlow {
        /// Which terminal.
        session_id: SessionId,
        /// The offset behind the last byte that may be sent.
        limit: u64,
        /// The first byte that somebody still needs. While it is there, it and what follows are kept, and the terminal is
        /// read only up to `limit`, so that its program waits. Without it the oldest bytes are dropped.
        keep: Option<u64>,
    },
    /// Whose input comes from here on, to be told in [`PtyStarted`].
    PtyWriter {
        /// Which terminal.
        session_id: SessionId,
        /// Who; nobody where the keyboard is free.
        writer: Option<ViewerId>,
    },
    /// The terminal gets another size.
    PtyResize {
        /// Which terminal.
        session_id: SessionId,
        /// The size.
        #[serde(flatten)]
        size: Size,
        /// Whether its program is told even where the size is the same, so that it draws its screen anew.
        #[serde(default)]
        redraw: bool,
    },
    /// End a terminal with all its processes.
    PtyEnd {
        /// Which terminal.
        session_id: SessionId,
    },
    /// The end is stored; the satellite may forget the terminal.
    PtyEndAck {
        /// Which terminal.
        session_id: SessionId,
    },
    /// The satellite's key from here on. It keeps it, and connects with it.
    RotateKey {
        /// The new key; the one before is dead.
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
        /// What.
        error: ErrorBody,
    },
    /// A message of a newer version.
    #[serde(other)]
    Unknown,
}

/// A satellite's first message. The API key went before it, in the `Authorization` header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Handshake {
    /// Who it says it is; must be the satellite of the key.
    pub agent_id: SatelliteId,
    /// The agent's version.
    pub version: String,
    /// `"2"`.
    pub protocol_version: String,
    /// What it can do: `shell`, `pty`, `power`, `stdio` …
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// What of the protocol beyond its version it speaks.
    #[serde(default)]
    pub features: Vec<String>,
    /// Names the journal of finished commands. Another one means that the memory of what ran is lost.
    pub journal_id: String,
    /// How many records were ever appended to this journal and are on the disk; it never falls. A smaller number than one
    /// told before means that the machine was rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_position: Option<u64>,
    /// Names the agent's process: random at each start. Without it, a copy of a satellite is not told from the satellite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_id: Option<String>,
    /// The processes that wrote this journal before this one, the latest last. May leave out the oldest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_start_ids: Vec<String>,
    /// Names the machine's current boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// How many commands it takes at the same time, [`DEFAULT_CAPACITY`] unless given. Changes of power do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// The terminals it has, ended ones whose end is not acknowledged included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<SessionId>,
    /// The machine.
    pub system: SystemInfo,
}

/// The machine a satellite runs on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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

/// How the machine does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
    /// What is wrong with the satellite, for people: a disk that is full, for example.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// The answer to a handshake.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// The hive that answers; servers of earlier versions tell none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hive_id: Option<HiveId>,
    /// Why not.
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
