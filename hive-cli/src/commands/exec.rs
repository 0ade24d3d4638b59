//! `hive exec`: on one satellite as if it were here, on several as a job of the hive, or as one JSON document.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use data_encoding::BASE64;
use hive_core::job::JobOptions;
use hive_core::router::ExecOptions;
use hive_core::wire::SatelliteId;
use hive_core::wire::agent::ErrorBody;
use hive_core::wire::api::{
    CommandStatus, ExecCommand, ExecResult, JobEvent, JobStatus, OutputEncoding, Satellite, Target, TargetStatus,
};

use super::shown;
use crate::args::ExecArgs;
use crate::exec::ends::Ends;
use crate::exec::follow::{begun, follow};
use crate::exec::interrupts::Interrupts;
use crate::exec::job::{self, OnInterrupt};
use crate::exec::progress::Progress;
use crate::exec::results;
use crate::exec::view::{View, status_word};
use crate::failure::{Failure, Result};
use crate::output::{self, Format, Output};
use crate::table::Table;
use crate::{exit, find, hints};
use hive_core::HiveApi;

/// The most bytes of a standard input.
const MAX_STDIN: usize = 512 * 1024;

pub(super) async fn run(api: &dyn HiveApi, output: Output, args: ExecArgs) -> Result<u8> {
    let targets = find::targets(&args.targets)?;
    let options = ExecOptions {
        idempotency_key: args.idempotency_key.clone(),
        encoding: OutputEncoding::Lossy,
        concurrency: args.concurrency,
    };
    let (is_queued, is_detached) = (args.no_wait, args.detach);
    let hint = hints::for_shell_line(&args.targets, &args.argv);
    let command = command(args).await?;
    let is_one = matches!(targets.as_slice(), [Target::Id(_) | Target::Name(_)]);
    if is_queued {
        submit(api, output, &targets, command, options).await
    } else if is_one && !is_detached {
        wait(api, output, targets, command, options, hint).await
    } else {
        let status = fan_out(api, output, targets, command, options, is_detached).await?;
        if let Some(hint) = hint.filter(|_| status == exit::NOT_STARTED && !output.is_json()) {
            output::hint(&hint);
        }
        Ok(status)
    }
}

/// Several satellites are a job of the hive: it goes on whatever becomes of us.
async fn fan_out(
    api: &dyn HiveApi,
    output: Output,
    targets: Vec<Target>,
    command: ExecCommand,
    options: ExecOptions,
    is_detached: bool,
) -> Result<u8> {
    let mut interrupts = Interrupts::listen()?;
    let ExecOptions { idempotency_key, concurrency, encoding: _ } = options;
    let options = JobOptions { idempotency_key, concurrency, deadline_seconds: None };
    let (job, interrupted) = begun(api.jobs().submit(targets, command, options), &mut interrupts).await?;
    if interrupted.is_some() {
        api.jobs().cancel(job.id).await?;
    }
    if is_detached {
        output.tell(&job, &job.id.to_string())?;
        return Ok(0);
    }
    let (mut ends, mut worst) = (Ends::new(api, job.id), 0);
    let on_target = async |event: &JobEvent, progress: &Progress| {
        if !output.is_lines() {
            return Ok(());
        }
        let Some(result) = ends.result(event).await? else { return Ok(()) };
        worst = worst.max(exit::of(&result.status, result.exit_code, result.truncated));
        progress.aside(|| output::line(&result))
    };
    let followed = match job::follow(api, job.id, &mut interrupts, OnInterrupt::Cancel, on_target).await {
        Err(failure @ Failure::Output(_)) => {
            // Nobody takes the results any more: as with one satellite, what runs is ended.
            api.jobs().cancel(job.id).await?;
            return Err(failure);
        }
        followed => followed?,
    };
    let worst = match output.format {
        Format::Table => results::grouped(api, job.id).await?,
        Format::Json => results::json(api, output, job.id).await?,
        Format::Jsonl => worst,
    };
    let Some(signal) = interrupted.or(followed.interrupted) else { return Ok(worst) };
    output::note(&match followed.job.status {
        JobStatus::Cancelled => format!("{} was cancelled", job.id),
        _ => format!("{} is still being cancelled; see `hive jobs show {}`", job.id, job.id),
    });
    Ok(exit::of_signal(signal))
}

async fn command(args: ExecArgs) -> Result<ExecCommand> {
    let stdin = match &args.stdin {
        Some(path) => Some(BASE64.encode(&read_stdin(path).await?)),
        None => None,
    };
    let (command, arguments) = match (args.shell, args.argv) {
        (Some(line), _) => (line, None),
        (None, mut argv) if !argv.is_empty() => (argv.remove(0), Some(argv)),
        (None, _) => return Err(Failure::usage("no command: give it behind --, or a line with --shell")),
    };
    Ok(ExecCommand {
        command,
        args: arguments,
        env: args.env.into_iter().map(|variable| (variable.name, variable.value)).collect(),
        cwd: args.cwd,
        stdin,
        timeout_seconds: args.timeout,
        expires_in_seconds: args.expires_in,
        idempotent: false,
        priority: args.priority.map(Into::into),
    })
}

async fn read_stdin(path: &Path) -> Result<Vec<u8>> {
    let source = path.to_owned();
    let read = move || {
        if source.as_os_str() == "-" { read_bounded(io::stdin()) } else { read_bounded(File::open(source)?) }
    };
    // Its own thread: a pipe may be silent for long.
    let bytes = tokio::task::spawn_blocking(read).await.map_err(io::Error::other).flatten();
    let bytes = bytes.map_err(Failure::file("read", path))?;
    if bytes.len() > MAX_STDIN {
        return Err(Failure::usage(format!("--stdin: more than {MAX_STDIN} bytes")));
    }
    Ok(bytes)
}

fn read_bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_STDIN as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

async fn wait(
    api: &dyn HiveApi,
    output: Output,
    targets: Vec<Target>,
    command: ExecCommand,
    options: ExecOptions,
    hint: Option<String>,
) -> Result<u8> {
    let mut interrupts = Interrupts::listen()?;
    let who = targets.first().map(ToString::to_string).unwrap_or_default();
    let view = View { is_collected: output.is_json(), who, on_missing_program: hint };
    let events = begun(api.commands().exec_stream(targets, command, options), &mut interrupts).await?;
    let followed = follow(api, events, view, interrupts).await?;
    if output.is_json() {
        output.json(&followed.results)?;
    }
    Ok(followed.interrupted.map_or_else(|| exit::worst(&followed.results), exit::of_signal))
}

async fn submit(
    api: &dyn HiveApi,
    output: Output,
    targets: &[Target],
    command: ExecCommand,
    options: ExecOptions,
) -> Result<u8> {
    let satellites = find::satellites(api, targets).await?;
    let mut results = Vec::new();
    for satellite in &satellites {
        let options =
            ExecOptions { idempotency_key: key_for(satellite.id, satellites.len(), &options), ..options.clone() };
        let submitted = api.commands().submit(satellite.id, command.clone(), options).await;
        results.push(submission(satellite, submitted));
    }
    output.show(&results, |results| {
        Table::of(["SATELLITE", "COMMAND", "STATUS", "ERROR"], results, |result| {
            let error = result.error.as_ref().map(|error| error.message.clone());
            [
                result.satellite_name.to_string(),
                shown(result.command_id),
                status_word(&result.status).into(),
                shown(error),
            ]
        })
    })?;
    let is_all_queued = results.iter().all(|result| result.command_id.is_some());
    Ok(if is_all_queued { 0 } else { exit::worst(&results) })
}

/// A key means one command, and each satellite gets its own.
fn key_for(satellite: SatelliteId, count: usize, options: &ExecOptions) -> Option<String> {
    let key = options.idempotency_key.as_ref()?;
    Some(if count == 1 { key.clone() } else { format!("{key}-{satellite}") })
}

fn submission(satellite: &Satellite, submitted: hive_core::Result<hive_core::wire::CommandId>) -> ExecResult {
    let (command_id, error) = match submitted {
        Ok(id) => (Some(id), None),
        Err(error) => (None, Some(ErrorBody { code: error.code(), message: Failure::from(error).to_string() })),
    };
    let status = command_id.map_or(TargetStatus::NotRun, |_| TargetStatus::Command(CommandStatus::Queued));
    ExecResult {
        satellite_id: satellite.id,
        satellite_name: satellite.name.clone(),
        command_id,
        status,
        exit_code: None,
        stdout: String::new(),
        stderr: String::new(),
        duration_ms: 0,
        truncated: false,
        error,
    }
}
