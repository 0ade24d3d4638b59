//! `hive jobs`: commands on many satellites that the hive runs on its own.

use hive_core::wire::JobId;
use hive_core::wire::api::{Job, JobEvent, JobSort, Sort};

use super::{or_empty, wire_name};
use crate::args::JobsCommand;
use crate::error::Result;
use crate::exec::display::status_word;
use crate::exec::interrupts::Interrupts;
use crate::exec::job::{OnInterrupt, follow, no_job};
use crate::exec::progress::JobProgressBar;
use crate::exec::results::{TargetPages, grouped, json};
use crate::exit;
use crate::output::{self, JsonList, Printer};
use crate::table::TextTable;
use hive_core::HiveApi;
use hive_core::lists::collect;

pub(super) async fn run(api: &dyn HiveApi, printer: Printer, command: JobsCommand) -> Result<u8> {
    match command {
        JobsCommand::List { order, limit } => list(api, printer, order.sort, limit).await,
        JobsCommand::Show { id, output: with_output } => show(api, printer, id, with_output).await,
        JobsCommand::Watch { id } => watch(api, printer, id).await,
        JobsCommand::Cancel { id } => {
            let job = api.jobs().cancel(id).await?;
            describe(printer, &job).map(|()| 0)
        }
    }
}

async fn list(api: &dyn HiveApi, printer: Printer, sort: Option<Sort<JobSort>>, limit: usize) -> Result<u8> {
    let jobs = api.jobs();
    let list = collect(limit, sort, |page| jobs.list(page)).await?;
    printer.show(&list, |list| {
        TextTable::of(["ID", "CREATED", "BY", "STATUS", "DONE", "COMMAND"], list, |job| {
            [
                job.id.to_string(),
                job.created_at.to_string(),
                job.created_by.clone(),
                wire_name(&job.status),
                progress(job),
                job.summary.clone(),
            ]
        })
    })?;
    Ok(0)
}

async fn show(api: &dyn HiveApi, printer: Printer, id: JobId, with_output: bool) -> Result<u8> {
    let job = api.jobs().get(id).await?.ok_or_else(|| no_job(id))?;
    // The same document as that of `hive exec -o json`, without the job.
    if printer.is_json() && with_output {
        json(api, printer, id).await?;
        return Ok(0);
    }
    describe(printer, &job)?;
    if printer.is_json() {
        return Ok(0);
    }
    output::text("")?;
    if with_output {
        grouped(api, id).await?;
        return Ok(0);
    }
    let mut table = TextTable::new(&["SATELLITE", "COMMAND", "STATUS", "EXIT", "OUTPUT", "ERROR"]);
    let mut targets = TargetPages::new(api, id);
    while let Some(page) = targets.next().await? {
        for target in page {
            table.row([
                target.satellite_name.to_string(),
                or_empty(target.command_id),
                status_word(&target.status).to_owned(),
                or_empty(target.exit_code),
                (target.stdout_bytes + target.stderr_bytes).to_string(),
                or_empty(target.error.map(|error| error.message)),
            ]);
        }
    }
    output::table(&table)?;
    Ok(0)
}

async fn watch(api: &dyn HiveApi, printer: Printer, id: JobId) -> Result<u8> {
    let mut interrupts = Interrupts::listen()?;
    let mut list = printer.is_json().then(|| JsonList::new(printer));
    let on_target = async |event: &JobEvent, progress: &JobProgressBar| {
        progress.hide_while(|| match &mut list {
            Some(list) => list.push(event),
            None => show_event(event),
        })
    };
    let outcome = follow(&*api.jobs(), id, &mut interrupts, OnInterrupt::Leave, on_target).await?;
    if let Some(list) = list {
        list.end()?;
    } else {
        output::text(&format!("{id}: {}, {} done", wire_name(&outcome.job.status), progress(&outcome.job)))?;
    }
    // 0 also for a job that failed: to watch it succeeded.
    Ok(outcome.interrupted.map_or(0, exit::of_signal))
}

fn show_event(event: &JobEvent) -> Result<()> {
    let JobEvent::Target { satellite_name, status, exit_code, .. } = event else { return Ok(()) };
    let code = exit_code.filter(|code| *code != 0).map(|code| format!(", exit code {code}")).unwrap_or_default();
    output::text(&format!("{satellite_name}: {}{code}", status_word(status)))
}

pub(super) fn describe(printer: Printer, job: &Job) -> Result<()> {
    printer.show(job, |job| {
        let counts: Vec<_> = job.counts.iter().map(|(status, count)| format!("{count} {status}")).collect();
        TextTable::pairs([
            ("id", job.id.to_string()),
            ("command", job.summary.clone()),
            ("targets", job.targets.join(" ")),
            ("status", wire_name(&job.status)),
            ("satellites", counts.join(", ")),
            ("at once", job.concurrency.to_string()),
            ("given by", job.created_by.clone()),
            ("created", job.created_at.to_string()),
            ("deadline", job.deadline_at.to_string()),
            ("cancelled", or_empty(job.cancelled_at)),
            ("finished", or_empty(job.finished_at)),
        ])
    })
}

fn progress(job: &Job) -> String {
    format!("{}/{}", job.counts.ended(), job.counts.total())
}
