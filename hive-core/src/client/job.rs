//! [`JobManager`] over REST.

use async_trait::async_trait;
use hive_wire::JobId;
use hive_wire::api::{
    ExecCommand, Job, JobCreate, JobEvent, JobSort, JobTarget, JobTargetSort, Page, PageRequest, Target,
};
use reqwest::header;

use super::Client;
use super::registry::present;
use super::router::keyed;
use super::transport::{Patience, with_query};
use crate::jobs::{JobManager, JobOptions};
use crate::{Result, Subscription};

#[async_trait]
impl JobManager for Client {
    async fn submit(&self, targets: Vec<Target>, command: ExecCommand, options: JobOptions) -> Result<Job> {
        let JobOptions { idempotency_key, concurrency, confirm, deadline_seconds } = options;
        let targets = targets.iter().map(Target::to_string).collect();
        let body = JobCreate { targets, concurrency, confirm, deadline_seconds, command };
        let call = self.transport.post(&["api", "v1", "jobs"]).json(&body);
        self.transport.fetch(keyed(call, idempotency_key.as_deref())?).await
    }

    async fn get(&self, id: JobId) -> Result<Option<Job>> {
        present(self.transport.fetch(self.transport.get(&["api", "v1", "jobs", &id.to_string()])).await)
    }

    async fn list(&self, page: PageRequest<JobSort>) -> Result<Page<Job>> {
        self.transport.fetch_page(with_query(self.transport.get(&["api", "v1", "jobs"]), &page)?).await
    }

    async fn list_targets(&self, id: JobId, page: PageRequest<JobTargetSort>) -> Result<Page<JobTarget>> {
        let call = self.transport.get(&["api", "v1", "jobs", &id.to_string(), "targets"]);
        self.transport.fetch_page(with_query(call, &page)?).await
    }

    async fn cancel(&self, id: JobId) -> Result<Job> {
        self.transport.fetch(self.transport.post(&["api", "v1", "jobs", &id.to_string(), "cancel"])).await
    }

    async fn subscribe(&self, id: JobId) -> Result<Subscription<JobEvent>> {
        let call = self.transport.get(&["api", "v1", "jobs", &id.to_string(), "events"]);
        let call = call.header(header::ACCEPT, "text/event-stream");
        Ok(self.events(self.transport.send(call, Patience::Command).await?))
    }
}
