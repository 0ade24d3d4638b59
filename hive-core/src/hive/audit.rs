//! `AuditLogger` in this process.

use async_trait::async_trait;
use hive_wire::AuditId;
use hive_wire::api::{
    AuditEntry, AuditExportLine, AuditQuery, AuditResult, AuditTarget, AuditVerification, Page, PageRequest,
};
use serde_json::{Value, json};
use tracing::warn;

use super::ActingHive;
use super::acting::{Handle, Subject};
use crate::access::{Permission, Reach, Sight, sight};
use crate::audit::{AuditLogger, export_log};
use crate::satellites::registry::window;
use crate::{Error, Result, Subscription};

/// The most bytes of the details of a record of the caller's own.
const MAX_DETAILS: usize = 16 * 1024;
/// The most characters of a record's action and target.
const MAX_WORD: usize = 128;

#[async_trait]
impl AuditLogger for Handle {
    async fn log(&self, action: String, target: AuditTarget, details: Value) -> Result<AuditEntry> {
        self.allow(Permission::AuditRead, Reach::Platform)?;
        for (field, word) in [("action", &action), ("target.type", &target.kind), ("target.id", &target.id)] {
            if word.is_empty() || word.chars().count() > MAX_WORD || word.chars().any(char::is_control) {
                return Err(Error::invalid(field, format!("1 to {MAX_WORD} printable characters")));
            }
        }
        if details.to_string().len() > MAX_DETAILS {
            return Err(Error::PayloadTooLarge(format!("details: more than {MAX_DETAILS} bytes")));
        }
        // The caller's own words stand under one action of ours, so that none of them can pass for a record of the hive.
        let details = json!({ "action": action, "target": target, "details": details });
        let subject = Subject::new("note", &target.id);
        let draft = self.draft("audit.note", subject, details, AuditResult::Success);
        Ok(self.hive.store().audit_append(draft).await?)
    }

    async fn query(&self, query: AuditQuery, page: PageRequest) -> Result<Page<AuditEntry>> {
        let window = window(page)?;
        let (items, total) = self.hive.store().audit_list(&query, &self.audit_sight()?, window).await?;
        Ok(Page { items, total, page: page.page, per_page: page.per_page })
    }

    async fn get(&self, id: AuditId) -> Result<Option<AuditEntry>> {
        Ok(self.hive.store().audit_get(id, &self.audit_sight()?).await?)
    }

    async fn export(&self) -> Result<Subscription<AuditExportLine>> {
        self.allow(Permission::AuditRead, Reach::Platform)?;
        let record = self.record("audit.export", Subject::new("audit", "all"), json!({}));
        self.hive.store().audit_append(record).await?;
        let (sender, subscription) = Subscription::channel();
        let (hive, lines) = (self.hive.clone(), sender.clone());
        let export = async move {
            let now = hive.source().now();
            if let Err(error) = export_log(hive.store(), &hive.inner.keys.audit, now, &lines).await {
                warn!(error = %error, "audit export ended early");
            }
        };
        self.tell(&sender, export).await?;
        Ok(subscription)
    }

    async fn verify(&self) -> Result<AuditVerification> {
        self.allow(Permission::AuditRead, Reach::Platform)?;
        Ok(self.hive.store().audit_verify().await?)
    }
}

impl ActingHive {
    /// The teams whose records the principal may read.
    fn audit_sight(&self) -> Result<Sight> {
        let sight = sight(&self.principal, &Permission::AuditRead);
        if sight == Sight::Teams(Vec::new()) {
            return Err(Error::Forbidden(Permission::AuditRead.as_str().into()));
        }
        Ok(sight)
    }
}
