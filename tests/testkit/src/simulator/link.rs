//! One link of a simulated satellite, from the connection to its end.

use std::time::Duration;

use hive_core::wire::agent::{Handshake, SystemInfo, ToAgent, ToServer, close};
use hive_test_peers::FromHive;
use hive_test_peers::satellite::{ClosedByHive, WebSocketLink};
use hyper::header::RETRY_AFTER;
use hyper::{HeaderMap, StatusCode};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error;

use super::satellite::{MAX_RETRY_AFTER, SimulatedSatellite};

/// How long each step of opening a link may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many heartbeat intervals the server may be silent.
const MISSED_HEARTBEATS: u32 = 3;

/// Why a link, or the attempt to open one, ended.
#[derive(Debug)]
pub(super) enum SimulatedLinkEnd {
    KeyRejected,
    Replaced,
    Lost { retry_after: Duration },
}

impl SimulatedLinkEnd {
    const LOST: Self = Self::Lost { retry_after: Duration::ZERO };

    fn told(retry_after: Duration) -> Self {
        Self::Lost { retry_after: retry_after.min(MAX_RETRY_AFTER) }
    }
}

impl From<Error> for SimulatedLinkEnd {
    fn from(error: Error) -> Self {
        match error {
            Error::Http(answer) if answer.status() == StatusCode::UNAUTHORIZED => Self::KeyRejected,
            Error::Http(answer) => Self::told(retry_after(answer.headers())),
            _ => Self::LOST,
        }
    }
}

impl From<ClosedByHive> for SimulatedLinkEnd {
    fn from(closed: ClosedByHive) -> Self {
        match closed.code {
            Some(close::AUTH_FAILED) => Self::KeyRejected,
            Some(close::REPLACED) => Self::Replaced,
            _ => Self::LOST,
        }
    }
}

fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    seconds.map_or(Duration::ZERO, Duration::from_secs)
}

async fn within<T>(step: impl Future<Output = T>) -> Result<T, SimulatedLinkEnd> {
    timeout(PATIENCE, step).await.map_err(|_| SimulatedLinkEnd::LOST)
}

fn told_to_leave(retry_after_ms: Option<u64>) -> SimulatedLinkEnd {
    SimulatedLinkEnd::told(Duration::from_millis(retry_after_ms.unwrap_or(0)))
}

impl SimulatedSatellite {
    /// Connects and shakes hands. Returns how long the server may be silent.
    pub(super) async fn open_link(&mut self) -> Result<Duration, SimulatedLinkEnd> {
        let link = within(WebSocketLink::dial(&self.address, &self.satellite.key)).await??;
        self.satellite.relink(link).await;
        self.satellite.try_send(ToServer::Handshake(Box::new(self.handshake()))).await?;
        loop {
            match within(self.satellite.try_next()).await?? {
                FromHive::Control(ToAgent::HandshakeAck(ack)) if ack.success => {
                    return Ok(Duration::from_secs(ack.heartbeat_interval.clamp(1, 3600)) * MISSED_HEARTBEATS);
                }
                FromHive::Control(ToAgent::Disconnect { retry_after_ms, .. }) => {
                    return Err(told_to_leave(retry_after_ms));
                }
                _ => {}
            }
        }
    }

    /// Serves the link until it ends.
    pub(super) async fn serve(&mut self, patience: Duration) -> SimulatedLinkEnd {
        loop {
            let Ok(message) = timeout(patience, self.satellite.try_next()).await else { return SimulatedLinkEnd::LOST };
            let step = match message {
                Ok(message) => self.on_message(message).await,
                Err(closed) => Err(closed.into()),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn on_message(&mut self, message: FromHive) -> Result<(), SimulatedLinkEnd> {
        match &message {
            FromHive::Control(ToAgent::HeartbeatPing { .. }) => self.count(|tally| tally.heartbeats += 1),
            FromHive::Control(ToAgent::Command(command)) => {
                let is_repeat = self.satellite.commands.has_run(command.id);
                self.count(|tally| if is_repeat { tally.repeats += 1 } else { tally.runs += 1 });
            }
            FromHive::Control(ToAgent::RotateKey { api_key }) => {
                self.satellite.key.clone_from(&api_key.0);
                // As an agent does: it connects again with the new key.
                return Err(SimulatedLinkEnd::LOST);
            }
            FromHive::Control(ToAgent::Disconnect { retry_after_ms, .. }) => {
                return Err(told_to_leave(*retry_after_ms));
            }
            _ => {}
        }
        Ok(self.satellite.react(&message).await?)
    }

    fn handshake(&self) -> Handshake {
        let name = self.satellite.id.to_string();
        let system = SystemInfo { hostname: name.clone(), os: "linux".into(), ..SystemInfo::default() };
        Handshake { capabilities: vec!["shell".into()], system, ..self.satellite.handshake(&name) }
    }
}
