//! Failed authentications in the audit log: what [`log`] decides is written here, behind the answers.
//!
//! No part of a secret is ever written: of a key its public id, of a login the name of a user who exists. Writing waits for
//! nobody and nobody waits for it: at most one of these records stands in the store's queue, and what finds its own short
//! queue full is only counted.

mod log;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use hive_wire::AuditId;
use hive_wire::api::{Actor, AuditResult, AuditTarget};
use hive_wire::credential::split_satellite_key;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::access::Principal;
use crate::audit::AuditDraft;
use crate::hive::Hive;
use crate::store::Store;

use self::log::{AuthFailureLog, Decision, Summary};

pub(crate) use self::log::FailureSource;
pub use self::log::{AuthFailureKind, AuthFailureTotals, network_of};

/// Records that wait to be written. With one more, that one is only counted: before anything else is.
const QUEUE: usize = 64;

/// A failed authentication, without any part of the secret.
#[derive(Debug)]
pub(crate) struct AuthFailure<'f> {
    pub(crate) kind: AuthFailureKind,
    /// Where the caller is.
    pub(crate) ip: Option<&'f str>,
    /// Why it failed, in a stable word.
    pub(crate) reason: &'static str,
    /// The public id of what was shown, where it has one.
    pub(crate) id: Option<String>,
    /// What else may be known of it.
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

    /// The same, with something else that is known.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details[name] = value.into();
        self
    }
}

/// The log of failures, and the way to the audit log.
pub(crate) struct AuthFailures {
    log: Arc<Mutex<AuthFailureLog>>,
    queue: mpsc::Sender<Queued>,
}

/// A record that waits to be written.
struct Queued {
    draft: AuditDraft,
    kind: AuthFailureKind,
    /// How many failures it counts, where it is a summary.
    summarised: Option<u64>,
}

/// Where the records come out.
pub(crate) struct AuthFailureQueue {
    log: Arc<Mutex<AuthFailureLog>>,
    queue: mpsc::Receiver<Queued>,
}

impl AuthFailures {
    pub(crate) fn new() -> (Self, AuthFailureQueue) {
        let log = Arc::<Mutex<AuthFailureLog>>::default();
        let (sender, queue) = mpsc::channel(QUEUE);
        (Self { log: Arc::clone(&log), queue: sender }, AuthFailureQueue { log, queue })
    }

    fn push(&self, queued: Queued) {
        let (kind, summarised) = (queued.kind, queued.summarised);
        if self.queue.try_send(queued).is_err() {
            locked(&self.log).lose(kind, summarised);
        }
    }
}

impl AuthFailureQueue {
    /// Writes what comes, one record after the other, until the hive stops or is gone.
    pub(crate) async fn write(mut self, store: Arc<dyn Store>, shutdown: CancellationToken) {
        while let Some(Some(queued)) = shutdown.run_until_cancelled(self.queue.recv()).await {
            append(store.as_ref(), &self.log, queued).await;
        }
        while let Ok(queued) = self.queue.try_recv() {
            append(store.as_ref(), &self.log, queued).await;
        }
    }
}

async fn append(store: &dyn Store, log: &Mutex<AuthFailureLog>, queued: Queued) {
    let Queued { draft, kind, summarised } = queued;
    if let Err(error) = store.audit_append(draft).await {
        debug!(error = &error as &dyn std::error::Error, "record of a failed authentication not written");
        locked(log).lose(kind, summarised);
    }
}

impl Hive {
    /// Returns how often each kind of authentication has failed since the start, by its word.
    pub fn auth_failure_totals(&self) -> BTreeMap<&'static str, AuthFailureTotals> {
        locked(&self.inner.auth_failures.log).totals()
    }

    /// Notes credentials that an edge could not even take apart.
    pub fn note_malformed_credential(&self, kind: AuthFailureKind, ip: Option<&str>) {
        self.note_auth_failure(AuthFailure::new(kind, ip, "malformed"));
    }

    /// Notes a satellite's key that was refused.
    pub fn note_refused_satellite_key(&self, key: &str, ip: Option<&str>) {
        let failure = match split_satellite_key(key) {
            Ok((id, _)) => AuthFailure::new(AuthFailureKind::SatelliteKey, ip, "refused").of(id),
            Err(_) => AuthFailure::new(AuthFailureKind::SatelliteKey, ip, "malformed"),
        };
        self.note_auth_failure(failure);
    }

    /// Notes a failed authentication, and records it where it is one of the first.
    pub(crate) fn note_auth_failure(&self, failure: AuthFailure<'_>) {
        let source = FailureSource::of_address(failure.ip);
        let (kind, reason) = (failure.kind, failure.reason);
        if !self.is_worth_a_record(kind, source) {
            return;
        }
        let actor = Actor {
            kind: "anonymous".into(),
            id: "anonymous".into(),
            name: "anonymous".into(),
            ip: failure.ip.map(str::to_owned),
        };
        let id = failure.id.unwrap_or_else(|| "unknown".into());
        let mut details = failure.details;
        details["reason"] = reason.into();
        let target = AuditTarget { kind: kind.as_str().into(), id };
        self.write_failure(kind, self.failure_draft("auth.failure", actor, target, details, reason));
    }

    /// Counts a failure; true where it gets a record of its own.
    pub(crate) fn is_worth_a_record(&self, kind: AuthFailureKind, source: FailureSource) -> bool {
        let failures = &self.inner.auth_failures;
        let is_behind = failures.queue.capacity() == 0;
        locked(&failures.log).note(kind, source, is_behind, self.source().steady()) == Decision::Record
    }

    /// Hands over a record to be written.
    pub(crate) fn write_failure(&self, kind: AuthFailureKind, draft: AuditDraft) {
        self.inner.auth_failures.push(Queued { draft, kind, summarised: None });
    }

    /// Hands over the summaries of the minutes that are over, to be written.
    pub(crate) fn summarise_auth_failures(&self) {
        let summaries = locked(&self.inner.auth_failures.log).take_summaries(self.source().steady());
        for summary in summaries {
            self.inner.auth_failures.push(self.queued(summary));
        }
    }

    /// Writes the summaries that are left where the hive stops.
    pub(crate) async fn write_last_summaries(&self) {
        let summaries = locked(&self.inner.auth_failures.log).take_last_summaries();
        for summary in summaries {
            append(self.store(), &self.inner.auth_failures.log, self.queued(summary)).await;
        }
    }

    fn queued(&self, summary: Summary) -> Queued {
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
        let target = AuditTarget { kind: kind.as_str().into(), id: "summary".into() };
        let actor = Principal::system().actor();
        let draft = self.failure_draft("auth.failure_summary", actor, target, details, "too many to record each");
        Queued { draft, kind, summarised }
    }

    pub(crate) fn failure_draft(
        &self,
        action: &'static str,
        actor: Actor,
        target: AuditTarget,
        details: Value,
        error: &str,
    ) -> AuditDraft {
        AuditDraft {
            id: AuditId::new(self.source().seed()),
            timestamp: self.source().now(),
            actor,
            action,
            target,
            team_id: None,
            details,
            result: AuditResult::Failure,
            error: Some(error.to_owned()),
        }
    }
}

/// Starts to write the records; it ends with the hive.
pub(crate) fn start(hive: &Hive, queue: AuthFailureQueue) {
    let (store, shutdown) = (Arc::clone(&hive.inner.store), hive.inner.shutdown.clone());
    hive.inner.tasks.spawn(queue.write(store, shutdown));
}

fn locked(log: &Mutex<AuthFailureLog>) -> MutexGuard<'_, AuthFailureLog> {
    log.lock().expect("nothing panics while it holds this lock")
}

#[cfg(test)]
mod tests;
