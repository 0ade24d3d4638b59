//! The link to the server, kept up for as long as the agent runs.
//!
//! This module decides when to connect and what the end of a link means. [`websocket`] opens one and serves it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_tungstenite::Connector;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::backoff::{Backoff, Limits};
use crate::clock;
use crate::config::Config;
use crate::dispatch::Dispatch;
use crate::error::Error;
use crate::identity::Identity;
use crate::machine;
use crate::messages::{self, Language};
use crate::metrics::Counters;
use crate::protocol::LinkEnd;
use crate::protocol::handshake::handshake;
use crate::protocol::link::LinkProtocol;
use crate::pty::Terminals;
use crate::random;
use crate::registration::Enrolment;
use crate::status::{LinkState, Status};
use crate::transport::websocket::{self, Opened};

/// What keeps the link up.
pub(crate) struct Connection {
    dialer: websocket::Dialer,
    enrolment: Enrolment,
    identity: Identity,
    dispatch: Arc<Dispatch>,
    terminals: Arc<Terminals>,
    status: Arc<Status>,
    counters: Arc<Counters>,
    capabilities: Vec<String>,
    data_dir: PathBuf,
    language: Language,
    limits: Limits,
    was_ever_up: bool,
}

impl Connection {
    pub(crate) fn new(
        config: &Config,
        tls: Connector,
        (enrolment, identity): (Enrolment, Identity),
        dispatch: Arc<Dispatch>,
        terminals: Arc<Terminals>,
        status: Arc<Status>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            dialer: websocket::Dialer::new(config, tls),
            enrolment,
            identity,
            dispatch,
            terminals,
            status,
            counters,
            capabilities: machine::capabilities(&config.policy),
            data_dir: config.data_dir.clone(),
            language: config.language,
            limits: config.reconnect,
            was_ever_up: false,
        }
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Connects, again and again, until it is told to stop or the server refuses the satellite for good.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let mut backoff = Backoff::new(self.limits);
        loop {
            let end = self.attend_one_link(&mut backoff, &stop).await;
            self.counters.set_online(false);
            let roll = random::roll();
            let (delay, cause) = match end {
                LinkEnd::Stopped => return Ok(()),
                LinkEnd::KeyRejected => {
                    let cause = "the key is not accepted".to_owned();
                    self.status.link.send_replace(LinkState::Offline { retry_at: clock::now(), cause });
                    let enrolled = tokio::select! {
                        () = stop.cancelled() => return Ok(()),
                        enrolled = self.enrolment.verify(self.identity.clone()) => enrolled?,
                    };
                    self.status.registered(&enrolled);
                    self.identity = enrolled;
                    (backoff.next_delay(roll), "the key was not accepted".to_owned())
                }
                LinkEnd::NewKey(api_key) => {
                    self.enrolment.keep_new_key(&mut self.identity, api_key);
                    (Duration::ZERO, "the server gave this satellite a new key".to_owned())
                }
                LinkEnd::Replaced => {
                    warn!("{}", messages::identity_conflict(&self.data_dir, self.language));
                    (backoff.longest_delay(roll), "another agent took over".to_owned())
                }
                LinkEnd::IdentityConflict => {
                    error!("{}", messages::identity_conflict(&self.data_dir, self.language));
                    (
                        backoff.longest_delay(roll),
                        "identity_conflict: another agent is online as this satellite".to_owned(),
                    )
                }
                LinkEnd::Broken(cause) => (backoff.next_delay(roll), cause),
                LinkEnd::Lost { cause, retry_after } => (backoff.next_delay_after(retry_after, roll), cause),
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

    async fn attend_one_link(&mut self, backoff: &mut Backoff, stop: &CancellationToken) -> LinkEnd {
        self.status.link.send_replace(LinkState::Connecting);
        let handshake = handshake(&self.identity, &self.dispatch, &self.terminals, &self.capabilities);
        let key = self.identity.keys.first();
        let opening = self.dialer.open(&key, self.identity.hive_id, handshake);
        let opened = tokio::select! {
            () = stop.cancelled() => return LinkEnd::Stopped,
            opened = opening => opened,
        };
        let Opened { socket, heartbeat_interval, clock, hive_id } = match opened {
            Ok(opened) => opened,
            Err(end) => return end,
        };
        backoff.reset();
        self.enrolment.note_accepted(&mut self.identity, &key, hive_id);
        self.tell_online();
        let protocol = LinkProtocol::new(&self.dispatch, &self.terminals, &self.counters, clock);
        websocket::serve(protocol, socket, heartbeat_interval, stop).await
    }

    fn tell_online(&mut self) {
        if self.was_ever_up {
            self.counters.reconnected();
        }
        self.was_ever_up = true;
        self.counters.set_online(true);
        info!(satellite.id = %self.identity.satellite_id, "the satellite is online");
        self.status
            .link
            .send_replace(LinkState::Online { satellite_id: self.identity.satellite_id, since: clock::now() });
    }
}
