//! How a hive reaches one satellite.

use async_trait::async_trait;
use bytes::Bytes;
use hive_wire::agent::{ToAgent, close};
use hive_wire::frame::Frame;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::sync::lock;

/// One message to a satellite.
#[derive(Debug, Clone, PartialEq)]
pub enum Outgoing {
    /// A control message.
    Control(ToAgent),
    /// Data.
    Frame(Frame),
}

impl Outgoing {
    /// The message as bytes and whether they are text: JSON for control, the frame's own bytes for data.
    pub fn encode(&self) -> (bool, Bytes) {
        match self {
            Self::Control(message) => {
                (true, serde_json::to_vec(message).expect("control messages are plain data").into())
            }
            Self::Frame(frame) => (false, frame.encode()),
        }
    }
}

impl From<ToAgent> for Outgoing {
    fn from(message: ToAgent) -> Self {
        Self::Control(message)
    }
}

impl From<Frame> for Outgoing {
    fn from(frame: Frame) -> Self {
        Self::Frame(frame)
    }
}

/// Why a link ends, as the satellite is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// A WebSocket close code, see [`hive_wire::agent::close`].
    pub code: u16,
    /// For people.
    pub reason: String,
    /// The shortest time before the next attempt, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl From<&Error> for Close {
    /// The end of a link by an error of the hive or of its satellite.
    fn from(error: &Error) -> Self {
        let code = match error {
            // Errors of the server: the satellite keeps its key and reconnects later.
            Error::Unavailable(_)
            | Error::Internal(_)
            | Error::Corrupt(_)
            | Error::RateLimited { .. }
            | Error::QueueFull { .. } => close::OVERLOADED,
            Error::AuthInvalid | Error::AuthRequired | Error::SatelliteNotFound(_) | Error::Forbidden(_) => {
                close::AUTH_FAILED
            }
            Error::Conflict(_) => close::IDENTITY_CONFLICT,
            _ => close::PROTOCOL_ERROR,
        };
        Self { code, reason: error.to_string(), retry_after_ms: None }
    }
}

/// The link cannot take the message: it is closed, or its satellite does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the link takes no more messages")]
pub struct LinkClosed;

/// The way to one satellite.
#[async_trait]
pub trait AgentLink: Send + Sync {
    /// Hands over a message without waiting. A link whose satellite does not read is closed, not waited for.
    fn send(&self, message: Outgoing) -> Result<(), LinkClosed>;

    /// Waits until at least half of the room for messages is free: for those who have many to send.
    async fn ready(&self) -> Result<(), LinkClosed>;

    /// Ends the link; what was handed over before is still delivered where the satellite reads.
    fn close(&self, close: Close);
}

/// A link over a bounded channel: one end for the hive, the other for whoever moves the bytes.
#[derive(Debug)]
pub struct ChannelLink {
    outgoing: mpsc::Sender<Outgoing>,
    /// Wakes one of those who wait for room; whoever finds it wakes the next.
    room: Notify,
    closing: CancellationToken,
    close: std::sync::Mutex<Option<Close>>,
}

/// The other end of a [`ChannelLink`].
#[derive(Debug)]
pub struct LinkEnd {
    outgoing: mpsc::Receiver<Outgoing>,
    link: std::sync::Arc<ChannelLink>,
}

impl ChannelLink {
    /// Messages a satellite may owe; then its link is closed.
    pub const CAPACITY: usize = 256;

    /// A link and its other end.
    pub fn pair() -> (std::sync::Arc<Self>, LinkEnd) {
        let (sender, outgoing) = mpsc::channel(Self::CAPACITY);
        let link = std::sync::Arc::new(Self {
            outgoing: sender,
            room: Notify::new(),
            closing: CancellationToken::new(),
            close: std::sync::Mutex::new(None),
        });
        (link.clone(), LinkEnd { outgoing, link })
    }

    fn has_room(&self) -> bool {
        self.outgoing.capacity() >= Self::CAPACITY / 2
    }
}

#[async_trait]
impl AgentLink for ChannelLink {
    fn send(&self, message: Outgoing) -> Result<(), LinkClosed> {
        if self.closing.is_cancelled() {
            return Err(LinkClosed);
        }
        self.outgoing.try_send(message).map_err(|error| {
            if let mpsc::error::TrySendError::Full(_) = error {
                self.close(Close {
                    code: close::OVERLOADED,
                    reason: "the satellite does not read".into(),
                    retry_after_ms: None,
                });
            }
            LinkClosed
        })
    }

    async fn ready(&self) -> Result<(), LinkClosed> {
        loop {
            if self.closing.is_cancelled() || self.outgoing.is_closed() {
                return Err(LinkClosed);
            }
            // Room is looked for and not reserved: what others send meanwhile must not find it taken.
            if self.has_room() {
                self.room.notify_one();
                return Ok(());
            }
            tokio::select! {
                () = self.room.notified() => {}
                () = self.outgoing.closed() => {}
                () = self.closing.cancelled() => {}
            }
        }
    }

    fn close(&self, close: Close) {
        lock(&self.close).get_or_insert(close);
        self.closing.cancel();
    }
}

impl LinkEnd {
    /// Waits for the next message. After [`AgentLink::close`] it gives what is left, then the reason.
    pub async fn next(&mut self) -> Result<Outgoing, Close> {
        tokio::select! {
            biased;
            Some(message) = self.outgoing.recv() => {
                if self.link.has_room() {
                    self.link.room.notify_one();
                }
                Ok(message)
            }
            () = self.link.closing.cancelled() => Err(self.close_reason()),
        }
    }

    fn close_reason(&self) -> Close {
        let close = lock(&self.link.close).clone();
        close.expect("the reason is set before the token is cancelled")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use futures_util::future::join_all;

    fn ping() -> Outgoing {
        Outgoing::Control(ToAgent::HeartbeatPing { timestamp: hive_wire::Timestamp::from_micros(0), sent_at: None })
    }

    #[tokio::test]
    async fn what_was_sent_before_a_close_still_arrives() {
        let (link, mut end) = ChannelLink::pair();
        link.send(ping()).unwrap();
        link.close(Close { code: 4409, reason: "replaced".into(), retry_after_ms: None });
        assert_eq!(link.send(ping()), Err(LinkClosed));
        assert_eq!(end.next().await, Ok(ping()));
        assert_eq!(end.next().await.unwrap_err().code, 4409);
    }

    #[tokio::test]
    async fn who_waits_for_room_takes_none_from_others() {
        let (link, mut end) = ChannelLink::pair();
        let is_ready = |link: &ChannelLink| link.ready().now_or_never().is_some();
        while is_ready(&link) {
            link.send(ping()).unwrap();
        }
        let waiting = join_all((0..ChannelLink::CAPACITY).map(|_| async {
            link.ready().await.unwrap();
            link.send(ping())
        }));
        let read = async {
            link.send(ping()).expect("half of the room is free");
            let mut read = 0;
            while let Ok(Ok(_)) = tokio::time::timeout(std::time::Duration::from_millis(200), end.next()).await {
                read += 1;
            }
            read
        };
        let (sent, read) = tokio::join!(waiting, read);
        assert!(sent.iter().all(Result::is_ok), "all had room in the end");
        assert_eq!(read, ChannelLink::CAPACITY + ChannelLink::CAPACITY / 2 + 2);
    }

    #[tokio::test]
    async fn a_satellite_that_does_not_read_loses_its_link() {
        let (link, mut end) = ChannelLink::pair();
        while link.send(ping()).is_ok() {}
        for _ in 0..ChannelLink::CAPACITY {
            end.next().await.unwrap();
        }
        assert_eq!(end.next().await.unwrap_err().code, close::OVERLOADED);
    }
}
