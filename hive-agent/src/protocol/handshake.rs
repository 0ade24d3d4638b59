//! The first message of a link, and the meaning of the server's answer.

use std::time::Duration;

use hive_wire::ErrorCode;
use hive_wire::agent::{Handshake, HandshakeAck, PROTOCOL_VERSION};
use tracing::warn;

use super::DisconnectReason;
use crate::dispatcher::Dispatcher;
use crate::identity::AgentIdentity;
use crate::machine;
use crate::pty::AgentSessions;

/// The shortest and the longest heartbeat interval that is accepted from a server.
const HEARTBEAT_INTERVALS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(1));

/// Builds the first message of a link.
pub(crate) fn handshake(
    identity: &AgentIdentity,
    dispatcher: &Dispatcher,
    sessions: &AgentSessions,
    capabilities: &[String],
) -> Handshake {
    // The server uses the earlier ids to tell a restarted agent from a copy of its data directory.
    let (start_id, earlier_start_ids) = match dispatcher.start_ids().split_last() {
        Some((this, earlier)) => (Some(this.clone()), earlier.to_vec()),
        None => (None, Vec::new()),
    };
    Handshake {
        agent_id: identity.satellite_id,
        version: env!("CARGO_PKG_VERSION").into(),
        protocol_version: PROTOCOL_VERSION.into(),
        capabilities: capabilities.to_vec(),
        features: Vec::new(),
        capacity: Some(dispatcher.capacity()),
        journal_id: dispatcher.journal_id().to_owned(),
        journal_position: Some(dispatcher.journal_position()),
        start_id,
        earlier_start_ids,
        sessions: sessions.ids(),
        boot_id: dispatcher.boot_id().map(Into::into),
        system: machine::system_info(),
    }
}

/// Checks whether the server accepted the handshake.
pub(crate) fn check_ack(ack: HandshakeAck) -> Result<HandshakeAck, DisconnectReason> {
    if ack.success {
        return Ok(ack);
    }
    let error = ack.error.map(|error| (error.code, error.message));
    warn!(?error, "the server refused the handshake");
    Err(match error {
        // The same as a 401 at the upgrade: the registrar verifies the key over HTTPS before it is set aside.
        Some((ErrorCode::AuthRequired | ErrorCode::AuthInvalid, _)) => DisconnectReason::KeyRejected,
        Some((ErrorCode::Conflict, _)) => DisconnectReason::IdentityConflict,
        Some((_, message)) => DisconnectReason::lost(message),
        None => DisconnectReason::lost("the server refused the handshake"),
    })
}

/// The server's heartbeat interval, clamped to [`HEARTBEAT_INTERVALS`].
pub(crate) fn heartbeat_interval(ack: &HandshakeAck) -> Duration {
    let (shortest, longest) = HEARTBEAT_INTERVALS;
    Duration::from_secs(ack.heartbeat_interval).clamp(shortest, longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_server_can_stop_the_heartbeat() {
        let check = |requested, expected| {
            let ack = HandshakeAck {
                success: true,
                protocol_version: PROTOCOL_VERSION.into(),
                server_time: hive_wire::Timestamp::from_micros(0),
                sent_at: None,
                heartbeat_interval: requested,
                hive_id: None,
                error: None,
            };
            assert_eq!(heartbeat_interval(&ack).as_secs(), expected);
        };
        check(0, 1);
        check(30, 30);
        check(u64::MAX, 3600);
    }
}
