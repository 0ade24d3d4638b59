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
use crate::commands::ExecOptions;
use crate::commands::payload::Work;
use crate::hive::Hive;
use crate::jobs::JobOptions;
use crate::store::{
    CommandInsertOutcome, Database, IdempotencyKey, JobInsertOutcome, NewCommand, NewJob, Store, StoreLayer,
    StoreResult,
};

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
    ) -> StoreResult<CommandInsertOutcome> {
        self.note(idempotency.as_ref(), &audit);
        self.below.command_insert(commands, idempotency, audit).await
    }

    async fn job_insert(
        &self,
        job: NewJob,
        commands: Vec<NewCommand>,
        idempotency: Option<IdempotencyKey>,
        audit: AuditDraft,
    ) -> StoreResult<JobInsertOutcome> {
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
    acting.commands().submit(registered.id, with_pin("4711"), options).await.unwrap();
    let options = JobOptions { idempotency_key: key("job"), ..JobOptions::default() };
    acting.jobs().submit(vec![Target::All], with_pin("4711"), options).await.unwrap();
    let hashes = notes.hashes.lock().unwrap().clone();
    assert_eq!(hashes.len(), 2);
    // All values of the secret: a plain digest of the request would be among these.
    for pin in 0..10_000 {
        let work = Work::exec(with_pin(&format!("{pin:04}"))).unwrap();
        let exec = json!([registered.id, work.payload, work.timeout_seconds]).to_string();
        let job = json!([["all"], work.payload, work.timeout_seconds]).to_string();
        assert!([exec, job].iter().all(|request| !hashes.contains(&sha256(request))), "{pin:04}");
    }
}

#[tokio::test]
async fn a_record_of_a_long_command_says_that_it_was_cut() {
    let (hive, notes) = noted().await;
    let registered = register(&hive, NAME).await;
    let _satellite = connect(&hive, &registered, "journal-1").await;
    let acting = hive.as_system();
    // Two bytes a character: the limit counts characters, and the recorded length counts bytes.
    let line = format!("echo {}", "ä".repeat(2000));
    let long = || ExecCommand { command: line.clone(), ..with_pin("4711") };
    acting.commands().submit(registered.id, long(), ExecOptions::default()).await.unwrap();
    acting.jobs().submit(vec![Target::All], long(), JobOptions::default()).await.unwrap();
    let records = notes.records.lock().unwrap().clone();
    assert_eq!(records.len(), 2);
    for AuditDraft { details, .. } in records {
        assert_eq!(details["command"], line.chars().take(1024).collect::<String>());
        assert_eq!((&details["cut"], &details["command_length"]), (&json!(true), &json!(line.len())));
        assert_eq!(details["command_sha256"], sha256(&line));
        assert_eq!((&details["stdin"]["length"], &details["env_values"]["PIN"]["length"]), (&json!(4), &json!(4)));
        let is_digest = |value: &serde_json::Value| value.as_str().is_some_and(|text| text.len() == 64);
        assert!(is_digest(&details["stdin"]["hmac_sha256"]) && is_digest(&details["env_values"]["PIN"]["hmac_sha256"]));
        assert!(!details.to_string().contains(&sha256("4711")), "{details}");
    }
}

#[tokio::test]
async fn a_record_of_a_long_job_keeps_the_first_targets_and_a_digest_of_all() {
    let (hive, notes) = noted().await;
    let registered = register(&hive, NAME).await;
    // One more than a record keeps.
    let targets: Vec<_> = std::iter::repeat_n(Target::Id(registered.id), 1001).collect();
    let acting = hive.as_system();
    let _satellite = connect(&hive, &registered, "journal-1").await;
    acting.jobs().submit(targets, ExecCommand::shell("true"), JobOptions::default()).await.unwrap();
    let details = notes.records.lock().unwrap()[0].details.clone();
    assert_eq!(details["targets"].as_array().unwrap().len(), 1000);
    assert_eq!((&details["cut"], &details["targets_length"]), (&json!(true), &json!(1001)));
    assert_eq!(details["targets_sha256"], sha256(format!("{}\n", registered.id).repeat(1001)));
    assert_eq!((&details["satellites"], &details["satellites_length"]), (&json!([registered.id]), &json!(null)));
}
