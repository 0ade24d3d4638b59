//! What the store is given of a command beside what it does: enough to tell two requests apart, and nothing by which a
//! secret could be guessed.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use data_encoding::{BASE64, HEXLOWER};
use hive_wire::api::{ExecCommand, Target};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{NAME, connect, register};
use crate::audit::AuditDraft;
use crate::hive::Hive;
use crate::hive::payload::Work;
use crate::job::{JobManager, JobOptions};
use crate::router::ExecOptions;
use crate::store::{
    Database, IdempotencyKey, Inserted, JobInserted, NewCommand, NewJob, Store, StoreLayer, StoreResult,
};
use crate::CommandRouter;

/// Notes the digests of requests, and the records that come with them.
struct Notes {
    below: Arc<dyn Store>,
    hashes: Mutex<Vec<String>>,
    records: Mutex<Vec<AuditDraft>>,
}

impl Notes {
    fn note(&self, key: Option<&IdempotencyKey>, record: &AuditDraft) {
        self.hashes.lock().unwrap().extend(key.map(|key| key.body_hash.clone()));
        self.records.lock().unwrap().push(record.clone());
    }
}

#[async_trait]
impl StoreLayer for Notes {
    fn below(&self) -> &dyn Store {
        self.below.as_ref()
    }

    async fn command_insert(
        &self,
        commands: Vec<NewCommand>,
        idempotency: Option<IdempotencyKey>,
        audit: AuditDraft,
    ) -> StoreResult<Inserted> {
        self.note(idempotency.as_ref(), &audit);
        self.below.command_insert(commands, idempotency, audit).await
    }

    async fn job_insert(
        &self,
        job: NewJob,
        commands: Vec<NewCommand>,
        idempotency: Option<IdempotencyKey>,
        audit: AuditDraft,
    ) -> StoreResult<JobInserted> {
        self.note(idempotency.as_ref(), &audit);
        self.below.job_insert(job, commands, idempotency, audit).await
    }
}

async fn noted() -> (Hive, Arc<Notes>) {
    let below = Database::in_memory().open().await.unwrap();
    let notes = Arc::new(Notes { below, hashes: Mutex::default(), records: Mutex::default() });
    let hive = Hive::builder().store(notes.clone()).build().await.unwrap();
    (hive, notes)
}

/// A command whose environment and input hold a PIN.
fn with_pin(pin: &str) -> ExecCommand {
    let mut command = ExecCommand::shell("unlock");
    command.env.insert("PIN".into(), pin.into());
    command.stdin = Some(BASE64.encode(pin.as_bytes()));
    command
}

fn sha256(text: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(&Sha256::digest(text))
}

#[tokio::test]
async fn a_secret_is_not_found_by_guessing_at_the_digest_of_its_request() {
    let (hive, notes) = noted().await;
    let registered = register(&hive, NAME).await;
    let _satellite = connect(&hive, &registered, "journal-1").await;
    let acting = hive.as_system();
    let key = |key: &str| Some(key.to_owned());
    let options = ExecOptions { idempotency_key: key("exec"), ..ExecOptions::default() };
    acting.submit(registered.id, with_pin("4711"), options).await.unwrap();
    let options = JobOptions { idempotency_key: key("job"), ..JobOptions::default() };
    acting.job_submit(vec![Target::All], with_pin("4711"), options).await.unwrap();
    let hashes = notes.hashes.lock().unwrap().clone();
    assert_eq!(hashes.len(), 2);
    for pin in 0..10_000 {
        let work = Work::exec(with_pin(&format!("{pin:04}"))).unwrap();
        let exec = json!([registered.id, work.payload, work.timeout_seconds]).to_string();
        let job = json!([["all"], work.payload, work.timeout_seconds]).to_string();
        assert!([exec, job].iter().all(|request| !hashes.contains(&sha256(request))), "{pin:04}");
    }
}
