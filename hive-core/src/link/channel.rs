//! A link in memory, with a lane for each kind of message.

use std::sync::{Arc, Mutex};
use std::task::Poll;

use async_trait::async_trait;
use futures_util::future::poll_fn;
use futures_util::task::AtomicWaker;
use hive_wire::agent::close;
use hive_wire::stream::{Lane, Lanes};
use tokio::sync::Notify;

use super::{AgentLink, Close, LinkClosed, Outgoing};
use crate::sync::lock;

/// A link over bounded lanes: one end for the hive, the other for whoever moves the bytes.
///
/// The other end takes the most urgent message first ([`Outgoing::lane`]). `CommandCancel` and `ResultAck` never overtake their
/// command: where it still waits in the last lane, they go behind it.
#[derive(Debug)]
pub struct ChannelLink {
    state: Mutex<ChannelState>,
    /// Wakes the other end.
    reader: AtomicWaker,
    /// Wakes, for each lane, one of those who wait for room; whoever finds it wakes the next.
    room: [Notify; Lane::ALL.len()],
}

#[derive(Debug)]
struct ChannelState {
    /// Each message with its lane.
    lanes: Lanes<(Lane, Outgoing)>,
    /// Why the link was closed.
    close: Option<Close>,
    /// Whether the other end is gone.
    is_gone: bool,
}

impl ChannelState {
    fn is_closed(&self) -> bool {
        self.is_gone || self.close.is_some()
    }

    fn has_room(&self, lane: Lane) -> bool {
        self.lanes.len(lane) <= ChannelLink::CAPACITY / 2
    }

    fn lane_of(&self, message: &Outgoing) -> Lane {
        let lane = message.lane();
        let Some(id) = message.follows_command() else { return lane };
        let mut waiting = self.lanes.waiting(Lane::Bulk).filter_map(|(_, message)| message.command());
        if waiting.any(|command| command.id == id) { Lane::Bulk } else { lane }
    }
}

/// The other end of a [`ChannelLink`].
#[derive(Debug)]
pub struct LinkEnd {
    link: Arc<ChannelLink>,
}

impl ChannelLink {
    /// Messages of one lane that a satellite may owe; then its link is closed.
    pub const CAPACITY: usize = 256;

    /// A link and its other end.
    pub fn pair() -> (Arc<Self>, LinkEnd) {
        let state = ChannelState { lanes: Lanes::new(Self::CAPACITY), close: None, is_gone: false };
        let link = Arc::new(Self {
            state: Mutex::new(state),
            reader: AtomicWaker::new(),
            room: std::array::from_fn(|_| Notify::new()),
        });
        (link.clone(), LinkEnd { link })
    }

    fn room(&self, lane: Lane) -> &Notify {
        &self.room[lane as usize]
    }

    /// Wakes everybody after the link was closed.
    fn wake_all(&self) {
        self.reader.wake();
        self.room.iter().for_each(Notify::notify_waiters);
    }
}

#[async_trait]
impl AgentLink for ChannelLink {
    fn send(&self, message: Outgoing) -> Result<(), LinkClosed> {
        let sent = {
            let mut state = lock(&self.state);
            if state.is_closed() {
                return Err(LinkClosed);
            }
            let lane = state.lane_of(&message);
            state.lanes.push(lane, (lane, message))
        };
        if sent.is_err() {
            self.close(Close {
                code: close::OVERLOADED,
                reason: "the satellite does not read".into(),
                retry_after_ms: None,
            });
            return Err(LinkClosed);
        }
        self.reader.wake();
        Ok(())
    }

    async fn ready(&self, lane: Lane) -> Result<(), LinkClosed> {
        loop {
            // Before the state is read: a change in between wakes it.
            let room = self.room(lane).notified();
            {
                let state = lock(&self.state);
                if state.is_closed() {
                    return Err(LinkClosed);
                }
                // Room is looked for and not reserved: what others send meanwhile must not find it taken.
                if state.has_room(lane) {
                    self.room(lane).notify_one();
                    return Ok(());
                }
            }
            room.await;
        }
    }

    fn close(&self, close: Close) {
        lock(&self.state).close.get_or_insert(close);
        self.wake_all();
    }
}

impl LinkEnd {
    /// Waits for the next message, the most urgent first. After [`AgentLink::close`] it gives what is left, then the reason.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Result<Outgoing, Close> {
        poll_fn(|cx| {
            // Before the state is read: a message that is sent in between wakes it.
            self.link.reader.register(cx.waker());
            self.try_next().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Sends a message from this end: one that whoever moves the bytes has for the satellite, such as a ping.
    pub fn send(&self, message: Outgoing) -> Result<(), LinkClosed> {
        self.link.send(message)
    }

    fn try_next(&mut self) -> Option<Result<Outgoing, Close>> {
        let (message, lane) = {
            let mut state = lock(&self.link.state);
            match state.lanes.pop() {
                Some((lane, message)) => (message, state.has_room(lane).then_some(lane)),
                None => return state.close.clone().map(Err),
            }
        };
        if let Some(lane) = lane {
            self.link.room(lane).notify_one();
        }
        Some(Ok(message))
    }
}

impl Drop for LinkEnd {
    fn drop(&mut self) {
        lock(&self.link.state).is_gone = true;
        self.link.wake_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use bytes::Bytes;
    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use hive_wire::agent::{Command, ExecSpec, Payload, Received, ToAgent};
    use hive_wire::frame::{Frame, StreamId};
    use hive_wire::id::Seed;
    use hive_wire::{CommandId, Timestamp};

    fn ping() -> Outgoing {
        Outgoing::Control(ToAgent::HeartbeatPing { timestamp: Timestamp::from_micros(0), sent_at: None })
    }

    fn keystroke() -> Outgoing {
        Outgoing::Frame(Frame::data(StreamId(2), 0, Bytes::from_static(b"x"), false))
    }

    fn id(number: u8) -> CommandId {
        CommandId::new(Seed { unix_millis: 1, random: [number; 10] })
    }

    fn command(number: u8, stdin: usize) -> Outgoing {
        let spec = ExecSpec {
            command: "cat".into(),
            args: None,
            env: std::collections::BTreeMap::new(),
            cwd: None,
            stdin: Some("x".repeat(stdin)),
            timeout_seconds: 1,
        };
        Outgoing::Control(ToAgent::Command(Box::new(Command {
            id: id(number),
            expires_in_ms: 1,
            sent_at: None,
            received: Received::default(),
            started: false,
            payload: Payload::Exec(spec),
        })))
    }

    fn cancel(number: u8) -> Outgoing {
        Outgoing::Control(ToAgent::CommandCancel { id: id(number) })
    }

    fn acknowledgement(number: u8) -> Outgoing {
        Outgoing::Control(ToAgent::ResultAck { id: id(number) })
    }

    /// Sends messages and returns the numbers of their places in the order in which they come out.
    fn order(messages: Vec<Outgoing>) -> Vec<usize> {
        let (link, mut end) = ChannelLink::pair();
        for message in &messages {
            link.send(message.clone()).unwrap();
        }
        let out = std::iter::from_fn(|| end.next().now_or_never()).map(Result::unwrap);
        out.map(|message| messages.iter().position(|sent| *sent == message).unwrap()).collect()
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

    #[test]
    fn a_keystroke_overtakes_commands_and_a_small_command_overtakes_large_ones() {
        let large = 512 * 1024;
        let sent = vec![command(1, large), command(2, large), command(3, 10), keystroke(), ping()];
        assert_eq!(order(sent), [4, 3, 2, 0, 1]);
    }

    #[test]
    fn nothing_about_a_command_overtakes_it() {
        let large = 512 * 1024;
        let behind_large = vec![command(1, large), command(2, large), cancel(1), acknowledgement(2)];
        assert_eq!(order(behind_large), [0, 1, 2, 3]);
        let behind_small = vec![command(1, 10), cancel(1), acknowledgement(1)];
        assert_eq!(order(behind_small), [0, 1, 2]);
        let of_others = vec![command(1, large), cancel(2), acknowledgement(3)];
        assert_eq!(order(of_others), [1, 2, 0]);
    }

    #[tokio::test]
    async fn who_waits_for_room_takes_none_from_others() {
        let (link, mut end) = ChannelLink::pair();
        let is_ready = |link: &ChannelLink| link.ready(Lane::Control).now_or_never().is_some();
        while is_ready(&link) {
            link.send(ping()).unwrap();
        }
        let waiting = join_all((0..ChannelLink::CAPACITY).map(|_| async {
            link.ready(Lane::Control).await.unwrap();
            link.send(ping())
        }));
        let read = async {
            link.send(ping()).expect("half of the room is free");
            let mut read = 0;
            while let Ok(Ok(_)) = tokio::time::timeout(Duration::from_millis(200), end.next()).await {
                read += 1;
            }
            read
        };
        let (sent, read) = tokio::join!(waiting, read);
        assert!(sent.iter().all(Result::is_ok), "all had room in the end");
        assert_eq!(read, ChannelLink::CAPACITY + ChannelLink::CAPACITY / 2 + 2);
    }

    #[test]
    fn a_full_lane_leaves_room_in_the_others() {
        let (link, _end) = ChannelLink::pair();
        while link.ready(Lane::Bulk).now_or_never().is_some() {
            link.send(command(1, 20_000)).unwrap();
        }
        assert_eq!(link.ready(Lane::Interactive).now_or_never(), Some(Ok(())));
        assert_eq!(link.ready(Lane::Commands).now_or_never(), Some(Ok(())));
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

    #[tokio::test]
    async fn those_who_wait_for_room_hear_of_the_end() {
        let (link, end) = ChannelLink::pair();
        while link.ready(Lane::Control).now_or_never().is_some() {
            link.send(ping()).unwrap();
        }
        let (ready, ()) = tokio::join!(link.ready(Lane::Control), async { drop(end) });
        assert_eq!(ready, Err(LinkClosed));
    }
}
