//! The audit trail: what happened, and the proof of it.

use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;

use futures_util::StreamExt as _;
use hive_core::HiveApi;
use hive_core::audit::{ExportError, verify_export};
use hive_core::wire::api::{AuditExportLine, AuditTarget};

use crate::engine::Engine;
use crate::feed::complete;
use crate::records::{AuditEntry, AuditFilter, AuditVerification, PageRequest};
use crate::{AuditExport, Hive, HiveError};

#[uniffi::export]
impl Hive {
    /// Lists audit records, newest first.
    pub async fn audit_query(&self, filter: AuditFilter, page: PageRequest) -> Result<Vec<AuditEntry>, HiveError> {
        let query = move |hive: Arc<dyn HiveApi>| async move {
            let entries = hive.audit().query(filter.try_into()?, page.into()).await?;
            Ok(entries.items.into_iter().map(AuditEntry::from).collect())
        };
        self.call(query).await
    }

    /// Appends a record of the caller's own. `details` is JSON.
    pub async fn audit_log(
        &self,
        action: String,
        target_kind: String,
        target_id: String,
        details: String,
    ) -> Result<AuditEntry, HiveError> {
        let log = |hive: Arc<dyn HiveApi>| async move {
            let details = serde_json::from_str(&details);
            let details = details.map_err(|error| HiveError::invalid("details", format!("is no JSON: {error}")))?;
            let target = AuditTarget { kind: target_kind, id: target_id };
            Ok(hive.audit().log(action, target, details).await?.into())
        };
        self.call(log).await
    }

    /// Gives the whole trail, a line an item: written to a file, each with a line end, they are what `audit_verify_file` reads.
    pub async fn audit_export(&self) -> Result<Arc<AuditExport>, HiveError> {
        let lines = self.call(|hive| async move { Ok(hive.audit().export().await?) }).await?;
        let is_last = |line: &AuditExportLine| matches!(line, AuditExportLine::Manifest { .. });
        let lines = complete(lines, "the export broke off before its manifest", is_last);
        let lines = lines.map(|line| line.map(|line| serde_json::json!(line).to_string()));
        Ok(AuditExport::new(self.engine.clone(), lines))
    }

    /// Checks the stored trail from its first record to its last.
    pub async fn audit_verify(&self) -> Result<AuditVerification, HiveError> {
        self.call(|hive| async move { Ok(hive.audit().verify().await?.into()) }).await
    }
}

/// Checks an exported trail, without a hive. Without a public key, it is believed to be signed by the key it names.
#[uniffi::export]
pub async fn audit_verify_file(path: String, public_key: Option<String>) -> Result<AuditVerification, HiveError> {
    let verify = move || {
        let file = File::open(&path).map_err(|error| HiveError::invalid("path", format!("cannot be read: {error}")))?;
        verify_export(BufReader::new(file), public_key.as_deref()).map_err(unreadable)
    };
    let verification = Engine::get()?;
    let found = verification.run(async move {
        let found = tokio::task::spawn_blocking(verify).await;
        found.unwrap_or_else(|error| Err(HiveError::internal(error.to_string())))
    });
    Ok(found.await?.into())
}

fn unreadable(error: ExportError) -> HiveError {
    let field = if matches!(error, ExportError::InvalidKey) { "public_key" } else { "path" };
    HiveError::invalid(field, error.to_string())
}
