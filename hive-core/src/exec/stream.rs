//! Commands that are watched while they run: of one satellite, or of a job.

use std::time::Duration;

use data_encoding::BASE64;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hive_wire::agent::{Channel, Received};
use hive_wire::api::{CommandStatus, ExecEvent, ExecResult, OutputEncoding, Target, TargetStatus};
use hive_wire::{CommandId, JobId};
use tokio::sync::mpsc;
use tokio::time::interval;
use tracing::warn;

use crate::access::Permission;
use crate::commands::in_flight::Place;
use crate::commands::payload::Work;
use crate::commands::queue::Rank;
use crate::commands::result::reason;
use crate::commands::service::{Acceptance, usable_link};
use crate::hive::{ActingHive, Hive};
use crate::jobs::{Asked, LiveJob};
use crate::router::{ExecOptions, ExecReport};
use crate::store::{JobTargetRow, SatelliteRow, Window};
use crate::{Error, Result, Subscription};

/// Events that wait for one who watches; then the reading of output waits, and memory is bounded by so many pieces.
const EVENTS: usize = 32;
/// Output of one event, about.
const PIECE: usize = 64 * 1024;
/// Steps of a job's story that are looked at together.
const STEPS: usize = 256;
/// How often it is looked whether the satellite of a command has its link.
const LINK_LOOKS: Duration = Duration::from_millis(250);

impl ActingHive {
    /// Runs a command on several satellites and waits for all.
    pub(crate) async fn run_many_and_wait(
        &self,
        targets: Vec<Target>,
        work: Work,
        options: ExecOptions,
    ) -> Result<Vec<ExecReport>> {
        let patience = self.hive.patience(work.timeout_seconds);
        let encoding = options.encoding;
        let id = self.fan_out(targets, work, options).await?;
        if let Some(job) = self.hive.open_job(id).await? {
            job.settled(patience).await;
            if self.hive.inner.shutdown.is_cancelled() {
                return Err(Error::unavailable("the server stops; the job goes on"));
            }
        }
        let (rows, _) = self.hive.store().job_target_list(id, Window::ALL).await?;
        Ok(rows.into_iter().map(|row| self.hive.target_report(row, encoding)).collect())
    }

    /// Runs a command on satellites and tells what happens.
    pub(crate) async fn watch_exec(
        &self,
        targets: Vec<Target>,
        work: Work,
        options: ExecOptions,
    ) -> Result<Subscription<ExecEvent>> {
        let timeout_seconds = work.timeout_seconds;
        if let [Target::Id(_) | Target::Name(_)] = targets.as_slice() {
            let mut found = self.find(&targets, &Permission::SatellitesExec).await?;
            if let Some(row) = found.pop() {
                return self.watch_one(row, work, options).await;
            }
        }
        let id = self.fan_out(targets, work, options).await?;
        let (rows, _) = self.hive.store().job_target_list(id, Window::ALL).await?;
        let job = self.hive.open_job(id).await?;
        let watch = move |hive: Hive, events| async move {
            let watch = Watch { hive: &hive, events, timeout_seconds };
            watch.job(job.as_deref(), &rows).await
        };
        self.watched(watch).await
    }

    /// A single satellite needs no job.
    async fn watch_one(&self, row: SatelliteRow, work: Work, options: ExecOptions) -> Result<Subscription<ExecEvent>> {
        let timeout_seconds = work.timeout_seconds;
        let place = Place { satellite: row.id, name: row.name.clone() };
        let live = match usable_link(&self.hive, &row) {
            Ok(Some(live)) => Ok(live),
            Ok(None) => Err(Error::SatelliteOffline(row.name.to_string())),
            Err(error) => Err(error),
        };
        let accepted = match live {
            Ok(live) => {
                let idempotency_key = options.idempotency_key;
                let how = Acceptance { action: "satellite.exec", idempotency_key, live: Some(live), is_awaited: true };
                Ok(self.accept(&row, work, how).await?)
            }
            Err(error) => Err(not_run(&place, &error)),
        };
        let watch = move |hive: Hive, events| async move {
            let watch = Watch { hive: &hive, events, timeout_seconds };
            match accepted {
                Ok(id) => {
                    watch.accepted(&place, id).await?;
                    watch.follow(place, id).await
                }
                Err(result) => watch.tell(ExecEvent::Exit(Box::new(result))).await,
            }
        };
        self.watched(watch).await
    }

    async fn fan_out(&self, targets: Vec<Target>, work: Work, options: ExecOptions) -> Result<JobId> {
        let ExecOptions { idempotency_key, concurrency, encoding: _ } = options;
        let permission = Permission::SatellitesExec;
        // Somebody waits for it, as for a command of one satellite.
        let work = work.ranked(Rank::Immediate);
        self.start_job(Asked { targets, work, idempotency_key, concurrency, deadline_seconds: None, permission }).await
    }

    /// Where nobody watches any more, or everything was told, the commands go on.
    async fn watched<F, W>(&self, watch: F) -> Result<Subscription<ExecEvent>>
    where
        F: FnOnce(Hive, mpsc::Sender<ExecEvent>) -> W + Send + 'static,
        W: Future<Output = Result<(), Gone>> + Send + 'static,
    {
        let (events, subscription) = Subscription::with_capacity(EVENTS);
        let hive = self.hive.clone();
        self.tell(&events.clone(), async move { drop(watch(hive, events).await) }).await?;
        Ok(subscription)
    }
}

/// Nobody listens any more.
pub(crate) struct Gone;

/// What one who watches is told.
struct Watch<'a> {
    hive: &'a Hive,
    events: mpsc::Sender<ExecEvent>,
    timeout_seconds: u32,
}

impl Watch<'_> {
    /// Tells of all targets of a job: first who takes part, then what happens.
    async fn job(&self, job: Option<&LiveJob>, rows: &[JobTargetRow]) -> Result<(), Gone> {
        let mut open = vec![false; rows.len()];
        for (row, open) in rows.iter().zip(&mut open) {
            let place = place(row);
            if let Some(id) = row.command_id {
                self.accepted(&place, id).await?;
                *open = true;
            } else {
                let not_run = self.hive.target_report(row.clone(), OutputEncoding::Lossy).result;
                self.tell(ExecEvent::Exit(Box::new(not_run))).await?;
            }
        }
        match job {
            Some(job) => self.live(job, rows, open).await,
            None => self.ended(rows).await,
        }
    }

    async fn ended(&self, rows: &[JobTargetRow]) -> Result<(), Gone> {
        for row in rows {
            if let Some(id) = row.command_id {
                self.follow(place(row), id).await?;
            }
        }
        Ok(())
    }

    /// Follows each command from when it was handed over, or ended without that.
    async fn live(&self, job: &LiveJob, rows: &[JobTargetRow], mut open: Vec<bool>) -> Result<(), Gone> {
        let mut news = job.follow();
        let mut chapter = 0;
        let mut followed = FuturesUnordered::new();
        loop {
            let told = *news.borrow_and_update();
            while chapter < told.chapter() {
                let steps = job.story(chapter, STEPS);
                chapter += steps.len();
                for (happening, _) in steps {
                    let number = happening.place();
                    if let Some(id) = rows[number].command_id.filter(|_| std::mem::take(&mut open[number])) {
                        followed.push(self.follow(place(&rows[number]), id));
                    }
                }
            }
            let is_all_followed = !open.contains(&true);
            if followed.is_empty() && (is_all_followed || told.is_over()) {
                return Ok(());
            }
            tokio::select! {
                Some(told) = followed.next() => told?,
                changed = news.changed(), if !is_all_followed && !told.is_over() => drop(changed),
            }
        }
    }

    async fn accepted(&self, place: &Place, id: CommandId) -> Result<(), Gone> {
        self.tell(ExecEvent::Accepted { satellite_id: place.satellite, command_id: id }).await
    }

    /// Tells of one command until it ends.
    async fn follow(&self, place: Place, id: CommandId) -> Result<(), Gone> {
        let exit = match self.output_until_end(&place, id).await {
            Ok(told) => {
                told?;
                let patience = self.hive.patience(self.timeout_seconds);
                self.hive.standing(id, &place, patience).await.map(|standing| standing.result)
            }
            Err(error) => Err(error),
        };
        let exit = exit.unwrap_or_else(|error| {
            warn!(command.id = %id, error = %error, "a command cannot be followed");
            unfinished(id, &place, &error)
        });
        self.tell(ExecEvent::Exit(Box::new(exit))).await
    }

    async fn output_until_end(&self, place: &Place, id: CommandId) -> Result<Result<(), Gone>> {
        let mut told = Received::default();
        let mut was_online = true;
        let mut link_looks = interval(LINK_LOOKS);
        if let Some(mut progress) = self.hive.inner.running.follow(id) {
            loop {
                let (received, is_ended) = {
                    let now = progress.borrow_and_update();
                    (now.received, now.finished.is_some())
                };
                if self.output(place, id, &mut told, received).await?.is_err() {
                    return Ok(Err(Gone));
                }
                if is_ended {
                    break;
                }
                let is_online = self.hive.inner.links.is_online(place.satellite);
                if std::mem::replace(&mut was_online, is_online) != is_online
                    && self.link(place, id, is_online).await.is_err()
                {
                    return Ok(Err(Gone));
                }
                tokio::select! {
                    changed = progress.changed() => if changed.is_err() { break },
                    _ = link_looks.tick() => {}
                }
            }
        }
        let all = self.hive.store().command_output_len(id).await?;
        self.output(place, id, &mut told, all).await
    }

    /// Tells the output between what was told and what is here.
    async fn output(
        &self,
        place: &Place,
        id: CommandId,
        told: &mut Received,
        here: Received,
    ) -> Result<Result<(), Gone>> {
        let channels =
            [(Channel::Stdout, &mut told.stdout, here.stdout), (Channel::Stderr, &mut told.stderr, here.stderr)];
        for (channel, told, here) in channels {
            while *told < here {
                // The place first: what waits for one must not be in memory.
                let Ok(room) = self.events.reserve().await else { return Ok(Err(Gone)) };
                let bytes = self.hive.output_from(id, channel.clone(), *told, PIECE).await?;
                if bytes.is_empty() {
                    break;
                }
                let data = BASE64.encode(&bytes);
                let channel = channel.clone();
                room.send(ExecEvent::Output { satellite_id: place.satellite, channel, offset: *told, data });
                *told += bytes.len() as u64;
            }
        }
        Ok(Ok(()))
    }

    /// Tells that a satellite's link was lost, or is back.
    async fn link(&self, place: &Place, id: CommandId, is_online: bool) -> Result<(), Gone> {
        let until = self.hive.expected_until(id, self.timeout_seconds);
        let seconds_left = (!is_online).then(|| until.since(self.hive.source().steady()).as_secs());
        self.tell(ExecEvent::Link { satellite_id: place.satellite, online: is_online, seconds_left }).await
    }

    async fn tell(&self, event: ExecEvent) -> Result<(), Gone> {
        self.events.send(event).await.map_err(|_| Gone)
    }
}

fn place(row: &JobTargetRow) -> Place {
    Place { satellite: row.satellite_id, name: row.satellite_name.clone() }
}

fn not_run(place: &Place, error: &Error) -> ExecResult {
    empty(place, None, TargetStatus::NotRun, error)
}

/// A command of which no more is known here than that it was stored.
fn unfinished(id: CommandId, place: &Place, error: &Error) -> ExecResult {
    empty(place, Some(id), TargetStatus::Command(CommandStatus::Delivered), error)
}

fn empty(place: &Place, command_id: Option<CommandId>, status: TargetStatus, error: &Error) -> ExecResult {
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
        error: Some(reason(error)),
    }
}
