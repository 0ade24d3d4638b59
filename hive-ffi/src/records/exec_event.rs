//! What happens to running commands.

use hive_core::wire::{agent, api};

use super::CommandResult;
use super::command_result::bytes;
use crate::HiveError;

/// One of the output streams of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Channel {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Channel {
    /// Converts a channel; none for a kind that this version does not know.
    fn from_wire(channel: &agent::Channel) -> Option<Self> {
        match channel {
            agent::Channel::Stdout => Some(Self::Stdout),
            agent::Channel::Stderr => Some(Self::Stderr),
            // The enum of the binding is closed: in Swift, every `switch` over it is complete.
            agent::Channel::Unknown(_) => None,
        }
    }
}

impl From<Channel> for agent::Channel {
    fn from(channel: Channel) -> Self {
        match channel {
            Channel::Stdout => Self::Stdout,
            Channel::Stderr => Self::Stderr,
        }
    }
}

/// An event of a running command.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum ExecEvent {
    /// The command is durable.
    Accepted {
        /// The id of the satellite.
        satellite_id: String,
        /// The id of the command.
        command_id: String,
    },
    /// A chunk of output.
    Output {
        /// The id of the satellite.
        satellite_id: String,
        /// The output stream.
        channel: Channel,
        /// The offset of the first byte.
        offset: u64,
        /// The bytes.
        data: Vec<u8>,
    },
    /// The satellite's link was lost, or is restored. The command continues on the satellite.
    Link {
        /// The id of the satellite.
        satellite_id: String,
        /// Whether there is a link now.
        online: bool,
        /// Without a link, the seconds after which the outcome is unknown unless the satellite reports it.
        seconds_left: Option<u64>,
    },
    /// The command has ended on this satellite. All of its output was sent before.
    Exit {
        /// The result.
        result: CommandResult,
    },
}

impl ExecEvent {
    /// Converts an event; none for a kind that this version does not know.
    pub(crate) fn from_wire(event: api::ExecEvent) -> Result<Option<Self>, HiveError> {
        Ok(match event {
            api::ExecEvent::Accepted { satellite_id, command_id } => {
                Some(Self::Accepted { satellite_id: satellite_id.to_string(), command_id: command_id.to_string() })
            }
            api::ExecEvent::Output { satellite_id, channel, offset, data } => {
                // Output of an unknown channel is neither standard output nor standard error: it is left out.
                let Some(channel) = Channel::from_wire(&channel) else { return Ok(None) };
                Some(Self::Output { satellite_id: satellite_id.to_string(), channel, offset, data: bytes(&data)? })
            }
            api::ExecEvent::Link { satellite_id, online, seconds_left } => {
                Some(Self::Link { satellite_id: satellite_id.to_string(), online, seconds_left })
            }
            api::ExecEvent::Exit(result) => Some(Self::Exit { result: (*result).try_into()? }),
            api::ExecEvent::Unknown(_) => None,
        })
    }
}
