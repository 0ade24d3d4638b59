//! `AuditLogger` in this process.

use std::sync::Arc;

use async_trait::async_trait;
use hive_wire::AuditId;
use hive_wire::api::{
    AuditEntry, AuditExportLine, AuditQuery, AuditResult, AuditSort, AuditTarget, AuditVerification, Page, PageRequest,
};
use serde_json::{Value, json};
use tokio::sync::RwLock;
use tracing::warn;

use super::draft::{Subject, draft, record};
use crate::access::{Permission, Principal, ResourceScope, VisibleScope, visible_scope};
use crate::audit::{AuditAction, AuditLogger, export_log};
use crate::authorization::{authorize_action, forbidden};
use crate::context::ServiceContext;
use crate::grants::AccessGrants;
use crate::handle::ServiceHandle;
use crate::keys::Keys;
use crate::lists::listing::Listing;
use crate::redaction::{may_read, redact_record};
use crate::store::{AuditStore, Store};
use crate::{Error, Result, Subscription};

/// The most bytes of the details of a caller's own record.
const MAX_DETAILS: usize = 16 * 1024;
/// The most characters of a record's action and target.
const MAX_WORD: usize = 128;

/// The audit log.
pub(crate) struct AuditLog {
    pub(super) store: Arc<dyn Store>,
    pub(super) keys: Arc<Keys>,
    grants: Arc<AccessGrants>,
    pub(super) context: ServiceContext,
    /// Held for reading by each export: the log is not pruned under it.
    pub(super) exports: RwLock<()>,
}

impl AuditLog {
    pub(crate) fn new(
        store: &Arc<dyn Store>,
        keys: Arc<Keys>,
        grants: Arc<AccessGrants>,
        context: ServiceContext,
    ) -> Self {
        Self { store: store.clone(), keys, grants, context, exports: RwLock::default() }
    }
}

#[async_trait]
impl AuditLogger for ServiceHandle<AuditLog> {
    async fn log(&self, action: String, target: AuditTarget, details: Value) -> Result<AuditEntry> {
        self.authorize_platform()?;
        for (field, word) in [("action", &action), ("target.type", &target.kind), ("target.id", &target.id)] {
            if word.is_empty() || word.chars().count() > MAX_WORD || word.chars().any(char::is_control) {
                return Err(Error::invalid(field, format!("1 to {MAX_WORD} printable characters")));
            }
        }
        if details.to_string().len() > MAX_DETAILS {
            return Err(Error::PayloadTooLarge(format!("details: more than {MAX_DETAILS} bytes")));
        }
        // The caller's own words stand under one action of the hive's, so that none of them can pass for a record of the hive.
        let details = json!({ "action": action, "target": target, "details": details });
        let subject = Subject::new(&target.id);
        let AuditLog { store, context, .. } = &*self.service;
        let draft =
            draft(context, self.principal.actor(), AuditAction::AuditNote, subject, details, AuditResult::Success);
        Ok(store.audit_append(draft).await?)
    }

    async fn query(&self, query: AuditQuery, page: PageRequest<AuditSort>) -> Result<Page<AuditEntry>> {
        let listing = Listing::of_rows(&("audit", &query), page)?;
        let visible = readable(&self.principal)?;
        let rows = self.service.store.audit_list(&query, &visible, listing.range()).await?;
        Ok(listing.answer(rows, |mut entry| {
            self.redact(&mut entry);
            entry
        }))
    }

    async fn get(&self, id: AuditId) -> Result<Option<AuditEntry>> {
        let mut found = self.service.store.audit_get(id, &readable(&self.principal)?).await?;
        if let Some(entry) = &mut found {
            self.redact(entry);
        }
        Ok(found)
    }

    async fn export(&self) -> Result<Subscription<AuditExportLine>> {
        self.authorize_platform()?;
        // An export is proven by its hashes, so that nothing of it can be left out.
        authorize_action(&self.principal, &Permission::CommandsRead, ResourceScope::Platform)?;
        let AuditLog { store, context, grants, .. } = &*self.service;
        let subject = Subject::new("all");
        store.audit_append(record(context, &self.principal, AuditAction::AuditExport, subject, json!({}))).await?;
        let (listener, subscription) = Subscription::channel();
        let (log, lines) = (self.service.clone(), listener.clone());
        let export = async move {
            let _not_pruned = log.exports.read().await;
            let now = log.context.now();
            let store: &dyn AuditStore = log.store.as_ref();
            if let Err(error) = export_log(store, &log.keys.audit, now, &lines).await {
                warn!(error = %error, "audit export ended early");
            }
        };
        grants.spawn_stream(&self.principal, &listener, export).await?;
        Ok(subscription)
    }

    async fn verify(&self) -> Result<AuditVerification> {
        self.authorize_platform()?;
        let AuditLog { store, keys, .. } = &*self.service;
        Ok(store.audit_verify(Some(&keys.audit.public_key())).await?)
    }
}

impl ServiceHandle<AuditLog> {
    /// Redacts a record for a caller who may not read what was run in its team.
    fn redact(&self, entry: &mut AuditEntry) {
        if !may_read(&self.principal, [entry.team_id]) {
            redact_record(entry);
        }
    }

    fn authorize_platform(&self) -> Result<()> {
        authorize_action(&self.principal, &Permission::AuditRead, ResourceScope::Platform)
    }
}

/// Returns the teams whose records the principal may read.
fn readable(principal: &Principal) -> Result<VisibleScope> {
    let visible = visible_scope(principal, &Permission::AuditRead);
    if visible.is_nothing() {
        return Err(forbidden(&Permission::AuditRead));
    }
    Ok(visible)
}
