//! One command on many satellites.
//!
//! The targets are settled first and stored in one transaction with one audit record. A driver then keeps at most
//! `concurrency` of them under way, whether anybody watches or not; those who watch read at their own pace.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use futures_util::StreamExt;
use futures_util::stream;
use hive_wire::agent::{Channel, ErrorBody, Received};
use hive_wire::api::{
    AuditResult, CommandStatus, ExecEvent, ExecResult, MAX_IN_FLIGHT, OutputEncoding, SatelliteStatus, Target,
    TargetStatus,
};
use hive_wire::{CommandId, JobId};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tracing::warn;

use super::acting::Subject;
use super::payload::Work;
use super::router::usable_link;
use super::running::Place;
use super::{ActingHive, Hive};
use crate::access::{Permission, sight};
use crate::router::ExecOptions;
use crate::store::{Inserted, SatelliteQuery, SatelliteRow, Window};
use crate::{Error, Result, Subscription};

/// Targets under way at the same time unless the request says otherwise.
const DEFAULT_IN_FLIGHT: u32 = 64;

/// A fan-out whose targets are settled and stored.
pub(super) struct FanOut {
    acting: ActingHive,
    job: JobId,
    concurrency: usize,
    timeout_seconds: u32,
    summary: serde_json::Value,
    planned: Vec<Planned>,
}

/// One settled target.
struct Planned {
    place: Place,
    step: Step,
}

#[derive(Clone)]
enum Step {
    /// Stored under this id.
    Run(CommandId),
    /// Not given to the satellite, for this reason.
    NotRun(ErrorBody),
}

impl FanOut {
    /// Finds the targets and makes their commands durable.
    pub(super) async fn settle(
        acting: &ActingHive,
        targets: Vec<Target>,
        work: Work,
        options: ExecOptions,
    ) -> Result<Self> {
        let concurrency = options.concurrency.unwrap_or(DEFAULT_IN_FLIGHT);
        if !(1..=MAX_IN_FLIGHT).contains(&concurrency) {
            return Err(Error::invalid("concurrency", format!("must be 1 to {MAX_IN_FLIGHT}")));
        }
        let rows = acting.find(&targets).await?;
        let job = JobId::new(acting.hive.source().seed());
        let mut fan_out = Self {
            acting: acting.clone(),
            job,
            concurrency: concurrency as usize,
            timeout_seconds: work.timeout_seconds,
            summary: json!({ "command": work.summary(), "targets": rows.len() }),
            planned: Vec::with_capacity(rows.len()),
        };
        fan_out.store(rows, targets, work, options.idempotency_key).await?;
        Ok(fan_out)
    }

    async fn store(
        &mut self,
        rows: Vec<SatelliteRow>,
        targets: Vec<Target>,
        work: Work,
        key: Option<String>,
    ) -> Result<()> {
        let acting = self.acting.clone();
        let mut commands = Vec::new();
        for row in rows {
            let place = Place { satellite: row.id, name: row.name.clone() };
            let step = match usable_link(&acting.hive, &row) {
                Ok(Some(_)) => {
                    let id = CommandId::new(acting.hive.source().seed());
                    commands.push(acting.new_command(id, &row, &work, Some(self.job), None));
                    acting.hive.inner.running.begin(
                        id,
                        acting.context(&row, &work, Some(self.job)),
                        Received::default(),
                    );
                    Step::Run(id)
                }
                Ok(None) => Step::NotRun(reason(&Error::SatelliteOffline(row.name.to_string()))),
                Err(error) => Step::NotRun(reason(&error)),
            };
            self.planned.push(Planned { place, step });
        }
        let targets: Vec<_> = targets.iter().map(ToString::to_string).collect();
        let key = acting.idempotency(key, &json!([targets, work.payload, work.timeout_seconds]))?;
        let mut details = work.details();
        details["targets"] = json!(targets);
        details["satellites"] = json!(self.planned.iter().map(|planned| planned.place.satellite).collect::<Vec<_>>());
        let record = acting.intent("satellite.exec_multi", Subject::new("job", self.job), details);
        match acting.insert(commands, key, record).await {
            Ok(Inserted::New) => Ok(()),
            Ok(Inserted::Existing(ids)) => self.adopt(ids).await,
            Ok(Inserted::Conflict) => {
                self.forget();
                Err(Error::Conflict("the idempotency key was used for another request".into()))
            }
            Err(error) => {
                self.forget();
                Err(error)
            }
        }
    }

    /// Takes the place of the commands this very request stored before.
    async fn adopt(&mut self, ids: Vec<CommandId>) -> Result<()> {
        self.forget();
        let mut adopted = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(command) = self.acting.hive.store().command_get(id).await? else {
                continue;
            };
            let Some(row) = self.acting.hive.store().satellite_get(command.satellite_id).await? else {
                continue;
            };
            adopted.push(Planned { place: Place { satellite: row.id, name: row.name }, step: Step::Run(id) });
        }
        self.planned = adopted;
        Ok(())
    }

    fn forget(&self) {
        for planned in &self.planned {
            if let Step::Run(id) = planned.step {
                self.acting.hive.inner.running.end(id, None);
            }
        }
    }

    /// Runs it and waits for all targets.
    pub(super) async fn run(self, encoding: OutputEncoding) -> Result<Vec<ExecResult>> {
        let (sender, mut results) = watch::channel(None);
        let hive = self.acting.hive.clone();
        hive.inner.tasks.spawn(async move {
            let results = self.drive(encoding).await;
            sender.send_replace(Some(results));
        });
        let done = results.wait_for(Option::is_some).await.map_err(Error::internal)?;
        Ok(done.clone().unwrap_or_default())
    }

    /// Runs it and tells what happens.
    pub(super) fn stream(self) -> Subscription<ExecEvent> {
        let (sender, subscription) = Subscription::channel();
        let hive = self.acting.hive.clone();
        let patience = hive.patience(self.timeout_seconds);
        for Planned { place, step } in &self.planned {
            let watcher = Watcher { hive: hive.clone(), place: place.clone(), events: sender.clone(), patience };
            hive.inner.tasks.spawn(watcher.watch(step.clone()));
        }
        hive.inner.tasks.spawn(async move {
            drop(self.drive(OutputEncoding::Lossy).await);
        });
        subscription
    }

    /// Keeps at most `concurrency` targets under way, and writes the outcome record when all have ended.
    async fn drive(self, encoding: OutputEncoding) -> Vec<ExecResult> {
        let patience = self.acting.hive.patience(self.timeout_seconds);
        let hive = &self.acting.hive;
        let drive_one = |planned: &Planned| {
            let (place, step) = (planned.place.clone(), planned.step.clone());
            async move {
                match step {
                    Step::NotRun(error) => not_run(&place, error),
                    Step::Run(id) => match hive.hand_over_and_wait(id, &place, patience, encoding).await {
                        Ok(result) => result,
                        Err(error) => unfinished(id, &place, reason(&error)),
                    },
                }
            }
        };
        let futures: Vec<_> = self.planned.iter().map(drive_one).collect();
        let results: Vec<_> = stream::iter(futures).buffered(self.concurrency).collect().await;
        self.record_outcome(&results).await;
        results
    }

    async fn record_outcome(&self, results: &[ExecResult]) {
        let mut counts = BTreeMap::<String, u64>::new();
        for result in results {
            let status = json!(result.status).as_str().unwrap_or_default().to_owned();
            *counts.entry(status).or_default() += 1;
        }
        let mut details = self.summary.clone();
        details["results"] = json!(counts);
        let is_success = results.iter().all(|result| result.status == TargetStatus::Command(CommandStatus::Succeeded));
        let result = if is_success { AuditResult::Success } else { AuditResult::Failure };
        let record = self.acting.draft("satellite.exec_multi", Subject::new("job", self.job), details, result);
        if let Err(error) = self.acting.hive.store().audit_append(record).await {
            warn!(job.id = %self.job, error = %error, "outcome of a fan-out not recorded");
        }
    }
}

impl ActingHive {
    /// Finds the satellites targets stand for, each once, by name.
    async fn find(&self, targets: &[Target]) -> Result<Vec<SatelliteRow>> {
        if targets.is_empty() {
            return Err(Error::invalid("targets", "must name at least one"));
        }
        let mut found = BTreeMap::new();
        for target in targets {
            let rows = match target {
                Target::All => self.find_all(Vec::new()).await?,
                Target::Tag(tag) => self.find_all(vec![tag.clone()]).await?,
                Target::Id(id) => vec![self.satellite_for(*id, Permission::SatellitesExec).await?],
                Target::Name(name) => {
                    let row = self.hive.store().satellite_find(name).await?;
                    let row = row.ok_or_else(|| Error::SatelliteNotFound(name.to_string()))?;
                    // A hidden one is named as the caller named it: its id is not theirs to learn.
                    let allowed = self.allow_satellite(row, Permission::SatellitesExec).map_err(|error| match error {
                        Error::SatelliteNotFound(_) => Error::SatelliteNotFound(name.to_string()),
                        other => other,
                    });
                    vec![allowed?]
                }
            };
            if rows.is_empty() {
                return Err(Error::invalid("targets", format!("no active satellite for {target}")));
            }
            found.extend(rows.into_iter().map(|row| (row.name.clone(), row)));
        }
        Ok(found.into_values().collect())
    }

    async fn find_all(&self, tags: Vec<String>) -> Result<Vec<SatelliteRow>> {
        let mut query = SatelliteQuery::in_sight(sight(&self.principal, Permission::SatellitesExec));
        query.tags = tags;
        query.status = Some(SatelliteStatus::Active);
        Ok(self.hive.store().satellite_list(&query, Window::ALL).await?.0)
    }
}

impl Hive {
    /// Hands a queued command to the satellite's link and waits for its end.
    async fn hand_over_and_wait(
        &self,
        id: CommandId,
        place: &Place,
        patience: std::time::Duration,
        encoding: OutputEncoding,
    ) -> Result<ExecResult> {
        if let Some(live) = self.inner.links.get(place.satellite) {
            self.deliver_again(id, &live).await?;
        }
        self.wait(id, place, patience, encoding).await
    }
}

/// Follows one target for somebody who watches.
struct Watcher {
    hive: Hive,
    place: Place,
    events: mpsc::Sender<ExecEvent>,
    patience: std::time::Duration,
}

impl Watcher {
    async fn watch(self, step: Step) {
        let left = match step {
            Step::NotRun(error) => self.tell(ExecEvent::Exit(Box::new(not_run(&self.place, error)))).await,
            Step::Run(id) => match self.follow(id).await {
                Ok(left) => left,
                Err(error) => {
                    let result = unfinished(id, &self.place, reason(&error));
                    self.tell(ExecEvent::Exit(Box::new(result))).await
                }
            },
        };
        // Nobody watches any more; the command goes on.
        drop(left);
    }

    /// Tells of one command until it ends; `Err(Gone)` inside where nobody listens.
    async fn follow(&self, id: CommandId) -> Result<Result<(), Gone>> {
        let accepted = ExecEvent::Accepted { satellite_id: self.place.satellite, command_id: id };
        if self.tell(accepted).await.is_err() {
            return Ok(Err(Gone));
        }
        let mut told = Received::default();
        if let Some(mut progress) = self.hive.inner.running.follow(id) {
            loop {
                let now = progress.borrow_and_update().clone();
                if self.tell_output(id, &mut told, now.received).await?.is_err() {
                    return Ok(Err(Gone));
                }
                if now.finished.is_some() || progress.changed().await.is_err() {
                    break;
                }
            }
        }
        let all = self.hive.store().command_output_len(id).await?;
        if self.tell_output(id, &mut told, all).await?.is_err() {
            return Ok(Err(Gone));
        }
        let mut result = self.hive.wait(id, &self.place, self.patience, OutputEncoding::Lossy).await?;
        result.stdout.clear();
        result.stderr.clear();
        Ok(self.tell(ExecEvent::Exit(Box::new(result))).await)
    }

    /// Tells the output between what was told and what is here.
    async fn tell_output(&self, id: CommandId, told: &mut Received, here: Received) -> Result<Result<(), Gone>> {
        let channels =
            [(Channel::Stdout, &mut told.stdout, here.stdout), (Channel::Stderr, &mut told.stderr, here.stderr)];
        for (channel, told, here) in channels {
            while *told < here {
                let bytes = self.hive.output_from(id, channel, *told).await?;
                if bytes.is_empty() {
                    break;
                }
                let data = BASE64.encode(&bytes);
                let event = ExecEvent::Output { satellite_id: self.place.satellite, channel, offset: *told, data };
                if self.tell(event).await.is_err() {
                    return Ok(Err(Gone));
                }
                *told += bytes.len() as u64;
            }
        }
        Ok(Ok(()))
    }

    async fn tell(&self, event: ExecEvent) -> Result<(), Gone> {
        self.events.send(event).await.map_err(|_| Gone)
    }
}

/// Nobody listens any more.
struct Gone;

impl Hive {
    /// Returns some output of one stream from an offset on, held or stored; empty where there is no more.
    async fn output_from(&self, id: CommandId, channel: Channel, from: u64) -> Result<bytes::Bytes> {
        match self.inner.running.output(id, channel, from) {
            Some(held) => Ok(held),
            None => Ok(self.store().command_output(id, channel, from, super::router::READ_AT_ONCE).await?),
        }
    }
}

fn reason(error: &Error) -> ErrorBody {
    ErrorBody { code: error.code(), message: error.to_string() }
}

fn not_run(place: &Place, error: ErrorBody) -> ExecResult {
    empty(place, None, TargetStatus::NotRun, error)
}

/// A command of which no more is known here than that it was stored.
fn unfinished(id: CommandId, place: &Place, error: ErrorBody) -> ExecResult {
    empty(place, Some(id), TargetStatus::Command(CommandStatus::Delivered), error)
}

fn empty(place: &Place, command_id: Option<CommandId>, status: TargetStatus, error: ErrorBody) -> ExecResult {
    ExecResult {
        satellite_id: place.satellite,
        satellite_name: place.name.clone(),
        command_id,
        status,
        exit_code: None,
        stdout: String::new(),
        stderr: String::new(),
        duration_ms: 0,
        truncated: false,
        error: Some(error),
    }
}
