//! [`AuditLogger`] over REST.

use async_trait::async_trait;
use hive_wire::AuditId;
use hive_wire::api::{
    AuditEntry, AuditExportLine, AuditQuery, AuditSort, AuditTarget, AuditVerification, Page, PageRequest,
};
use serde_json::{Value, json};

use super::Client;
use super::registry::present;
use super::transport::{Patience, with_query};
use crate::{AuditLogger, Result, Subscription};

#[async_trait]
impl AuditLogger for Client {
    async fn log(&self, action: String, target: AuditTarget, details: Value) -> Result<AuditEntry> {
        let body = json!({ "action": action, "target": target, "details": details });
        self.transport.fetch(self.transport.post(&["api", "v1", "audit", "logs"]).json(&body)).await
    }

    async fn query(&self, query: AuditQuery, page: PageRequest<AuditSort>) -> Result<Page<AuditEntry>> {
        let call = self.transport.get(&["api", "v1", "audit", "logs"]);
        self.transport.fetch_page(with_query(with_query(call, &query)?, &page)?).await
    }

    async fn get(&self, id: AuditId) -> Result<Option<AuditEntry>> {
        present(self.transport.fetch(self.transport.get(&["api", "v1", "audit", "logs", &id.to_string()])).await)
    }

    async fn export(&self) -> Result<Subscription<AuditExportLine>> {
        let call = self.transport.get(&["api", "v1", "audit", "export"]);
        Ok(self.json_lines(self.transport.send(call, Patience::Command).await?))
    }

    async fn verify(&self) -> Result<AuditVerification> {
        let call = self.transport.get(&["api", "v1", "audit", "verify"]);
        self.transport.fetch_results(call).await
    }
}
