//! `hive exec`: on one satellite like ssh, on several as a job of the hive.

mod confirmation;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use data_encoding::BASE64;
use hive_core::commands::ExecOptions;
use hive_core::jobs::JobOptions;
use hive_core::wire::SatelliteId;
use hive_core::wire::agent::{ErrorBody, MAX_STDIN};
use hive_core::wire::api::{
    CommandEnd, CommandStatus, ExecCommand, ExecResult, JobEvent, JobStatus, OutputEncoding, Satellite, Target,
    TargetStatus,
};

use self::confirmation::JobSubmission;
use super::or_empty;
use crate::args::ExecArgs;
use crate::error::{CliError, Result};
use crate::exec::display::{ExecDisplay, status_word};
use crate::exec::follow::{follow, start_or_interrupt};
use crate::exec::interrupts::Interrupts;
use crate::exec::job::{self, OnInterrupt};
use crate::exec::progress::JobProgressBar;
use crate::exec::results;
use crate::exec::target_results::TargetResults;
use crate::output::{self, Format, Printer};
use crate::table::TextTable;
use crate::{exit, hints, lookup};
use hive_core::HiveApi;

pub(super) async fn run(api: &dyn HiveApi, printer: Printer, args: ExecArgs) -> Result<u8> {
    let targets = lookup::targets(&args.targets)?;
    let options = ExecOptions {
        idempotency_key: args.idempotency_key.clone(),
        encoding: OutputEncoding::Lossy,
        concurrency: args.concurrency,
        confirm: None,
    };
    let (is_queued, is_detached, is_confirmed) = (args.no_wait, args.detach, args.yes);
    let hint = hints::for_shell_line(&args.targets, &args.argv);
    let command = command(args).await?;
    // A tag is a job even if it selects one satellite today: a script gets the same form of output every day.
    let is_one = targets.len() == 1 && targets.iter().all(Target::is_one);
    if is_queued {
        submit(api, printer, &targets, command, options, is_confirmed).await
    } else if is_one && !is_detached {
        wait(api, printer, targets, command, options, hint).await
    } else {
        let submission = JobSubmission { api, targets, command, options: job_options(options), is_confirmed };
        let status = fan_out(printer, submission, is_detached).await?;
        if let Some(hint) = hint.filter(|_| status == exit::NOT_STARTED && !printer.is_json()) {
            output::hint(&hint);
        }
        Ok(status)
    }
}

/// Runs the command on several satellites as a job. The hive owns it: it goes on when this program ends.
async fn fan_out(printer: Printer, mut submission: JobSubmission<'_>, is_detached: bool) -> Result<u8> {
    let api = submission.api;
    submission.confirm().await?;
    let mut interrupts = Interrupts::listen()?;
    let (job, interrupted) = start_or_interrupt(submission.submit(), &mut interrupts).await?;
    // The signal came while the job was created. It is cancelled, and its end is waited for like after a later signal.
    if interrupted.is_some() {
        api.jobs().cancel(job.id).await?;
    }
    if is_detached {
        printer.report(&job, &job.id.to_string())?;
        return Ok(0);
    }
    let (mut target_results, mut worst) = (TargetResults::new(api, job.id), 0);
    let on_target = async |event: &JobEvent, progress: &JobProgressBar| {
        // The other formats read all results at the end, ordered by name or in groups.
        if !printer.is_lines() {
            return Ok(());
        }
        let Some(result) = target_results.result(event).await? else { return Ok(()) };
        worst = worst.max(exit::of_target(&result.status, result.exit_code, result.truncated));
        progress.hide_while(|| output::json_line(&result))
    };
    let outcome = match job::follow(&*api.jobs(), job.id, &mut interrupts, OnInterrupt::Cancel, on_target).await {
        Err(error @ CliError::Output(_)) => {
            // The reader of the results is gone, as in `hive exec … | head -1`: the job is cancelled, as with one
            // satellite.
            api.jobs().cancel(job.id).await?;
            return Err(error);
        }
        outcome => outcome?,
    };
    let worst = match printer.format {
        Format::Table => results::grouped(api, job.id).await?,
        Format::Json => results::json(api, printer, job.id).await?,
        Format::Jsonl => worst,
    };
    let Some(signal) = interrupted.or(outcome.interrupted) else { return Ok(worst) };
    output::note(&match outcome.job.status {
        JobStatus::Cancelled => format!("{} was cancelled", job.id),
        _ => format!("{} is still being cancelled; see `hive jobs show {}`", job.id, job.id),
    });
    Ok(exit::of_signal(signal))
}

fn job_options(options: ExecOptions) -> JobOptions {
    let ExecOptions { idempotency_key, concurrency, confirm, encoding: _ } = options;
    JobOptions { idempotency_key, concurrency, confirm, deadline_seconds: None }
}

async fn command(args: ExecArgs) -> Result<ExecCommand> {
    let stdin = match &args.stdin {
        Some(path) => Some(BASE64.encode(&read_stdin(path).await?)),
        None => None,
    };
    let (command, arguments) = match (args.shell, args.argv) {
        (Some(line), _) => (line, None),
        (None, mut argv) if !argv.is_empty() => (argv.remove(0), Some(argv)),
        (None, _) => return Err(CliError::usage("no command: give it after --, or a line with --shell")),
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
    // On a blocking thread: a pipe may be silent for long.
    let bytes = tokio::task::spawn_blocking(read).await.map_err(io::Error::other).flatten();
    let bytes = bytes.map_err(CliError::file("read", path))?;
    if bytes.len() > MAX_STDIN {
        return Err(CliError::usage(format!("--stdin: more than {MAX_STDIN} bytes")));
    }
    Ok(bytes)
}

fn read_bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than the limit shows that there is more, without reading an endless source.
    from.take(MAX_STDIN as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Runs the command on one satellite and shows its output as it comes.
async fn wait(
    api: &dyn HiveApi,
    printer: Printer,
    targets: Vec<Target>,
    command: ExecCommand,
    options: ExecOptions,
    hint: Option<String>,
) -> Result<u8> {
    let mut interrupts = Interrupts::listen()?;
    let target = targets.first().map(ToString::to_string).unwrap_or_default();
    let display = ExecDisplay { is_collected: printer.is_json(), target, on_missing_program: hint };
    let events = start_or_interrupt(api.commands().exec_stream(targets, command, options), &mut interrupts).await?;
    let outcome = follow(api, events, display, interrupts).await?;
    if printer.is_json() {
        printer.json(&outcome.results)?;
    }
    Ok(outcome.interrupted.map_or_else(|| exit::worst(&outcome.results), exit::of_signal))
}

/// Queues the command on each satellite and returns without waiting.
async fn submit(
    api: &dyn HiveApi,
    printer: Printer,
    targets: &[Target],
    command: ExecCommand,
    options: ExecOptions,
    is_confirmed: bool,
) -> Result<u8> {
    let satellites = lookup::satellites(api, targets).await?;
    if !is_confirmed {
        confirmation::ask(satellites.len() as u64).await?;
    }
    // Each is a command of its own. One that is refused is a row of the table, and the others are queued all the same.
    let mut results = Vec::new();
    for satellite in &satellites {
        let options =
            ExecOptions { idempotency_key: key_for(satellite.id, satellites.len(), &options), ..options.clone() };
        let submitted = api.commands().submit(satellite.id, command.clone(), options).await;
        results.push(submission(satellite, submitted));
    }
    printer.show(&results, |results| {
        TextTable::of(["SATELLITE", "COMMAND", "STATUS", "ERROR"], results, |result| {
            let error = result.error.as_ref().map(|error| error.message.clone());
            [
                result.satellite_name.to_string(),
                or_empty(result.command_id),
                status_word(&result.status).into(),
                or_empty(error),
            ]
        })
    })?;
    // The exit code of a target that has not ended is 255. Here that is the success.
    let is_all_queued = results.iter().all(|result| result.command_id.is_some());
    Ok(if is_all_queued { 0 } else { exit::worst(&results) })
}

/// Returns the idempotency key for one satellite. A key stands for one command, so with several satellites each gets
/// its own.
fn key_for(satellite: SatelliteId, count: usize, options: &ExecOptions) -> Option<String> {
    let key = options.idempotency_key.as_ref()?;
    Some(if count == 1 { key.clone() } else { format!("{key}-{satellite}") })
}

fn submission(satellite: &Satellite, submitted: hive_core::Result<hive_core::wire::CommandId>) -> ExecResult {
    let (command_id, error) = match submitted {
        Ok(id) => (Some(id), None),
        Err(error) => (None, Some(ErrorBody { code: error.code(), message: CliError::from(error).to_string() })),
    };
    let status = command_id.map_or(TargetStatus::NotRun, |_| TargetStatus::Command(CommandStatus::Queued));
    let end = CommandEnd { error, ..CommandEnd::default() };
    ExecResult::without_output(satellite.id, satellite.name.clone(), command_id, status, end)
}
