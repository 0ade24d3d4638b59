//! The first message of a link, and what the server's answer to it means.

use std::time::Duration;

use hive_wire::ErrorCode;
use hive_wire::agent::{Handshake, HandshakeAck, PROTOCOL_VERSION};
use tracing::warn;

use super::LinkEnd;
use crate::dispatch::Dispatch;
use crate::identity::Identity;
use crate::machine;
use crate::pty::Terminals;

/// The limits of what a server may ask for as its heartbeat interval.
const HEARTBEAT_INTERVALS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(1));

/// The first message of a link.
pub(crate) fn handshake(
    identity: &Identity,
    dispatch: &Dispatch,
    terminals: &Terminals,
    capabilities: &[String],
) -> Handshake {
    let (start_id, earlier_start_ids) = match dispatch.start_ids().split_last() {
        Some((this, earlier)) => (Some(this.clone()), earlier.to_vec()),
        None => (None, Vec::new()),
    };
    Handshake {
        agent_id: identity.satellite_id,
        version: env!("CARGO_PKG_VERSION").into(),
        protocol_version: PROTOCOL_VERSION.into(),
        capabilities: capabilities.to_vec(),
        features: Vec::new(),
        capacity: Some(dispatch.capacity()),
        journal_id: dispatch.journal_id().to_owned(),
        journal_position: Some(dispatch.journal_position()),
        start_id,
        earlier_start_ids,
        sessions: terminals.ids(),
        boot_id: dispatch.boot_id().map(Into::into),
        system: machine::system_info(),
    }
}

/// Checks the server's answer.
pub(crate) fn check_ack(ack: HandshakeAck) -> Result<HandshakeAck, LinkEnd> {
    if ack.success {
        return Ok(ack);
    }
    let error = ack.error.map(|error| (error.code, error.message));
    warn!(?error, "the server refused the handshake");
    Err(match error {
        Some((ErrorCode::AuthRequired | ErrorCode::AuthInvalid, _)) => LinkEnd::KeyRejected,
        Some((ErrorCode::Conflict, _)) => LinkEnd::IdentityConflict,
        Some((_, message)) => LinkEnd::lost(message),
        None => LinkEnd::lost("the server refused the handshake"),
    })
}

/// The server's heartbeat interval, within sensible limits.
pub(crate) fn heartbeat_interval(ack: &HandshakeAck) -> Duration {
    let (shortest, longest) = HEARTBEAT_INTERVALS;
    Duration::from_secs(ack.heartbeat_interval).clamp(shortest, longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_server_can_stop_the_heartbeat() {
        let check = |asked, expected| {
            let ack = HandshakeAck {
                success: true,
                protocol_version: PROTOCOL_VERSION.into(),
                server_time: hive_wire::Timestamp::from_micros(0),
                sent_at: None,
                heartbeat_interval: asked,
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
