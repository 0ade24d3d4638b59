//! A satellite's handshake: which process connects, with which journal, and whether it is accepted.

use std::sync::Arc;
use std::time::Duration;

use hive_wire::agent::{Handshake, HandshakeAck, PROTOCOL_VERSION, SystemInfo, ToAgent};
use hive_wire::api::{AuditResult, SatelliteEvent};
use hive_wire::{SatelliteId, SatelliteName, TeamId};
use serde_json::json;
use tracing::{info, warn};

use super::Satellites;
use super::journal_check::{JournalCheck, PresentedJournal};
use super::reported_text::{cut, cut_system_info};
use crate::access::SatelliteIdentity;
use crate::audit::AuditAction;
use crate::audit::draft::{Subject, draft, satellite_actor};
use crate::events::EventSubject;
use crate::link::{AgentLink, Outgoing};
use crate::links::LinkHandle;
use crate::store::{JournalRow, SatelliteDescription, SatelliteRow};
use crate::{Error, Result};

/// How often one process that is refused is reported: it tries again and again.
const CONFLICT_INTERVAL: Duration = Duration::from_hours(1);

/// A link that is live from now on.
pub(crate) struct AcceptedLink {
    pub(crate) handle: LinkHandle,
    pub(crate) name: SatelliteName,
    pub(crate) team_id: Option<TeamId>,
    /// The machine, as the satellite reports it.
    pub(crate) system: SystemInfo,
}

impl Satellites {
    /// Accepts a satellite's handshake: it is online from here on.
    ///
    /// # Errors
    /// `AuthInvalid` where the satellite is not the one of the key, or the key was replaced meanwhile; `InvalidInput` for
    /// another protocol version; `Conflict` where another process is online with the same identity.
    pub(crate) async fn accept_link(
        &self,
        identity: SatelliteIdentity,
        handshake: Handshake,
        link: Arc<dyn AgentLink>,
    ) -> Result<AcceptedLink> {
        let id = identity.id;
        if handshake.agent_id != id {
            return Err(Error::AuthInvalid);
        }
        if handshake.protocol_version != PROTOCOL_VERSION {
            return Err(Error::invalid("protocol_version", format!("must be {PROTOCOL_VERSION}")));
        }
        let presented = checked(&handshake)?;
        // One handshake of a satellite at a time: two copies that connect at once must not both be accepted.
        let _handshake = self.links.lock_handshake(id).await;
        let row = self.current_row(id).await?;
        let seen = self.journal_seen(&row);
        // Before the link joins, which closes the one that is there.
        self.refuse_second_process(&row, &presented, seen.as_ref()).await?;
        let joining = self.links.join(id, link.clone(), identity.ip.as_deref());
        // After the link is registered: a key that is replaced from here on closes it.
        self.check_generation(&identity).await?;
        // Also after it: a list that is set from here on closes the link.
        self.check_address(id, identity.ip.as_deref())?;
        self.activate(&row).await?;
        let journal_id: Arc<str> = self.store_journal(&row, &presented, seen.as_ref()).await?.into();
        let (system, agent_version) = (cut_system_info(handshake.system), Some(cut(handshake.version)));
        self.note_description(SatelliteDescription { id, system: Some(system.clone()), agent_version });
        self.note_heartbeat(id, row.team_id, None);
        // Before the link is known to others: no message may overtake the answer.
        link.send(Outgoing::from(ToAgent::HandshakeAck(Box::new(self.acceptance())))).ok();
        // None where it was closed meanwhile: its key was replaced, or the satellite removed.
        let handle = joining.admit(journal_id, presented.start_id.map(Into::into)).ok_or(Error::AuthInvalid)?;
        info!(satellite.id = %id, satellite.name = %row.name, "satellite online");
        Ok(AcceptedLink { handle, name: row.name, team_id: row.team_id, system })
    }

    /// Reads the row of a satellite that is about to have events of its link.
    async fn current_row(&self, id: SatelliteId) -> Result<SatelliteRow> {
        let _row = self.row_locks.lock(id).await;
        let row = self.store.satellite_get(id).await?.ok_or(Error::AuthInvalid)?;
        self.events.note_subject(EventSubject::from(&row));
        Ok(row)
    }

    /// Returns the journal of this satellite that was seen last, with its highest position that is known here or in the store.
    fn journal_seen(&self, row: &SatelliteRow) -> Option<JournalRow> {
        let seen = row.journal.clone()?;
        let noted = self.positions.highest(row.id, &seen.id);
        Some(JournalRow { position: seen.position.max(noted), ..seen })
    }

    /// Refuses a process beside another one that is online with the same identity and answers.
    async fn refuse_second_process(
        &self,
        row: &SatelliteRow,
        presented: &PresentedJournal,
        seen: Option<&JournalRow>,
    ) -> Result<()> {
        // Without the id of its process, an older agent that returns looks like its own copy.
        let Some(start_id) = &presented.start_id else { return Ok(()) };
        let present = self.links.get(row.id).and_then(|link| link.start_id);
        let Some(present) = present else { return Ok(()) };
        // A process that dials again has left its link before. One whose journal is behind is a copy with its memory.
        let is_another = **start_id != *present;
        let is_copy = is_another || presented.is_behind(seen.and_then(|seen| seen.position));
        let (now, steady) = (self.context.now(), self.context.steady());
        let ping = ToAgent::HeartbeatPing { timestamp: now, sent_at: Some(steady) };
        let timeout = self.context.settings().answer_time;
        // A process that does not answer is gone, and its link is not noticed as dead yet: the new one takes its place.
        if !is_copy || !self.links.is_answering(row.id, ping, timeout).await {
            return Ok(());
        }
        self.report_conflict(row, start_id, &present).await?;
        Err(Error::Conflict(format!(
            "identity_conflict: another process is online as satellite {}; if this is a copy of its machine, delete the copy's \
             data directory and register it under a name of its own",
            row.name
        )))
    }

    /// Reports a refused process: in the log each time, in the audit log and as an event once an hour.
    async fn report_conflict(&self, row: &SatelliteRow, start_id: &str, present: &str) -> Result<()> {
        let id = row.id;
        warn!(satellite.id = %id, satellite.name = %row.name, start_id, present, "identity_conflict: a second process with this satellite's identity is refused");
        // The refused process tries again and again, and must not fill the audit log.
        if !self.links.is_new_conflict(id, start_id, self.context.steady(), CONFLICT_INTERVAL) {
            return Ok(());
        }
        let details = json!({ "start_id": start_id, "online": present });
        let actor = satellite_actor(id);
        let subject = Subject::satellite(row);
        let record =
            draft(&self.context, actor, AuditAction::SatelliteConflict, subject, details, AuditResult::Failure);
        let record = record.with_error(Some("identity_conflict".into()));
        self.store.satellite_conflict(id, record.timestamp, record).await?;
        self.events.publish(id, |seq| SatelliteEvent::Conflict { seq, id, name: row.name.clone() });
        Ok(())
    }

    /// Compares the journal that a satellite presents with the one it had, and stores the new one. Returns the id under which
    /// commands are delivered to it.
    async fn store_journal(
        &self,
        row: &SatelliteRow,
        presented: &PresentedJournal,
        seen: Option<&JournalRow>,
    ) -> Result<String> {
        let check = presented.check(seen);
        if matches!(check, JournalCheck::RolledBack | JournalCheck::Copied) {
            let position = seen.and_then(|seen| seen.position);
            warn!(
                satellite.id = %row.id, satellite.name = %row.name, ?check, presented = presented.position, seen = position,
                "the satellite comes with an older copy of its journal: what is open on it ends as of unknown outcome"
            );
        }
        let word = data_encoding::HEXLOWER.encode(&self.context.source().random::<8>());
        let journal = presented.remembered(seen, check, &word);
        let is_known = seen.is_some_and(|seen| (&seen.id, &seen.start_id) == (&journal.id, &journal.start_id));
        // An older agent names no process: the id of its journal is all there is to compare, and nothing has to be stored.
        if !is_known && journal.start_id.is_some() {
            // Before anything is delivered to it.
            self.store.satellite_journal_set(row.id, journal.clone()).await?;
        }
        if let Some(position) = journal.position {
            self.positions.note(row.id, &journal.id.as_str().into(), position);
        }
        Ok(journal.id)
    }

    /// The answer to an accepted handshake.
    fn acceptance(&self) -> HandshakeAck {
        HandshakeAck {
            success: true,
            protocol_version: PROTOCOL_VERSION.into(),
            server_time: self.context.now(),
            sent_at: Some(self.context.steady()),
            heartbeat_interval: self.context.settings().heartbeat_interval.as_secs().max(1),
            hive_id: Some(self.context.hive_id()),
            error: None,
        }
    }

    /// Refuses a key that was replaced between its verification and now.
    async fn check_generation(&self, identity: &SatelliteIdentity) -> Result<()> {
        let key = self.store.satellite_key(identity.id).await?;
        let is_current = key.is_some_and(|key| key.generation == identity.key_generation);
        is_current.then_some(()).ok_or(Error::AuthInvalid)
    }
}

/// Reads what the handshake says of journal and process.
fn checked(handshake: &Handshake) -> Result<PresentedJournal> {
    check_id("journal_id", &handshake.journal_id)?;
    for start_id in handshake.start_id.iter().chain(&handshake.earlier_start_ids) {
        check_id("start_id", start_id)?;
    }
    Ok(PresentedJournal::of(handshake))
}

fn check_id(field: &str, id: &str) -> Result<()> {
    let is_plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !is_plain || !(8..=64).contains(&id.len()) {
        return Err(Error::invalid(field, "8 to 64 letters, digits, '-' or '_'"));
    }
    Ok(())
}
