//! The loop of one satellite's link: bytes in, bytes out, heartbeats. What the messages mean is the hive's to say.
//!
//! What handles a message lives in a box of its own: the future of an idle link must not keep room for it.

use hive_core::hive::Attached;
use hive_core::link::{LinkEnd, Outgoing};
use hive_core::wire::agent::{ToAgent, ToServer};
use hive_core::wire::frame::{Frame, FrameKind};
use tokio::time::{Instant, sleep_until};

use super::close::Ending;
use super::socket::{Incoming, Socket};
use crate::state::AppState;

/// A satellite that is attached.
pub(super) struct Link {
    state: AppState,
    socket: Socket,
    attached: Attached,
    end: LinkEnd,
    heard: Instant,
    ping_at: Instant,
}

impl Link {
    pub(super) fn new(state: AppState, socket: Socket, attached: Attached, end: LinkEnd) -> Self {
        let now = Instant::now();
        let ping_at = now + state.hive().settings().heartbeat_interval;
        Self { state, socket, attached, end, heard: now, ping_at }
    }

    /// Moves messages until either side ends the link.
    pub(super) async fn run(mut self) {
        let ending = loop {
            let look_at = self.ping_at.min(self.silent_at());
            let step = tokio::select! {
                incoming = self.socket.receive() => self.on_incoming(incoming).await,
                outgoing = self.end.next() => self.socket.pass_on(outgoing).await,
                () = sleep_until(look_at) => self.on_time().await,
            };
            if let Err(ending) = step {
                break ending;
            }
        };
        let Self { state, socket, attached, .. } = self;
        // The satellite is offline from now on, however long its socket takes to close.
        drop(attached);
        socket.end(ending, state.spread_ms()).await;
    }

    fn silent_at(&self) -> Instant {
        self.heard + self.state.hive().settings().heartbeat_timeout
    }

    async fn on_incoming(&mut self, incoming: Result<Incoming, Ending>) -> Result<(), Ending> {
        let handled = match incoming? {
            Incoming::Control(message) => self.on_control(message).await,
            Incoming::Frame(frame) => self.on_frame(frame).await,
            Incoming::Alive => Ok(()),
        };
        // Behind the handling: the satellite is not silent while it waits for us.
        self.heard = Instant::now();
        handled
    }

    async fn on_control(&mut self, message: ToServer) -> Result<(), Ending> {
        match message {
            ToServer::Handshake(_) => Err(Ending::protocol("a second handshake")),
            ToServer::Disconnect { .. } => Err(Ending::goodbye()),
            message => Ok(Box::pin(self.attached.on_control(message)).await?),
        }
    }

    async fn on_frame(&mut self, frame: Frame) -> Result<(), Ending> {
        match frame.kind {
            FrameKind::Data => Ok(Box::pin(self.attached.on_frame(frame)).await?),
            _ => Ok(()),
        }
    }

    async fn on_time(&mut self) -> Result<(), Ending> {
        let now = Instant::now();
        if now >= self.silent_at() {
            return Err(Ending::timeout("no heartbeat came in time"));
        }
        if now < self.ping_at {
            return Ok(());
        }
        self.ping_at = now + self.state.hive().settings().heartbeat_interval;
        let source = self.state.hive().source();
        let ping = ToAgent::HeartbeatPing { timestamp: source.now(), sent_at: Some(source.steady()) };
        self.socket.send(Outgoing::Control(ping)).await
    }
}
