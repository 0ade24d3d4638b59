//! A fake satellite: says what a test tells it to say, expects what a test expects, and can answer by itself as an agent would.
//!
//! What it answers is decided without I/O, by [`FakeTerminals`] and [`FakeCommands`]. It speaks over any [`SatelliteLink`]: a
//! WebSocket ([`WebSocketLink`]), or the link in memory of hive-core's unit tests. What it is outlives its links, as with an agent.

mod commands;
mod link;
mod messages;
mod terminals;
mod websocket;

use bytes::Bytes;
use hive_wire::agent::{Channel, Command, Handshake, ToAgent, ToServer};
use hive_wire::api::{CommandStatus, SessionEnd};
use hive_wire::frame::{Frame, StreamId};
use hive_wire::{CommandId, SatelliteId, SessionId};
use tokio::time::timeout;

use crate::message::{FromHive, FromSatellite};
use crate::wait::PATIENCE;

pub use commands::FakeCommands;
pub use link::{ClosedByHive, SatelliteLink};
pub use messages::{exited, handshake, pong, result_of};
pub use terminals::{FakeTerminal, FakeTerminals};
pub use websocket::WebSocketLink;

/// A satellite with its link, when it has one.
pub struct FakeSatellite<L> {
    /// Which.
    pub id: SatelliteId,
    /// Its API key.
    pub key: String,
    /// Its sessions.
    pub terminals: FakeTerminals,
    /// The commands that it ran by itself.
    pub commands: FakeCommands,
    link: Option<L>,
}

impl<L: SatelliteLink> FakeSatellite<L> {
    /// Makes one that has never had a link.
    pub fn new(id: SatelliteId, key: impl Into<String>) -> Self {
        let (terminals, commands) = (FakeTerminals::default(), FakeCommands::default());
        Self { id, key: key.into(), terminals, commands, link: None }
    }

    /// Puts it on its first link.
    #[must_use]
    pub fn on(self, link: L) -> Self {
        Self { link: Some(link), ..self }
    }

    /// Its next handshake.
    pub fn handshake(&self, journal: &str) -> Handshake {
        Handshake { sessions: self.terminals.ids(), ..handshake(self.id, journal) }
    }

    /// Goes on over a new link, whose handshake is done. An earlier link is dropped.
    pub async fn relink(&mut self, link: L) {
        self.link = Some(link);
        self.commands.relink();
        let messages = self.terminals.relink();
        self.send_all(messages).await;
    }

    /// Cuts the link. The messages on it are lost.
    pub fn cut(&mut self) {
        self.link = None;
        self.terminals.unlink();
    }

    /// Its link.
    pub fn link(&mut self) -> &mut L {
        self.link.as_mut().expect("the satellite has a link")
    }

    /// Sends a message; panics where it is refused.
    pub async fn send(&mut self, message: impl Into<FromSatellite>) {
        self.try_send(message).await.unwrap();
    }

    /// Sends a message that may be refused.
    pub async fn try_send(&mut self, message: impl Into<FromSatellite>) -> Result<(), L::Refusal> {
        let link = self.link();
        link.feed(message.into()).await?;
        link.flush().await
    }

    /// Sends these, and nothing where there is no link.
    async fn send_all(&mut self, messages: Vec<FromSatellite>) {
        self.try_send_all(messages).await.unwrap();
    }

    async fn try_send_all(&mut self, messages: Vec<FromSatellite>) -> Result<(), L::Refusal> {
        // A test may end a session while the satellite is away; the messages are said at the next link.
        let Some(link) = &mut self.link else { return Ok(()) };
        for message in messages {
            link.feed(message).await?;
        }
        link.flush().await
    }

    /// The next message; panics where the link ends. Cancel-safe.
    pub async fn next(&mut self) -> FromHive {
        let next = timeout(PATIENCE, self.try_next()).await;
        next.expect("the hive sends a message").expect("the link stays")
    }

    /// The next message, or how the link has ended. Cancel-safe.
    pub async fn try_next(&mut self) -> Result<FromHive, ClosedByHive> {
        self.link().next().await
    }

    /// The next control message; panics at a frame.
    pub async fn next_control(&mut self) -> ToAgent {
        match self.next().await {
            FromHive::Control(message) => message,
            FromHive::Frame(frame) => panic!("a frame: {frame:?}"),
        }
    }

    /// Waits for the end of the link. Returns the code that the hive closed it with.
    pub async fn closed(&mut self) -> Option<u16> {
        let closed = async {
            loop {
                if let Err(closed) = self.try_next().await {
                    return closed.code;
                }
            }
        };
        timeout(PATIENCE, closed).await.expect("the link is closed")
    }

    /// The messages that are here already. Over a network there may be more on their way.
    pub async fn sent_so_far(&mut self) -> Vec<FromHive> {
        let mut sent = Vec::new();
        while let Some(message) = self.next_if_ready().await {
            sent.push(message.expect("the link stays"));
        }
        sent
    }

    async fn next_if_ready(&mut self) -> Option<Result<FromHive, ClosedByHive>> {
        let link = self.link.as_mut()?;
        tokio::select! {
            biased;
            message = link.next() => Some(message),
            () = tokio::task::yield_now() => None,
        }
    }
}

/// Commands, as a test tells it to run them.
impl<L: SatelliteLink> FakeSatellite<L> {
    /// The command that comes next; panics at another message.
    pub async fn command(&mut self) -> Command {
        match self.next_control().await {
            ToAgent::Command(command) => *command,
            other => panic!("not a command: {other:?}"),
        }
    }

    /// What comes next beside commands, which around the opening of a link may come twice.
    pub async fn next_message(&mut self) -> ToAgent {
        loop {
            match self.next_control().await {
                ToAgent::Command(_) => {}
                message => return message,
            }
        }
    }

    /// The next acknowledgement of a result. Around the opening of a link a command may come twice.
    pub async fn acknowledged(&mut self) -> CommandId {
        match self.next_message().await {
            ToAgent::ResultAck { id } => id,
            other => panic!("not an acknowledgement: {other:?}"),
        }
    }

    /// Sends all the rest of a command's standard output.
    pub async fn send_output(&mut self, id: CommandId, offset: u64, bytes: &'static [u8]) {
        let stream = StreamId(1);
        self.send(ToServer::StreamOpen { stream, command_id: id, channel: Channel::Stdout, offset }).await;
        self.send(Frame::data(stream, offset, Bytes::from_static(bytes), true)).await;
    }

    /// Sends the end of a command.
    pub async fn finish(&mut self, id: CommandId, status: CommandStatus, exit_code: i32, stdout: u64) {
        self.send(ToServer::CommandResult(result_of(id, status, exit_code, stdout))).await;
    }
}

/// Answers by itself, as an agent would.
impl<L: SatelliteLink> FakeSatellite<L> {
    /// Answers a message: a heartbeat, a command, or one about a session.
    pub async fn react(&mut self, message: &FromHive) -> Result<(), L::Refusal> {
        let mut messages = self.terminals.on_message(message);
        messages.extend(self.commands.on_message(message));
        if let FromHive::Control(ToAgent::HeartbeatPing { timestamp, .. }) = message {
            messages.push(pong(*timestamp).into());
        }
        self.try_send_all(messages).await
    }

    /// Answers messages until it is dropped; panics where the link ends.
    pub async fn serve(&mut self) {
        loop {
            let message = self.try_next().await.expect("the link stays");
            self.react(&message).await.unwrap();
        }
    }

    /// Answers messages until `work` is done.
    pub async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            // Nothing can come without a link, and the work may be what opens one.
            let Some(link) = &mut self.link else { return work.await };
            let message = tokio::select! {
                // The work goes first, so that the state of the satellite is that of the moment when the work was done.
                biased;
                done = &mut work => return done,
                message = link.next() => message,
            };
            self.react_or_cut(message).await;
        }
    }

    /// Answers messages until a condition holds; panics where the link ends.
    pub async fn until(&mut self, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            let message = self.next().await;
            self.react(&message).await.unwrap();
        }
    }

    /// Answers the messages that are here already. Over a network there may be more on their way.
    pub async fn wait_until_idle(&mut self) {
        while let Some(message) = self.next_if_ready().await {
            self.react_or_cut(message).await;
        }
    }

    async fn react_or_cut(&mut self, message: Result<FromHive, ClosedByHive>) {
        match message {
            Ok(message) => self.react(&message).await.unwrap(),
            Err(_) => self.cut(),
        }
    }

    /// A session that it has.
    pub fn terminal(&self, id: SessionId) -> &FakeTerminal {
        self.terminals.get(id)
    }

    /// Lets the program of a session write as much as the flow control allows. Returns the number of bytes.
    pub async fn print(&mut self, id: SessionId, bytes: &[u8]) -> usize {
        let (count, messages) = self.terminals.print(id, bytes);
        self.send_all(messages).await;
        count
    }

    /// Ends the program of a session, after all its output.
    pub async fn exit(&mut self, id: SessionId, end: SessionEnd) {
        let messages = self.terminals.exit(id, end);
        self.send_all(messages).await;
    }
}
