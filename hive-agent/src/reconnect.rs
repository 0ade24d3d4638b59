//! Keeps a link to the server open for as long as the agent runs.
//!
//! This module decides when to connect and what follows from the end of a link. [`websocket`] opens a link and serves
//! it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hive_wire::backoff::{Backoff, BackoffLimits};
use tokio_tungstenite::Connector;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::clock;
use crate::config::AgentConfig;
use crate::dispatcher::Dispatcher;
use crate::error::Error;
use crate::identity::AgentIdentity;
use crate::language::Language;
use crate::machine;
use crate::messages;
use crate::metrics::Counters;
use crate::protocol::DisconnectReason;
use crate::protocol::handshake::handshake;
use crate::protocol::link::LinkProtocol;
use crate::pty::AgentSessions;
use crate::random;
use crate::registration::Registrar;
use crate::status::{AgentStatus, LinkState};
use crate::transport::websocket::{self, EstablishedLink};

/// Opens one link after the other.
pub(crate) struct ReconnectLoop {
    dialer: websocket::Dialer,
    registrar: Registrar,
    identity: AgentIdentity,
    dispatcher: Arc<Dispatcher>,
    sessions: Arc<AgentSessions>,
    status: Arc<AgentStatus>,
    counters: Arc<Counters>,
    capabilities: Vec<String>,
    data_dir: PathBuf,
    language: Language,
    backoff_limits: BackoffLimits,
    has_been_online: bool,
}

impl ReconnectLoop {
    pub(crate) fn new(
        config: &AgentConfig,
        tls: Connector,
        (registrar, identity): (Registrar, AgentIdentity),
        dispatcher: Arc<Dispatcher>,
        sessions: Arc<AgentSessions>,
        status: Arc<AgentStatus>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            dialer: websocket::Dialer::new(config, tls),
            registrar,
            identity,
            dispatcher,
            sessions,
            status,
            counters,
            capabilities: machine::capabilities(&config.policy),
            data_dir: config.data_dir.clone(),
            language: config.language,
            backoff_limits: config.reconnect,
            has_been_online: false,
        }
    }

    pub(crate) fn identity(&self) -> &AgentIdentity {
        &self.identity
    }

    /// Connects repeatedly until `stop` is cancelled or the server refuses the satellite permanently.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let mut backoff = Backoff::new(self.backoff_limits);
        loop {
            let reason = self.run_link(&mut backoff, &stop).await;
            self.counters.set_online(false);
            let jitter = random::fraction();
            let (delay, cause) = match reason {
                DisconnectReason::Stopped => return Ok(()),
                DisconnectReason::KeyRejected => {
                    let cause = "the key is not accepted".to_owned();
                    // Verification may take hours, and the status must not stay at "connecting" meanwhile.
                    self.status.link.send_replace(LinkState::Offline { retry_at: clock::now(), cause });
                    let verified = tokio::select! {
                        () = stop.cancelled() => return Ok(()),
                        verified = self.registrar.verify(self.identity.clone()) => verified?,
                    };
                    self.status.set_registration(&verified);
                    self.identity = verified;
                    // A hive that accepts a key over HTTPS and rejects it on the link must not be called in a tight
                    // loop.
                    (backoff.next_delay(jitter), "the key was not accepted".to_owned())
                }
                DisconnectReason::NewKey(api_key) => {
                    self.registrar.keep_new_key(&mut self.identity, api_key);
                    // The server closes links that still use the old key, so the new one is used at once.
                    (Duration::ZERO, "the server issued a new key".to_owned())
                }
                DisconnectReason::Replaced => {
                    warn!("{}", messages::identity_conflict(&self.data_dir, self.language));
                    // Two agents with one identity would otherwise evict each other continuously.
                    (backoff.longest_delay(jitter), "another agent took over".to_owned())
                }
                DisconnectReason::IdentityConflict => {
                    error!("{}", messages::identity_conflict(&self.data_dir, self.language));
                    (
                        backoff.longest_delay(jitter),
                        "identity_conflict: another agent is online as this satellite".to_owned(),
                    )
                }
                // Not at once: a server that repeats the message would be dialled in a tight loop.
                DisconnectReason::ProtocolViolation(cause) => (backoff.next_delay(jitter), cause),
                DisconnectReason::Lost { cause, retry_after } => (backoff.next_delay_after(retry_after, jitter), cause),
            };
            warn!(retry_in_ms = delay.as_millis() as u64, "no link to the server: {cause}");
            let retry_at = clock::now().plus(delay);
            self.status.link.send_replace(LinkState::Offline { retry_at, cause });
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    async fn run_link(&mut self, backoff: &mut Backoff, stop: &CancellationToken) -> DisconnectReason {
        self.status.link.send_replace(LinkState::Connecting);
        let handshake = handshake(&self.identity, &self.dispatcher, &self.sessions, &self.capabilities);
        // Kept, because the identity may get a new key before the handshake is noted below.
        let key = self.identity.keys.first();
        let opening = self.dialer.open(&key, self.identity.hive_id, handshake);
        let established = tokio::select! {
            () = stop.cancelled() => return DisconnectReason::Stopped,
            established = opening => established,
        };
        let EstablishedLink { socket, heartbeat_interval, clock, hive_id } = match established {
            Ok(established) => established,
            Err(reason) => return reason,
        };
        // Only a completed handshake resets the delay: a server that accepts connections and then fails is not dialled
        // faster.
        backoff.reset();
        self.registrar.note_accepted(&mut self.identity, &key, hive_id);
        self.report_online();
        let (protocol, checks) = LinkProtocol::new(&self.dispatcher, &self.sessions, &self.counters, clock);
        websocket::serve(protocol, checks, socket, heartbeat_interval, stop).await
    }

    fn report_online(&mut self) {
        if self.has_been_online {
            self.counters.reconnected();
        }
        self.has_been_online = true;
        self.counters.set_online(true);
        info!(satellite.id = %self.identity.satellite_id, "the satellite is online");
        self.status
            .link
            .send_replace(LinkState::Online { satellite_id: self.identity.satellite_id, since: clock::now() });
    }
}
