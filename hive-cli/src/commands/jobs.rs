//! `hive jobs`: commands on many satellites, owned by the hive.

use hive_core::wire::JobId;
use hive_core::wire::api::{Job, JobEvent};

use super::{shown, word};
use crate::args::JobsCommand;
use crate::exec::interrupts::Interrupts;
use crate::exec::job::{OnInterrupt, follow, no_job};
use crate::exec::progress::Progress;
use crate::exec::results::{Targets, grouped, json};
use crate::exec::view::status_word;
use crate::exit;
use crate::failure::Result;
use crate::output::{self, JsonList, Output};
use crate::pages;
use crate::table::Table;
use hive_core::HiveApi;

pub(super) async fn run(api: &dyn HiveApi, output: Output, command: JobsCommand) -> Result<u8> {
    match command {
        JobsCommand::List { limit } => list(api, output, limit).await,
        JobsCommand::Show { id, output: with_output } => show(api, output, id, with_output).await,
        JobsCommand::Watch { id } => watch(api, output, id).await,
        JobsCommand::Cancel { id } => {
            let job = api.jobs().cancel(id).await?;
            describe(output, &job).map(|()| 0)
        }
    }
}

async fn list(api: &dyn HiveApi, output: Output, limit: usize) -> Result<u8> {
    let list = pages::collect(limit, async |page| api.jobs().list(page).await).await?;
    output.show(&list, |list| {
        Table::of(["ID", "CREATED", "BY", "STATUS", "DONE", "COMMAND"], list, |job| {
            [
                job.id.to_string(),
                job.created_at.to_string(),
                job.created_by.clone(),
                word(&job.status),
                done(job),
                job.summary.clone(),
            ]
        })
    })?;
    Ok(0)
}

async fn show(api: &dyn HiveApi, output: Output, id: JobId, with_output: bool) -> Result<u8> {
    let job = api.jobs().get(id).await?.ok_or_else(|| no_job(id))?;
    if output.is_json() && with_output {
        json(api, output, id).await?;
        return Ok(0);
    }
    describe(output, &job)?;
    if output.is_json() {
        return Ok(0);
    }
    output::text("")?;
    if with_output {
        grouped(api, id).await?;
        return Ok(0);
    }
    let mut table = Table::new(&["SATELLITE", "COMMAND", "STATUS", "EXIT", "OUTPUT", "ERROR"]);
    let mut targets = Targets::new(api, id);
    while let Some(page) = targets.next().await? {
        for target in page {
            table.row([
                target.satellite_name.to_string(),
                shown(target.command_id),
                status_word(&target.status).to_owned(),
                shown(target.exit_code),
                (target.stdout_bytes + target.stderr_bytes).to_string(),
                shown(target.error.map(|error| error.message)),
            ]);
        }
    }
    output::table(&table)?;
    Ok(0)
}

async fn watch(api: &dyn HiveApi, output: Output, id: JobId) -> Result<u8> {
    let mut interrupts = Interrupts::listen()?;
    let mut list = output.is_json().then(|| JsonList::new(output));
    let on_target = async |event: &JobEvent, progress: &Progress| {
        progress.aside(|| match &mut list {
            Some(list) => list.push(event),
            None => tell(event),
        })
    };
    let followed = follow(api, id, &mut interrupts, OnInterrupt::Leave, on_target).await?;
    if let Some(list) = list {
        list.end()?;
    } else {
        output::text(&format!("{id}: {}, {} done", word(&followed.job.status), done(&followed.job)))?;
    }
    Ok(followed.interrupted.map_or(0, exit::of_signal))
}

fn tell(event: &JobEvent) -> Result<()> {
    let JobEvent::Target { satellite_name, status, exit_code, .. } = event else { return Ok(()) };
    let code = exit_code.filter(|code| *code != 0).map(|code| format!(", exit code {code}")).unwrap_or_default();
    output::text(&format!("{satellite_name}: {}{code}", status_word(status)))
}

pub(super) fn describe(output: Output, job: &Job) -> Result<()> {
    output.show(job, |job| {
        let counts: Vec<_> = job.counts.iter().map(|(status, count)| format!("{count} {status}")).collect();
        Table::pairs([
            ("id", job.id.to_string()),
            ("command", job.summary.clone()),
            ("targets", job.targets.join(" ")),
            ("status", word(&job.status)),
            ("satellites", counts.join(", ")),
            ("at once", job.concurrency.to_string()),
            ("given by", job.created_by.clone()),
            ("created", job.created_at.to_string()),
            ("deadline", job.deadline_at.to_string()),
            ("cancelled", shown(job.cancelled_at)),
            ("finished", shown(job.finished_at)),
        ])
    })
}

fn done(job: &Job) -> String {
    format!("{}/{}", job.counts.ended(), job.counts.total())
}
