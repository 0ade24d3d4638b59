//! Handles the messages of a satellite's link: each is passed to the service it concerns.
//!
//! A message never waits for the store. What needs it goes into the queue of [`reports`], and a task stores it.

mod output;
mod reports;
mod sessions;

use std::collections::HashMap;
use std::sync::Arc;

use hive_wire::agent::{Channel, Handshake, Metrics, ToAgent, ToServer};
use hive_wire::api::SatelliteEvent;
use hive_wire::frame::{Frame, FrameKind, StreamId};
use hive_wire::{CommandId, SatelliteId, TeamId, escape};
use tracing::{debug, info};

use self::output::OutputStream;
use self::reports::{Report, ReportQueue};
use crate::access::SatelliteIdentity;
use crate::commands::{CommandLink, Commands};
use crate::context::ServiceContext;
use crate::events::Events;
use crate::link::AgentLink;
use crate::links::unexpected::UnexpectedKind;
use crate::links::{Links, protocol_violation};
use crate::satellites::reported_text::cut;
use crate::satellites::{AcceptedLink, Satellites};
use crate::sessions::{LiveSession, Sessions};
use crate::{Error, Result};

/// Output streams that one link may have open.
const MAX_STREAMS: usize = 4096;
/// Problems that a satellite may report of itself; further ones are left out.
const MAX_PROBLEMS: usize = 8;

/// Handles the links of all satellites.
pub(crate) struct LinkHandler {
    events: Arc<Events>,
    links: Arc<Links>,
    satellites: Arc<Satellites>,
    commands: Arc<Commands>,
    sessions: Arc<Sessions>,
    context: ServiceContext,
}

impl LinkHandler {
    pub(crate) fn new(
        events: Arc<Events>,
        links: Arc<Links>,
        satellites: Arc<Satellites>,
        commands: Arc<Commands>,
        sessions: Arc<Sessions>,
        context: ServiceContext,
    ) -> Self {
        Self { events, links, satellites, commands, sessions, context }
    }

    /// Accepts a satellite's handshake, and starts to bring it what is open for it.
    ///
    /// # Errors
    /// See [`Satellites::accept_link`].
    pub(crate) async fn attach(
        self: &Arc<Self>,
        identity: SatelliteIdentity,
        handshake: Handshake,
        link: Arc<dyn AgentLink>,
    ) -> Result<AttachedSatellite> {
        let (listed, capacity) = (handshake.sessions.clone(), handshake.capacity);
        let AcceptedLink { handle, name, team_id, system } =
            self.satellites.accept_link(identity, handshake, link).await?;
        let link = self.commands.open_link(handle, capacity);
        // From here on the drop of `attached` removes the link, whatever fails.
        let attached = AttachedSatellite {
            handler: self.clone(),
            link: link.clone(),
            team_id,
            streams: HashMap::new(),
            reports: Arc::default(),
        };
        let id = link.satellite();
        let system = Some(Box::new(system));
        self.events.publish(id, |seq| SatelliteEvent::Online { seq, id, name, system });
        self.sessions.start_resuming(link.handle.clone(), listed);
        self.commands.start_delivery(link);
        Ok(attached)
    }
}

/// A satellite with a live link. Dropping it ends the satellite's presence, unless a newer link has replaced this one.
pub struct AttachedSatellite {
    handler: Arc<LinkHandler>,
    link: CommandLink,
    /// Its team. A satellite that is given to another team gets a new link.
    team_id: Option<TeamId>,
    streams: HashMap<StreamId, LinkMessage>,
    /// What waits for the store.
    reports: Arc<ReportQueue>,
}

/// A stream from the satellite.
enum LinkMessage {
    /// One output of a command.
    Output(Arc<OutputStream>),
    /// The output of a session.
    Session(Arc<LiveSession>),
    /// A session that this process does not have: its output is dropped.
    UnknownSession,
}

impl AttachedSatellite {
    /// Returns which satellite it is.
    pub fn satellite(&self) -> SatelliteId {
        self.link.satellite()
    }

    /// Handles a control message, and waits until the store has what it reports. For programs that handle one message after the
    /// other; a link with terminals takes [`accept_control`](Self::accept_control).
    ///
    /// # Errors
    /// `InvalidInput` where the satellite breaks the protocol, others where the hive could not store what it reported. Either
    /// way the link is to be closed: with the next one both sides agree anew on what is open.
    pub async fn on_control(&mut self, message: ToServer) -> Result<()> {
        self.accept_control(message)?;
        self.reports.settled().await
    }

    /// Handles a frame of data, and waits until the store has what is to be stored of it.
    ///
    /// # Errors
    /// As [`on_control`](Self::on_control).
    pub async fn on_frame(&mut self, frame: Frame) -> Result<()> {
        self.accept_frame(frame)?;
        self.reports.settled().await
    }

    /// Handles a control message without waiting for the store. What needs the store is stored by a task of the hive, in the
    /// order of the messages, and acknowledged after that. Where it cannot be stored, the hive closes the link.
    ///
    /// # Errors
    /// `InvalidInput` where the satellite breaks the protocol, `Unavailable` where too much waits for the store. The link is to
    /// be closed.
    pub fn accept_control(&mut self, message: ToServer) -> Result<()> {
        let LinkHandler { links, commands, satellites, context, .. } = &*self.handler;
        match message {
            ToServer::HeartbeatPong { timestamp: _, metrics, capacity } => self.on_heartbeat(metrics, capacity),
            ToServer::Busy { id } => self.queue(Report::Busy(id))?,
            ToServer::CommandAck { id, .. } if !commands.on_start(&self.link, id) => {
                // A report about a command that it was not given says nothing about its journal.
                self.queue(Report::UnknownCommand(id))?;
            }
            ToServer::CommandAck { id: _, journal_position } => {
                if let Some(position) = journal_position {
                    satellites.note_journal_position(&self.link.handle, position);
                }
            }
            ToServer::StreamOpen { stream, command_id, channel, offset } => {
                self.on_stream_open(stream, command_id, channel, offset)?;
            }
            ToServer::CommandResult(result) => self.queue(Report::of_result(result))?,
            ToServer::PtyStarted(started) => self.on_pty_started(started)?,
            ToServer::PtyGap { session_id, from, to } => self.on_pty_gap(session_id, from, to)?,
            ToServer::PtyApplied { session_id, offset } => self.on_pty_applied(session_id, offset)?,
            ToServer::PtyEnded { session_id, end } => self.on_pty_ended(session_id, end)?,
            ToServer::Handshake(_) => return Err(Error::invalid("handshake", "comes once")),
            ToServer::Disconnect { reason } => {
                debug!(satellite.id = %self.satellite(), reason = %escape::text(&cut(reason)), "satellite leaves");
            }
            ToServer::Error { error } => {
                let text = cut(error.message);
                let (kind, now) = (UnexpectedKind::ErrorReport, context.steady());
                links.note_unexpected(self.satellite(), kind, escape::text(&text), now)?;
            }
            _ => debug!(satellite.id = %self.satellite(), "message of a newer version ignored"),
        }
        Ok(())
    }

    /// Handles a frame of data without waiting for the store.
    ///
    /// # Errors
    /// As [`accept_control`](Self::accept_control).
    pub fn accept_frame(&mut self, frame: Frame) -> Result<()> {
        if frame.kind != FrameKind::Data {
            // Frames of a kind that a newer version added are ignored.
            return Ok(());
        }
        let LinkHandler { commands, sessions, .. } = &*self.handler;
        let incoming = self.streams.get(&frame.stream);
        match incoming.ok_or_else(|| protocol_violation("frame of a stream that is not open"))? {
            LinkMessage::Session(session) => session.on_frame(sessions.now(), self.link.handle.epoch, &frame),
            LinkMessage::UnknownSession => Ok(()),
            LinkMessage::Output(output) => {
                let output = output.clone();
                let outcome = output.on_frame(commands, &self.link, &frame)?;
                if let Some(limit) = outcome.limit {
                    self.send(ToAgent::StreamCredit { stream: frame.stream, limit });
                }
                if outcome.is_ended {
                    self.streams.remove(&frame.stream);
                }
                if outcome.is_full { self.queue(Report::Output(output)) } else { Ok(()) }
            }
        }
    }

    /// Queues a report for the store.
    fn queue(&self, report: Report) -> Result<()> {
        self.handler.queue_report(&self.link, &self.reports, report)
    }

    fn on_heartbeat(&self, metrics: Option<Metrics>, capacity: Option<u32>) {
        let LinkHandler { links, commands, satellites, .. } = &*self.handler;
        if let Some(capacity) = capacity {
            commands.set_capacity(&self.link, capacity);
        }
        let metrics = metrics.map(|metrics| {
            let problems: Vec<_> = metrics.problems.into_iter().take(MAX_PROBLEMS).map(cut).collect();
            links.set_problems(self.satellite(), problems.clone());
            Metrics { problems, ..metrics }
        });
        self.link.handle.on_answer();
        satellites.note_heartbeat(self.satellite(), self.team_id, metrics);
    }

    fn on_stream_open(&mut self, stream: StreamId, command: CommandId, channel: Channel, offset: u64) -> Result<()> {
        self.check_stream(stream)?;
        if !self.handler.commands.on_stream_open(self.satellite(), command, &channel, offset)? {
            self.queue(Report::UnknownCommand(command))?;
        }
        let output = OutputStream::new(stream, command, channel, offset);
        self.streams.insert(stream, LinkMessage::Output(Arc::new(output)));
        Ok(())
    }

    fn check_stream(&self, stream: StreamId) -> Result<()> {
        if !stream.is_from_satellite() || self.streams.len() >= MAX_STREAMS {
            return Err(protocol_violation("stream number not allowed, or too many streams"));
        }
        Ok(())
    }

    /// Sends a message. Over a closed link it is lost, and the next one starts anew.
    fn send(&self, message: ToAgent) {
        if self.link.handle.send(message).is_err() {
            debug!(satellite.id = %self.satellite(), "link takes no more messages");
        }
    }
}

impl Drop for AttachedSatellite {
    fn drop(&mut self) {
        let LinkHandler { events, links, commands, sessions, context, .. } = &*self.handler;
        let id = self.satellite();
        self.reports.detach();
        // The queue closes before the presence ends: a command that comes in between is queued in the store for the
        // next link.
        commands.close_link(&self.link);
        let is_offline = links.remove(&self.link.handle);
        sessions.on_link_lost(&self.link.handle);
        // A newer link has replaced this one. The satellite is online, and no event says otherwise.
        if !is_offline {
            return;
        }
        info!(satellite.id = %id, "satellite offline");
        let last_seen = Some(context.now());
        events.publish(id, |seq| SatelliteEvent::Offline { seq, id, last_seen });
    }
}

impl std::fmt::Debug for AttachedSatellite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AttachedSatellite").field("satellite", &self.satellite()).finish_non_exhaustive()
    }
}
