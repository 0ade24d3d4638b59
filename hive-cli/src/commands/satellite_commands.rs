//! `hive commands`: the commands of one satellite.

use hive_core::Error;
use hive_core::wire::api::{CommandInfo, OutputEncoding};

use super::{or_empty, wire_name};
use crate::args::CommandsCommand;
use crate::error::Result;
use crate::lookup;
use crate::output::{self, Printer};
use crate::table::TextTable;
use hive_core::HiveApi;
use hive_core::lists::collect;

pub(super) async fn run(api: &dyn HiveApi, printer: Printer, command: CommandsCommand) -> Result<()> {
    match command {
        CommandsCommand::Get { id } => {
            let info = api.commands().get(id, OutputEncoding::Lossy).await?;
            let info = info.ok_or_else(|| Error::NotFound { what: "command", id: id.to_string() })?;
            show(printer, &info)
        }
        CommandsCommand::List { satellite, order, limit } => {
            // An id is not looked up: a satellite that moved to another team is invisible, its old commands are not.
            let satellite = match satellite.parse() {
                Ok(id) => id,
                Err(_) => lookup::satellite(api, &satellite).await?.id,
            };
            let commands = api.commands();
            let list = collect(limit, order.sort, |page| commands.list(satellite, page)).await?;
            printer.show(&list, |list| {
                TextTable::of(["ID", "CREATED", "BY", "STATUS", "EXIT", "COMMAND"], list, |info| {
                    let CommandInfo { id, created_at, created_by, status, exit_code, summary, .. } = info;
                    let (id, at, exit) = (id.to_string(), created_at.to_string(), or_empty(*exit_code));
                    [id, at, created_by.clone(), status.as_str().into(), exit, summary.clone()]
                })
            })
        }
        CommandsCommand::Cancel { id } => show(printer, &api.commands().cancel(id).await?),
    }
}

fn show(printer: Printer, info: &CommandInfo) -> Result<()> {
    printer.show(info, |info| {
        TextTable::pairs([
            ("id", info.id.to_string()),
            ("satellite", info.satellite_id.to_string()),
            ("type", wire_name(&info.command_type)),
            ("command", info.summary.clone()),
            ("status", info.status.as_str().into()),
            ("exit code", or_empty(info.exit_code)),
            ("error", or_empty(info.error.as_ref().map(|error| &error.message))),
            ("given by", info.created_by.clone()),
            ("created", info.created_at.to_string()),
            ("expires", info.expires_at.to_string()),
            ("finished", or_empty(info.finished_at)),
        ])
    })?;
    let output_of = |title: &str, text: &str| {
        if text.is_empty() { Ok(()) } else { output::text(&format!("\n{title}:\n{text}")) }
    };
    if printer.is_json() {
        return Ok(());
    }
    output_of("stdout", &info.stdout)?;
    output_of("stderr", &info.stderr)
}
