//! The lane of each message to a satellite.
//!
//! Control messages come first, then sessions with their keystrokes, then commands, then commands with a large payload. Within a
//! lane the order is that of sending. The messages of a session share a lane: a request, the credit behind it, the size, the
//! writer and the input reach the satellite in this order. A cancel and an acknowledgement come behind the command they concern:
//! see [`super::ChannelLink`].

use hive_wire::CommandId;
use hive_wire::agent::{Command, Payload, ToAgent};
use hive_wire::stream::Lane;

use super::Outgoing;

/// The payload from which on a command counts as large, in bytes. A slow line of 1 Mbit/s sends as much in 130 ms.
const LARGE: usize = 16 * 1024;

impl Outgoing {
    /// Returns the lane of the message.
    pub fn lane(&self) -> Lane {
        match self {
            Self::Frame(_) => Lane::Interactive,
            Self::Control(message) => match message {
                ToAgent::PtyStart(_)
                | ToAgent::PtyAttach { .. }
                | ToAgent::PtyFlow { .. }
                | ToAgent::PtyWriter { .. }
                | ToAgent::PtyResize { .. }
                | ToAgent::PtyEnd { .. }
                | ToAgent::PtyEndAck { .. } => Lane::Interactive,
                ToAgent::Command(command) => of_payload(&command.payload),
                ToAgent::CommandCancel { .. }
                | ToAgent::ResultAck { .. }
                | ToAgent::StreamCredit { .. }
                // Behind the cancels: the satellite leaves the link when it has read it.
                | ToAgent::RotateKey { .. }
                | ToAgent::Disconnect { .. } => Lane::Commands,
                _ => Lane::Control,
            },
        }
    }

    /// Returns the command that the message is.
    pub(super) fn command(&self) -> Option<&Command> {
        match self {
            Self::Control(ToAgent::Command(command)) => Some(command),
            _ => None,
        }
    }

    /// Returns the command behind which the message must stay.
    pub(super) fn follows_command(&self) -> Option<CommandId> {
        match self {
            Self::Control(ToAgent::CommandCancel { id } | ToAgent::ResultAck { id }) => Some(*id),
            _ => None,
        }
    }
}

/// Returns the lane of a command with this payload.
pub(crate) fn of_payload(payload: &Payload) -> Lane {
    if size(payload) > LARGE { Lane::Bulk } else { Lane::Commands }
}

/// About how many bytes of text a payload has.
fn size(payload: &Payload) -> usize {
    let Payload::Exec(spec) = payload else { return 0 };
    let args = spec.args.iter().flatten().map(String::len).sum::<usize>();
    let env = spec.env.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    spec.command.len() + args + env + spec.stdin.as_ref().map_or(0, String::len)
}
