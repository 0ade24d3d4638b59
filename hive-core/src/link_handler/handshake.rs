//! A satellite's handshake: which process comes, with which memory of what ran, and whether it is taken in.

use std::sync::Arc;
use std::time::Duration;

use hive_wire::AuditId;
use hive_wire::agent::{Handshake, HandshakeAck, PROTOCOL_VERSION, SystemInfo, ToAgent};
use hive_wire::api::{AuditResult, AuditTarget, SatelliteEvent};
use serde_json::json;
use tracing::{info, warn};

use super::{Attached, cut, satellite_actor};
use crate::access::SatelliteIdentity;
use crate::audit::AuditDraft;
use crate::hive::Hive;
use crate::link::{AgentLink, Outgoing};
use crate::satellites::journal_check::{JournalCheck, PresentedJournal};
use crate::store::{JournalRow, SatelliteRow, Seen};
use crate::{Error, Result};

/// How often one process that is refused is told of: it tries again and again.
const CONFLICT_INTERVAL: Duration = Duration::from_hours(1);

impl Hive {
    /// Takes a satellite's handshake: it is online from here on, and what is open for it is on its way.
    ///
    /// # Errors
    /// `AuthInvalid` where the satellite is not the one of the key, or the key was replaced meanwhile; `InvalidInput` for
    /// another protocol version; `Conflict` where another process is online with the same identity.
    pub async fn attach(
        &self,
        identity: SatelliteIdentity,
        handshake: Handshake,
        link: Arc<dyn AgentLink>,
    ) -> Result<Attached> {
        let id = identity.id;
        if handshake.agent_id != id {
            return Err(Error::AuthInvalid);
        }
        if handshake.protocol_version != PROTOCOL_VERSION {
            return Err(Error::invalid("protocol_version", format!("must be {PROTOCOL_VERSION}")));
        }
        let presented = checked(&handshake)?;
        let turn = self.inner.links.turn(id).await;
        let row = self.store().satellite_get(id).await?.ok_or(Error::AuthInvalid)?;
        let seen = self.journal_seen(&row);
        self.refuse_second_process(&row, &presented, seen.as_ref()).await?;
        let joining = self.inner.links.join(id, link.clone());
        // Behind the registration: a key that is replaced from here on ends the link with it.
        self.check_generation(&identity).await?;
        self.activate(id, &row.status).await?;
        let journal_id: Arc<str> = self.remember_journal(&row, &presented, seen.as_ref()).await?.into();
        self.note_seen(Seen {
            id,
            at: self.source().now(),
            system: Some(shortened(handshake.system)),
            agent_version: Some(cut(handshake.version)),
        });
        // Before the link is known to anybody: nothing may overtake the answer.
        link.send(Outgoing::Control(ToAgent::HandshakeAck(Box::new(self.welcome())))).ok();
        let live = joining.admit(journal_id, presented.start_id.map(Into::into), handshake.capacity);
        let live = live.ok_or(Error::AuthInvalid)?;
        drop(turn);
        // From here on the drop of `attached` takes the link back, whatever fails.
        let attached = Attached::new(self.clone(), id, live.clone());
        info!(satellite.id = %id, satellite.name = %row.name, "satellite online");
        self.publish(|seq| SatelliteEvent::Online { seq, id, name: row.name });
        self.start_resuming(id, live.clone(), handshake.sessions);
        self.start_delivery(id, live);
        Ok(attached)
    }

    /// The journal of this satellite that was seen last, and how far it had come by what is known here and in the store.
    fn journal_seen(&self, row: &SatelliteRow) -> Option<JournalRow> {
        let seen = row.journal.clone()?;
        let noted = self.inner.positions.highest(row.id, &seen.id);
        Some(JournalRow { position: seen.position.max(noted), ..seen })
    }

    /// Refuses a process beside another one that is online with the same identity and answers.
    async fn refuse_second_process(
        &self,
        row: &SatelliteRow,
        presented: &PresentedJournal,
        seen: Option<&JournalRow>,
    ) -> Result<()> {
        let Some(start_id) = &presented.start_id else { return Ok(()) };
        let present = self.inner.links.get(row.id).and_then(|live| live.start_id);
        let Some(present) = present else { return Ok(()) };
        // A process that dials anew has left its link before. One that is behind itself is a copy with its memory.
        let is_another = **start_id != *present;
        let is_copy = is_another || presented.is_behind(seen.and_then(|seen| seen.position));
        let ping = ToAgent::HeartbeatPing { timestamp: self.source().now(), sent_at: Some(self.source().steady()) };
        if !is_copy || !self.inner.links.is_answering(row.id, ping, self.settings().answer_time).await {
            return Ok(());
        }
        self.tell_conflict(row, start_id, &present).await?;
        Err(Error::Conflict(format!(
            "identity_conflict: another process is online as satellite {}; if this is a copy of its machine, delete the copy's \
             data directory and register it under a name of its own",
            row.name
        )))
    }

    /// Tells of a refused process: in the log each time, in the audit trail and to listeners once an hour.
    async fn tell_conflict(&self, row: &SatelliteRow, start_id: &str, present: &str) -> Result<()> {
        let id = row.id;
        warn!(satellite.id = %id, satellite.name = %row.name, start_id, present, "identity_conflict: a second process with this satellite's identity is refused");
        if !self.inner.links.is_new_conflict(id, start_id, self.source().steady(), CONFLICT_INTERVAL) {
            return Ok(());
        }
        let now = self.source().now();
        let record = AuditDraft {
            id: AuditId::new(self.source().seed()),
            timestamp: now,
            actor: satellite_actor(id),
            action: "satellite.conflict",
            target: AuditTarget { kind: "satellite".into(), id: id.to_string() },
            team_id: row.team_id,
            details: json!({ "start_id": start_id, "online": present }),
            result: AuditResult::Failure,
            error: Some("identity_conflict".into()),
        };
        self.store().satellite_conflict(id, now, record).await?;
        self.publish(|seq| SatelliteEvent::Conflict { seq, id, name: row.name.clone() });
        Ok(())
    }

    /// Compares the journal that a satellite brings with the one it had, and stores what it is from here on. Gives the id
    /// under which commands are delivered to it.
    async fn remember_journal(
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
        let word = data_encoding::HEXLOWER.encode(&self.source().random::<8>());
        let journal = presented.remembered(seen, check, &word);
        let is_known = seen.is_some_and(|seen| (&seen.id, &seen.start_id) == (&journal.id, &journal.start_id));
        // Who tells no process needs no memory here: the id of its journal is all there is to compare.
        if !is_known && journal.start_id.is_some() {
            // Before anything is delivered to it.
            self.store().satellite_journal_set(row.id, journal.clone()).await?;
        }
        if let Some(position) = journal.position {
            self.inner.positions.note(row.id, &journal.id.as_str().into(), position);
        }
        Ok(journal.id)
    }

    /// The answer to an accepted handshake.
    fn welcome(&self) -> HandshakeAck {
        HandshakeAck {
            success: true,
            protocol_version: PROTOCOL_VERSION.into(),
            server_time: self.source().now(),
            sent_at: Some(self.source().steady()),
            heartbeat_interval: self.settings().heartbeat_interval.as_secs().max(1),
            hive_id: Some(self.id()),
            error: None,
        }
    }

    /// Refuses a key that was replaced between its verification and now.
    async fn check_generation(&self, identity: &SatelliteIdentity) -> Result<()> {
        let key = self.store().satellite_key(identity.id).await?;
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

/// What a machine says of itself, each text cut to a length nobody minds storing.
fn shortened(system: SystemInfo) -> SystemInfo {
    let SystemInfo { hostname, os, os_version, arch, kernel, .. } = system;
    SystemInfo {
        hostname: cut(hostname),
        os: cut(os),
        os_version: cut(os_version),
        arch: cut(arch),
        kernel: cut(kernel),
        ..system
    }
}
