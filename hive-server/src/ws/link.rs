//! The open link of one satellite: receives and sends messages, and checks heartbeats. The hive handles the messages, and stores
//! what they report in a task of its own: this loop never waits for the store.

use hive_core::hive::AttachedSatellite;
use hive_core::link::{LinkEnd, Outgoing};
use hive_core::wire::agent::{ToAgent, ToServer};
use tokio::time::{Instant, sleep_until};

use super::close::LinkClose;
use super::socket::{Socket, SocketMessage};
use crate::state::AppState;

/// The link of an attached satellite.
pub(super) struct Link {
    state: AppState,
    socket: Socket,
    attached: AttachedSatellite,
    end: LinkEnd,
    last_received: Instant,
    ping_at: Instant,
}

impl Link {
    pub(super) fn new(state: AppState, socket: Socket, attached: AttachedSatellite, end: LinkEnd) -> Self {
        let now = Instant::now();
        let ping_at = now + state.hive().settings().heartbeat_interval;
        Self { state, socket, attached, end, last_received: now, ping_at }
    }

    /// Forwards messages until either side closes the link.
    pub(super) async fn run(mut self) {
        let close = loop {
            let next_timer = self.ping_at.min(self.timeout_at());
            // Not biased: a flood in one direction must not starve the other one.
            let step = tokio::select! {
                incoming = self.socket.receive() => self.on_incoming(incoming),
                outgoing = self.end.next() => self.socket.forward(outgoing).await,
                () = sleep_until(next_timer) => self.on_timer().await,
            };
            if let Err(close) = step {
                break close;
            }
        };
        let Self { state, socket, attached, .. } = self;
        // Before the close handshake, which may take a second: the satellite is offline from now on.
        drop(attached);
        socket.close(close, state.reconnect_jitter_ms()).await;
    }

    fn timeout_at(&self) -> Instant {
        self.last_received + self.state.hive().settings().heartbeat_timeout
    }

    fn on_incoming(&mut self, incoming: Result<SocketMessage, LinkClose>) -> Result<(), LinkClose> {
        self.last_received = Instant::now();
        match incoming? {
            SocketMessage::Control(message) => self.on_control(message),
            SocketMessage::Frame(frame) => Ok(self.attached.accept_frame(frame)?),
            SocketMessage::KeepAlive => Ok(()),
        }
    }

    fn on_control(&mut self, message: ToServer) -> Result<(), LinkClose> {
        match message {
            ToServer::Handshake(_) => Err(LinkClose::protocol("a second handshake")),
            ToServer::Disconnect { .. } => Err(LinkClose::normal()),
            message => Ok(self.attached.accept_control(message)?),
        }
    }

    async fn on_timer(&mut self) -> Result<(), LinkClose> {
        let now = Instant::now();
        if now >= self.timeout_at() {
            return Err(LinkClose::timeout("no heartbeat was received in time"));
        }
        if now < self.ping_at {
            return Ok(());
        }
        // From now and not from the last due time: after a stall one ping is enough.
        self.ping_at = now + self.state.hive().settings().heartbeat_interval;
        let source = self.state.hive().source();
        let ping = ToAgent::HeartbeatPing { timestamp: source.now(), sent_at: Some(source.steady()) };
        self.socket.send(Outgoing::Control(ping)).await
    }
}
