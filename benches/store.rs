//! What it costs to keep something for good: a command that is stored, one that ends, a record that is appended, each in a
//! transaction that is on disk before it counts.
//!
//! On SQLite in a file, and with `HIVE_BENCH_POSTGRES`, the URL of an empty database, there as well. One after the other, and
//! 64 at the same time, which the store commits together.

mod support {
    pub(crate) mod figure;
    pub(crate) mod measured;
    pub(crate) mod samples;
}

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::bail;
use criterion::BenchmarkGroup;
use criterion::measurement::WallTime;
use futures_util::future::{try_join, try_join_all};
use hive_core::access::Authority;
use hive_core::audit::{AuditAction, AuditDraft};
use hive_core::clock::ClockAndRng;
use hive_core::store::{
    CommandOutcome, Database, NamePolicy, NewCommand, NewJob, NewJobTarget, NewRegistrationTokenRow, NewSatellite,
    RegisterOutcome, Store, StoreResult,
};
use hive_core::wire::agent::SystemInfo;
use hive_core::wire::api::{Actor, CommandEnd, CommandStatus, TokenScope};
use hive_core::wire::{AuditId, CommandId, JobId, RegistrationTokenId, SatelliteId};
use serde_json::json;
use support::figure::{Figure, is_asked_for};
use support::measured::{Unit, criterion, report};
use support::samples::percentile;
use tokio::runtime::Runtime;
use tokio::time::Instant;

/// What is under way at the same time.
const CROWD: usize = 64;
const MICROSECONDS: Unit = ("µs", 1e3);
/// The targets of a large job, and how many of them are measured.
const TARGETS: usize = 10_000;
const JOBS: usize = 10;
const SATELLITE: &str = "measured-satellite";
const DAY: Duration = Duration::from_hours(24);
/// The benches of one database, by the words behind its name.
const MEASURED: [(&str, &str); 5] = [
    ("command_insert", "one command and its audit record"),
    ("command_finish", "the end of one command and its audit record"),
    ("audit_append", "one audit record"),
    ("command_insert_crowd", "one command of 64 that are inserted at the same time"),
    ("command_finish_crowd", "the end of one command of 64 that end at the same time"),
];

fn main() -> anyhow::Result<()> {
    if !is_asked_for() {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    // In a file: in memory, a commit would wait for no disk.
    let mut databases = vec![("store_sqlite", Database::sqlite(dir.path().join("hive.db")))];
    if let Ok(url) = std::env::var("HIVE_BENCH_POSTGRES") {
        databases.push(("store_postgres", url.parse()?));
    }
    for (bench, database) in databases {
        let runtime = Runtime::new()?;
        let desk = runtime.block_on(Desk::open(&database))?;
        measure(bench, &runtime, &desk);
        measure_jobs(bench, &runtime, &desk)?;
        for (name, command) in MEASURED {
            report(bench, name, None, MICROSECONDS, command)?;
        }
    }
    Ok(())
}

fn measure(bench: &str, runtime: &Runtime, desk: &Desk) {
    let mut criterion = criterion();
    let mut group = criterion.benchmark_group(bench);
    let mut run = |name: &str, work: StoreWork, size: usize| bench_one(&mut group, runtime, desk, (name, work, size));
    run("command_insert", StoreWork::Insert, 1);
    run("command_finish", StoreWork::Finish, 1);
    run("audit_append", StoreWork::Append, 1);
    run("command_insert_crowd", StoreWork::Insert, CROWD);
    run("command_finish_crowd", StoreWork::Finish, CROWD);
    group.finish();
}

/// Measures how long it takes to store a large job, and how long another write waits meanwhile.
fn measure_jobs(bench: &'static str, runtime: &Runtime, desk: &Desk) -> anyhow::Result<()> {
    let (mut took, mut waited) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        for _ in 0..JOBS {
            let (of_job, of_others) = desk.insert_job_beside_others().await?;
            took.push(of_job.as_secs_f64() * 1e3);
            waited.push(of_others.as_secs_f64() * 1e3);
        }
        anyhow::Ok(())
    })?;
    let job = format!("one job with {TARGETS} targets");
    let other = format!(
        "the longest of the single commands that are inserted one after the other beside a job of {TARGETS} targets"
    );
    for (name, samples, command) in [("job_insert", took, job), ("command_insert_beside_job", waited, other)] {
        Figure { bench, name, value: percentile(&samples, 50), unit: "ms", peer: None, command }.print(&samples);
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum StoreWork {
    Insert,
    Finish,
    Append,
}

/// Measures one of the works, so many of it at the same time: the time is that of one.
fn bench_one(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    desk: &Desk,
    (name, work, size): (&str, StoreWork, usize),
) {
    group.bench_function(name, |bencher| {
        bencher.to_async(runtime).iter_custom(|iterations| async move {
            let mut took = Duration::ZERO;
            for _ in 0..iterations.div_ceil(size as u64) {
                took += desk.do_at_once(work, size).await.expect("the store takes it");
            }
            // Criterion asks for a number of iterations, and a crowd does `size` of them at once: the time is scaled.
            let done = iterations.div_ceil(size as u64) * size as u64;
            took.mul_f64(iterations as f64 / done as f64)
        });
    });
}

/// A store with one satellite in it.
struct Desk {
    store: Arc<dyn Store>,
    source: ClockAndRng,
    satellite: SatelliteId,
}

impl Desk {
    async fn open(database: &Database) -> anyhow::Result<Self> {
        let store = database.open().await?;
        let source = ClockAndRng::default();
        let mut desk = Self { store, satellite: SatelliteId::new(source.seed()), source };
        desk.satellite = desk.register().await?;
        Ok(desk)
    }

    /// Does it so often at the same time; how long all of that took, without what had to be there before.
    async fn do_at_once(&self, work: StoreWork, size: usize) -> StoreResult<Duration> {
        let commands: Vec<NewCommand> = (0..size).map(|_| self.command()).collect();
        let ids: Vec<CommandId> = commands.iter().map(|command| command.id).collect();
        // Not measured: what is to end has to be there first.
        if let StoreWork::Finish = work {
            self.store.command_insert(commands.clone(), None, self.draft()).await?;
        }
        let began = Instant::now();
        match work {
            StoreWork::Insert => {
                let each = |command| self.store.command_insert(vec![command], None, self.draft());
                try_join_all(commands.into_iter().map(each)).await?;
            }
            StoreWork::Finish => {
                let each = |id| self.store.command_finish(id, self.outcome(), vec![self.draft()]);
                try_join_all(ids.into_iter().map(each)).await?;
            }
            StoreWork::Append => {
                try_join_all((0..size).map(|_| self.store.audit_append(self.draft()))).await?;
            }
        }
        Ok(began.elapsed())
    }

    /// Inserts a large job, and single commands one after the other until it is stored. Returns how long the job took, and the
    /// longest of the commands.
    async fn insert_job_beside_others(&self) -> StoreResult<(Duration, Duration)> {
        let (job, commands) = self.job();
        let is_stored = AtomicBool::new(false);
        let insert = async {
            let began = Instant::now();
            self.store.job_insert(job, commands, None, self.draft()).await?;
            is_stored.store(true, Ordering::Relaxed);
            StoreResult::Ok(began.elapsed())
        };
        let others = async {
            let mut longest = Duration::ZERO;
            while !is_stored.load(Ordering::Relaxed) {
                let began = Instant::now();
                self.store.command_insert(vec![self.command()], None, self.draft()).await?;
                longest = longest.max(began.elapsed());
            }
            StoreResult::Ok(longest)
        };
        try_join(insert, others).await
    }

    fn job(&self) -> (NewJob, Vec<NewCommand>) {
        let (id, now) = (JobId::new(self.source.seed()), self.source.now());
        let commands: Vec<_> = (0..TARGETS).map(|_| self.command().job_id(Some(id)).payload(String::new())).collect();
        let target = |command: &NewCommand| NewJobTarget {
            satellite_id: command.satellite_id,
            satellite_name: SATELLITE.try_into().expect("it is a name"),
            team_id: None,
            command: Ok(command.id),
        };
        let job = NewJob {
            id,
            payload: r#"{"command":"uptime","timeout_seconds":60}"#.into(),
            summary: "uptime".into(),
            asked: vec!["all".into()],
            targets: commands.iter().map(target).collect(),
            concurrency: 64,
            timeout_seconds: 60,
            expires_in_seconds: 300,
            actor: actor(),
            authorised_by: Authority::Role,
            created_at: now,
            deadline_at: now.plus(DAY),
        };
        (job, commands)
    }

    async fn register(&self) -> anyhow::Result<SatelliteId> {
        let now = self.source.now();
        let token = NewRegistrationTokenRow {
            id: RegistrationTokenId::new(self.source.seed()),
            scope: TokenScope::Global,
            team_id: None,
            description: None,
            actor: actor(),
            authorised_by: Authority::Role,
            tags: Vec::new(),
            allowed_tags: Vec::new(),
            for_satellite: None,
            created_at: now,
            expires_at: now.plus(DAY),
        };
        let token_id = token.id;
        self.store.registration_token_create(token, self.draft()).await?;
        let satellite = NewSatellite {
            id: self.satellite,
            name: SATELLITE.try_into()?,
            team_id: None,
            capabilities: Vec::new(),
            tags: Vec::new(),
            claimed_tags: Vec::new(),
            satellite_url: String::new(),
            system: SystemInfo::default(),
            agent_version: None,
            api_key_hash: "none".into(),
            created_by: "bench".into(),
            name_use: NamePolicy::New,
            attempt_hash: None,
            now,
        };
        match self.store.satellite_register(token_id, satellite, self.draft()).await? {
            // Of a database that was measured before it is another than was wanted.
            RegisterOutcome::Registered(row) => Ok(row.id),
            refused => bail!("not registered: {refused:?}"),
        }
    }

    fn command(&self) -> NewCommand {
        let now = self.source.now();
        NewCommand::new(CommandId::new(self.source.seed()), self.satellite, actor(), now, now.plus(DAY))
            .payload(r#"{"command":"uptime","timeout_seconds":60}"#.into())
            .summary("uptime".into())
    }

    fn outcome(&self) -> CommandOutcome {
        CommandOutcome {
            status: CommandStatus::Succeeded,
            end: CommandEnd { exit_code: Some(0), duration_ms: Some(3), ..CommandEnd::default() },
            finished_at: self.source.now(),
            output: Vec::new(),
        }
    }

    fn draft(&self) -> AuditDraft {
        let (id, now) = (AuditId::new(self.source.seed()), self.source.now());
        AuditDraft::new(id, now, actor(), AuditAction::SatelliteExec, self.satellite.to_string())
            .with_details(json!({ "command": "uptime" }))
    }
}

fn actor() -> Actor {
    Actor { kind: "user".into(), id: "usr_bench".into(), name: "bench".into(), ip: Some("203.0.113.7".into()) }
}
