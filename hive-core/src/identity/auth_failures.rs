//! Failed authentications in the audit log. [`log`] decides which are recorded; they are written after the answers.
//!
//! No part of a secret is ever written: of a key its public id, of a login the name of a user who exists. The records have a short
//! queue of their own, of which one at a time is in the queue of the store. A failure that finds it full is only counted.

mod log;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hive_wire::SatelliteId;
use hive_wire::api::{Actor, AuditResult};
use hive_wire::credential::split_satellite_key;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::access::Principal;
use crate::audit::draft::{Subject, draft, satellite_actor};
use crate::audit::{AuditAction, AuditDraft};
use crate::context::ServiceContext;
use crate::store::AuditStore;
use crate::sync::lock;

use self::log::{AuthFailureLog, FailureDecision, FailureSource, Summary};

pub use self::log::{AuthFailureKind, AuthFailureTotals, network_of};

/// Records that wait to be written. With one more, that one is only counted.
const QUEUE: usize = 64;

/// A failed authentication, without any part of the secret.
#[derive(Debug)]
pub(crate) struct AuthFailure<'f> {
    pub(crate) kind: AuthFailureKind,
    /// The address of the caller.
    pub(crate) ip: Option<&'f str>,
    /// Why it failed, in a stable word.
    pub(crate) reason: &'static str,
    /// The public id of what was shown, where it has one.
    pub(crate) id: Option<String>,
    /// Further details of the record.
    pub(crate) details: Value,
}

impl<'f> AuthFailure<'f> {
    pub(crate) fn new(kind: AuthFailureKind, ip: Option<&'f str>, reason: &'static str) -> Self {
        Self { kind, ip, reason, id: None, details: json!({}) }
    }

    /// The same, of the credential with this public id.
    pub(crate) fn of(self, id: impl ToString) -> Self {
        Self { id: Some(id.to_string()), ..self }
    }

    /// The same, with a detail.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details[name] = value.into();
        self
    }
}

/// Counts failed authentications and records the first of them.
pub(crate) struct AuthFailures {
    log: Arc<Mutex<AuthFailureLog>>,
    queue: mpsc::Sender<QueuedRecord>,
    store: Arc<dyn AuditStore>,
    context: ServiceContext,
}

/// A record that waits to be written.
struct QueuedRecord {
    draft: AuditDraft,
    kind: AuthFailureKind,
    /// How many failures it counts, where it is a summary.
    summarised: Option<u64>,
}

impl AuthFailures {
    /// Starts the task that writes the records; it ends with the hive.
    pub(crate) fn start(store: Arc<dyn AuditStore>, context: ServiceContext) -> Self {
        let log = Arc::<Mutex<AuthFailureLog>>::default();
        let (queue, records) = mpsc::channel(QUEUE);
        context.spawn(write_all(records, store.clone(), log.clone(), context.shutdown().clone()));
        Self { log, queue, store, context }
    }

    /// Returns how often each kind of authentication has failed since the start, by its word.
    pub(crate) fn totals(&self) -> BTreeMap<&'static str, AuthFailureTotals> {
        lock(&self.log).totals()
    }

    /// Notes a failed authentication, and records it where it is one of the first.
    pub(crate) fn note(&self, failure: AuthFailure<'_>) {
        let source = FailureSource::of_address(failure.ip);
        let (kind, reason) = (failure.kind, failure.reason);
        // Of a flood most end here, before anything is allocated for them.
        if !self.is_to_be_recorded(kind, source) {
            return;
        }
        let actor = Actor {
            kind: "anonymous".into(),
            id: "anonymous".into(),
            name: "anonymous".into(),
            ip: failure.ip.map(str::to_owned),
        };
        let subject = Subject::of_type(kind.as_str(), failure.id.as_deref().unwrap_or("unknown"));
        let mut details = failure.details;
        details["reason"] = reason.into();
        let draft = self.failure_draft(AuditAction::AuthFailure, actor, subject, details, reason);
        self.enqueue(QueuedRecord { draft, kind, summarised: None });
    }

    /// Notes a satellite's key that was refused.
    pub(crate) fn note_satellite_key(&self, key: &str, ip: Option<&str>) {
        self.note(match split_satellite_key(key) {
            Ok((id, _)) => AuthFailure::new(AuthFailureKind::SatelliteKey, ip, "refused").of(id),
            Err(_) => AuthFailure::new(AuthFailureKind::SatelliteKey, ip, "malformed"),
        });
    }

    /// Notes a satellite that may not connect from an address. Its key is the right one.
    pub(crate) fn note_satellite_address(&self, key: &str, ip: Option<&str>) {
        if let Ok((id, _)) = split_satellite_key(key) {
            let reason = "from an address that the satellite's list does not allow";
            self.note(AuthFailure::new(AuthFailureKind::SatelliteKey, ip, reason).of(id));
        }
    }

    /// Notes a satellite's message about something that was given to another satellite.
    pub(crate) fn note_foreign_message(&self, satellite: SatelliteId, subject: Subject) {
        let kind = AuthFailureKind::ForeignMessage;
        if self.is_to_be_recorded(kind, FailureSource::Satellite(satellite)) {
            let error = "it was given to another satellite";
            let actor = satellite_actor(satellite);
            let draft = self.failure_draft(AuditAction::SatelliteForeignMessage, actor, subject, json!({}), error);
            self.enqueue(QueuedRecord { draft, kind, summarised: None });
        }
    }

    /// Writes summaries of the minutes that are over; when the hive stops also of the minute that goes on.
    pub(crate) async fn summarise(&self) {
        let summaries = lock(&self.log).take_summaries(self.context.steady());
        for summary in summaries {
            self.enqueue(self.summary_record(summary));
        }
        if self.context.shutdown().is_cancelled() {
            self.summarise_rest().await;
        }
    }

    /// Writes the summaries that are left. They do not go through the queue: the task that reads it may have ended.
    async fn summarise_rest(&self) {
        let summaries = lock(&self.log).take_last_summaries();
        for summary in summaries {
            append(self.store.as_ref(), &self.log, self.summary_record(summary)).await;
        }
    }

    /// Counts a failure; true where it gets a record of its own.
    fn is_to_be_recorded(&self, kind: AuthFailureKind, source: FailureSource) -> bool {
        // Another failure may take the last place before this one is queued: `enqueue` corrects the totals then.
        let is_behind = self.queue.capacity() == 0;
        lock(&self.log).note(kind, source, is_behind, self.context.steady()) == FailureDecision::Record
    }

    fn enqueue(&self, record: QueuedRecord) {
        let (kind, summarised) = (record.kind, record.summarised);
        if self.queue.try_send(record).is_err() {
            lock(&self.log).lose(kind, summarised);
        }
    }

    fn summary_record(&self, summary: Summary) -> QueuedRecord {
        let summarised = Some(summary.left());
        let Summary { kind, minute, failures, recorded, sources, most } = summary;
        info!(
            auth.kind = kind.as_str(),
            auth.failures = failures,
            auth.recorded = recorded,
            auth.sources = sources,
            "authentication failed more often than is recorded"
        );
        let most: Vec<_> =
            most.iter().map(|(source, count)| json!({ "source": source.to_string(), "failures": count })).collect();
        let details = json!({
            "minute": minute,
            "failures": failures,
            "recorded": recorded,
            "sources": sources,
            "most": most,
        });
        let subject = Subject::of_type(kind.as_str(), "summary");
        let actor = Principal::system().actor();
        let draft =
            self.failure_draft(AuditAction::AuthFailureSummary, actor, subject, details, "too many to record each");
        QueuedRecord { draft, kind, summarised }
    }

    fn failure_draft(
        &self,
        action: AuditAction,
        actor: Actor,
        subject: Subject,
        details: Value,
        error: &str,
    ) -> AuditDraft {
        let draft = draft(&self.context, actor, action, subject, details, AuditResult::Failure);
        draft.with_error(Some(error.to_owned()))
    }
}

/// Writes records one after the other until the hive stops or is gone, then those that are left in the queue.
async fn write_all(
    mut records: mpsc::Receiver<QueuedRecord>,
    store: Arc<dyn AuditStore>,
    log: Arc<Mutex<AuthFailureLog>>,
    shutdown: CancellationToken,
) {
    while let Some(Some(record)) = shutdown.run_until_cancelled(records.recv()).await {
        append(store.as_ref(), &log, record).await;
    }
    while let Ok(record) = records.try_recv() {
        append(store.as_ref(), &log, record).await;
    }
}

async fn append(store: &dyn AuditStore, log: &Mutex<AuthFailureLog>, record: QueuedRecord) {
    let QueuedRecord { draft, kind, summarised } = record;
    if let Err(error) = store.audit_append(draft).await {
        // Not a warning: whoever guesses keys must not fill the log of the server instead.
        debug!(error = &error as &dyn std::error::Error, "record of a failed authentication not written");
        lock(log).lose(kind, summarised);
    }
}

#[cfg(test)]
mod tests;
