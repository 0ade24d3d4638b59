//! The open link of one satellite: receives and sends messages, and checks heartbeats. The hive handles the messages, and stores
//! what they report in a task of its own: this loop never waits for the store.

use hive_core::hive::AttachedSatellite;
use hive_core::link::{LinkEnd, Outgoing};
use hive_core::wire::agent::{ToAgent, ToServer};
use tokio::time::{Instant, sleep_until};

use super::close::LinkClose;
use super::socket::{Socket, SocketEvent, SocketMessage};
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
            let next_timer = self.next_timer();
            let is_writing = self.socket.write_until().is_some();
            // Not biased: a flood in one direction must not starve the other one.
            let step = tokio::select! {
                event = self.socket.next() => self.on_event(event),
                // The most urgent message, chosen when the socket can take it.
                outgoing = self.end.next(), if !is_writing => self.socket.start_send(outgoing),
                () = sleep_until(next_timer) => self.on_timer(),
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

    fn next_timer(&self) -> Instant {
        let next = self.ping_at.min(self.timeout_at());
        self.socket.write_until().map_or(next, |until| next.min(until))
    }

    fn on_event(&mut self, event: Result<SocketEvent, LinkClose>) -> Result<(), LinkClose> {
        let SocketEvent::Received(message) = event? else { return Ok(()) };
        self.last_received = Instant::now();
        match message {
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

    fn on_timer(&mut self) -> Result<(), LinkClose> {
        let now = Instant::now();
        if now >= self.timeout_at() {
            return Err(LinkClose::timeout("no heartbeat was received in time"));
        }
        // A satellite that does not read counts as disconnected.
        if self.socket.write_until().is_some_and(|until| now >= until) {
            return Err(LinkClose::ConnectionLost);
        }
        if now < self.ping_at {
            return Ok(());
        }
        // From now and not from the last due time: after a stall one ping is enough.
        self.ping_at = now + self.state.hive().settings().heartbeat_interval;
        let source = self.state.hive().source();
        let ping = ToAgent::HeartbeatPing { timestamp: source.now(), sent_at: Some(source.steady()) };
        // Through the lanes, because a message may be on its way. A link that is closed says so by itself.
        self.end.send(Outgoing::Control(ping)).ok();
        Ok(())
    }
}
