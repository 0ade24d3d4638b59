//! Settling a job's targets, and making it durable.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hive_wire::agent::ErrorBody;
use hive_wire::api::{MAX_IN_FLIGHT, SatelliteStatus, Target};
use hive_wire::{CommandId, JobId, TeamId, Timestamp};
use serde_json::json;

use crate::access::{Authority, Permission, sight};
use crate::commands::payload::{Work, check_range, seal};
use crate::commands::queue::Rank;
use crate::commands::result::reason;
use crate::commands::service::{key_of_another, usable_link};
use crate::hive::ActingHive;
use crate::hive::acting::Subject;
use crate::store::{JobInserted, NewCommand, NewJob, NewJobTarget, SatelliteQuery, SatelliteRow, Window};
use crate::{Error, Result};

/// The most targets that are named; a label, or `all`, stands for any number of satellites.
const MAX_TARGETS: usize = 10_000;
/// Targets under way at the same time unless the request says otherwise.
const DEFAULT_IN_FLIGHT: u32 = 64;
/// How long targets may wait for their turn unless the request says otherwise: a day.
const DEFAULT_DEADLINE_SECONDS: u32 = 24 * 3600;
/// The longest that targets may wait for their turn: a week.
const MAX_DEADLINE_SECONDS: u32 = 7 * 24 * 3600;

/// A job as it is asked for.
pub(crate) struct Asked {
    pub(crate) targets: Vec<Target>,
    pub(crate) work: Work,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) concurrency: Option<u32>,
    pub(crate) deadline_seconds: Option<u32>,
    /// What the caller must be allowed on each satellite.
    pub(crate) permission: Permission,
}

impl ActingHive {
    /// Settles the targets, makes the job durable and begins it. The same request gives the same job. It is carried through
    /// even if whoever asked for it does not wait.
    pub(crate) async fn start_job(&self, asked: Asked) -> Result<JobId> {
        let acting = self.clone();
        let starting = self.hive.inner.tasks.spawn(async move { acting.store_and_begin(asked).await });
        starting.await.map_err(Error::internal)?
    }

    async fn store_and_begin(&self, asked: Asked) -> Result<JobId> {
        let concurrency = asked.concurrency.unwrap_or(DEFAULT_IN_FLIGHT);
        check_range("concurrency", concurrency, 1, MAX_IN_FLIGHT)?;
        let deadline_seconds = asked.deadline_seconds.unwrap_or(DEFAULT_DEADLINE_SECONDS);
        check_range("deadline_seconds", deadline_seconds, 1, MAX_DEADLINE_SECONDS)?;
        let rows = self.find(&asked.targets, &asked.permission).await?;
        let now = self.hive.source().now();
        let deadline_at = self.hive.source().steady().plus(Duration::from_secs(deadline_seconds.into()));
        let (job, commands) = self.settle(&asked, &rows, concurrency, now, deadline_at);
        let id = job.id;
        let request = json!([job.asked, asked.work.payload, asked.work.timeout_seconds]);
        let key = self.idempotency(asked.idempotency_key, &request)?;
        let satellites: Vec<_> = rows.iter().map(|row| row.id).collect();
        let details = asked.work.details(&self.hive.inner.keys.vault);
        let details = details.with_list("targets", &job.asked).with_list("satellites", &satellites);
        let details = details.with("concurrency", json!(concurrency)).into_value();
        let subject = Subject::new("job", id).of_team(only_team(rows.iter().map(|row| row.team_id)));
        let record = self.intent("satellite.exec_multi", subject, details);
        let counted: Vec<_> = commands.iter().map(|command| command.satellite_id).collect();
        let inserted = self.hive.store().job_insert(job, commands, key, record).await;
        if !matches!(inserted, Ok(JobInserted::New)) {
            for satellite in counted {
                self.hive.inner.open.remove(satellite, None);
            }
        }
        match inserted? {
            JobInserted::New => {
                self.hive.begin_job(id).await?;
                Ok(id)
            }
            // It may be of a team that the caller has left since.
            JobInserted::Existing(id) if matches!(self.job_for(id, asked.permission).await, Ok(Some(_))) => Ok(id),
            JobInserted::Existing(_) | JobInserted::Conflict => Err(key_of_another()),
        }
    }

    /// The job with its targets, and the commands of those that can be given one now.
    fn settle(
        &self,
        asked: &Asked,
        rows: &[SatelliteRow],
        concurrency: u32,
        created_at: Timestamp,
        deadline_at: Timestamp,
    ) -> (NewJob, Vec<NewCommand>) {
        let id = JobId::new(self.hive.source().seed());
        let mut commands = Vec::new();
        let mut targets = Vec::with_capacity(rows.len());
        for row in rows {
            let command = self.readiness(row).map(|()| {
                let command = CommandId::new(self.hive.source().seed());
                commands.push(self.job_command(command, row, &asked.work, id, deadline_at));
                command
            });
            targets.push(NewJobTarget {
                satellite_id: row.id,
                satellite_name: row.name.clone(),
                team_id: row.team_id,
                command,
            });
        }
        let job = NewJob {
            id,
            payload: seal(&asked.work.payload, id, &self.hive.inner.keys.vault, self.hive.source()),
            summary: asked.work.summary(),
            asked: asked.targets.iter().map(ToString::to_string).collect(),
            targets,
            concurrency,
            timeout_seconds: asked.work.timeout_seconds,
            expires_in_seconds: asked.work.expires_in_seconds,
            actor: self.principal.actor(),
            authorised_by: Authority::Role,
            created_at,
            deadline_at,
        };
        (job, commands)
    }

    /// Whether a satellite can be given a command now, or why not. The command counts from here on.
    fn readiness(&self, row: &SatelliteRow) -> Result<(), ErrorBody> {
        match usable_link(&self.hive, row) {
            Ok(Some(_)) => self.count_in(row, None).map_err(|error| reason(&error)),
            Ok(None) => Err(reason(&Error::SatelliteOffline(row.name.to_string()))),
            Err(error) => Err(reason(&error)),
        }
    }

    /// A job's command waits for its turn until the job's deadline; its own expiry counts from its hand-over.
    fn job_command(
        &self,
        id: CommandId,
        row: &SatelliteRow,
        work: &Work,
        job: JobId,
        deadline_at: Timestamp,
    ) -> NewCommand {
        let alone = self.new_command(id, row, work, work.rank(Rank::Normal), Some(job), None);
        NewCommand { expires_at: deadline_at, ..alone }
    }

    /// Finds the satellites targets stand for, each once, by name.
    pub(crate) async fn find(&self, targets: &[Target], permission: &Permission) -> Result<Vec<SatelliteRow>> {
        if !(1..=MAX_TARGETS).contains(&targets.len()) {
            return Err(Error::invalid("targets", format!("must name 1 to {MAX_TARGETS}")));
        }
        let mut found = BTreeMap::new();
        for target in targets {
            // One that cannot be written cannot be asked for from elsewhere either.
            target.to_string().parse::<Target>().map_err(|error| Error::invalid("targets", error.to_string()))?;
            let rows = match target {
                Target::All => self.find_all(Vec::new(), permission).await?,
                Target::Tag(tag) => self.find_all(vec![tag.clone()], permission).await?,
                Target::Id(id) => vec![self.satellite_for(*id, permission.clone()).await?],
                Target::Name(name) => {
                    let row = self.hive.store().satellite_find(name).await?;
                    let row = row.ok_or_else(|| Error::SatelliteNotFound(name.to_string()))?;
                    // A hidden one is named as the caller named it: its id is not theirs to learn.
                    let allowed = self.allow_satellite(row, permission).map_err(|error| match error {
                        Error::SatelliteNotFound(_) => Error::SatelliteNotFound(name.to_string()),
                        other => other,
                    });
                    vec![allowed?]
                }
            };
            if rows.is_empty() {
                return Err(Error::invalid("targets", format!("no satellite for {target}")));
            }
            found.extend(rows.into_iter().map(|row| (row.name.clone(), row)));
        }
        Ok(found.into_values().collect())
    }

    async fn find_all(&self, tags: Vec<String>, permission: &Permission) -> Result<Vec<SatelliteRow>> {
        let mut query = SatelliteQuery::in_sight(sight(&self.principal, permission));
        query.tags = tags;
        let (mut rows, _) = self.hive.store().satellite_list(&query, Window::ALL).await?;
        // One in maintenance is a target that is not run. One that was never activated is no part of the fleet yet.
        rows.retain(|row| row.status != SatelliteStatus::Inactive);
        Ok(rows)
    }
}

/// The team that all of them are of, where there is one.
pub(super) fn only_team(teams: impl Iterator<Item = Option<TeamId>>) -> Option<TeamId> {
    let teams: BTreeSet<_> = teams.collect();
    teams.first().copied().flatten().filter(|_| teams.len() == 1)
}
