//! The audit log: its records, its export and their verification.

use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;

use futures_util::StreamExt as _;
use hive_core::HiveApi;
use hive_core::audit::{ExportError, verify_export};
use hive_core::wire::api::{AuditExportLine, AuditTarget};

use crate::engine::Engine;
use crate::feed::or_broken;
use crate::records::{AuditEntry, AuditFilter, AuditVerification, Json, PageRequest};
use crate::{AuditExport, Hive, HiveError};

#[uniffi::export]
impl Hive {
    /// Lists audit records, newest first.
    pub async fn audit_query(&self, filter: AuditFilter, page: PageRequest) -> Result<Vec<AuditEntry>, HiveError> {
        let query = move |hive: Arc<dyn HiveApi>| async move {
            let entries = hive.audit().query(filter.try_into()?, page.try_into()?).await?;
            Ok(entries.items.into_iter().map(AuditEntry::from).collect())
        };
        self.call(query).await
    }

    /// Appends a record of the caller.
    pub async fn audit_log(
        &self,
        action: String,
        target_kind: String,
        target_id: String,
        details: Json,
    ) -> Result<AuditEntry, HiveError> {
        let log = |hive: Arc<dyn HiveApi>| async move {
            // In Python the text was made from an object. In Swift it is the text of the caller.
            let details = serde_json::from_str(&details.0);
            let details = details.map_err(|error| HiveError::invalid("details", format!("is no JSON: {error}")))?;
            let target = AuditTarget { kind: target_kind, id: target_id };
            Ok(hive.audit().log(action, target, details).await?.into())
        };
        self.call(log).await
    }

    /// Exports the whole log, one line per item. Written to a file, one per line, they are what `audit_verify_file` reads.
    pub async fn audit_export(&self) -> Result<Arc<AuditExport>, HiveError> {
        let lines = self.call(|hive| async move { Ok(hive.audit().export().await?) }).await?;
        // Only the manifest proves that the export is complete.
        let is_last = |line: &AuditExportLine| matches!(line, AuditExportLine::Manifest { .. });
        let lines = or_broken(lines, "the export broke off before its manifest", is_last);
        let lines = lines.map(|line| line.map(|line| serde_json::json!(line).to_string()));
        Ok(AuditExport::new(self.engine.clone(), lines))
    }

    /// Verifies the stored log from its first record to its last.
    pub async fn audit_verify(&self) -> Result<AuditVerification, HiveError> {
        self.call(|hive| async move { Ok(hive.audit().verify().await?.into()) }).await
    }
}

/// Verifies an exported log, without a hive. Without a public key, the key that the export names is trusted.
#[uniffi::export]
pub async fn audit_verify_file(path: String, public_key: Option<String>) -> Result<AuditVerification, HiveError> {
    // The whole log is read and hashed, which takes seconds: not on the threads that drive the connections.
    let verify = move || {
        let file = File::open(&path).map_err(|error| HiveError::invalid("path", format!("cannot be read: {error}")))?;
        verify_export(BufReader::new(file), public_key.as_deref()).map_err(unreadable)
    };
    let engine = Engine::get()?;
    let found = engine.run(async move {
        let found = tokio::task::spawn_blocking(verify).await;
        found.unwrap_or_else(|error| Err(HiveError::internal(error.to_string())))
    });
    Ok(found.await?.into())
}

fn unreadable(error: ExportError) -> HiveError {
    let field = if matches!(error, ExportError::InvalidKey) { "public_key" } else { "path" };
    HiveError::invalid(field, error.to_string())
}
