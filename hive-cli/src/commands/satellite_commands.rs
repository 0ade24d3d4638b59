//! `hive commands`: the commands of one satellite.

use hive_core::Error;
use hive_core::wire::api::{CommandInfo, OutputEncoding};

use super::{shown, word};
use crate::args::CommandsCommand;
use crate::failure::Result;
use crate::output::{self, Output};
use crate::table::Table;
use crate::{find, pages};
use hive_core::HiveApi;

pub(super) async fn run(api: &dyn HiveApi, output: Output, command: CommandsCommand) -> Result<()> {
    match command {
        CommandsCommand::Get { id } => {
            let info = api.commands().get(id, OutputEncoding::Lossy).await?;
            let info = info.ok_or_else(|| Error::NotFound { what: "command", id: id.to_string() })?;
            show(output, &info)
        }
        CommandsCommand::List { satellite, limit } => {
            // One that is of another team by now is found by its id alone.
            let satellite = match satellite.parse() {
                Ok(id) => id,
                Err(_) => find::satellite(api, &satellite).await?.id,
            };
            let list = pages::collect(limit, async |page| api.commands().list(satellite, page).await).await?;
            output.show(&list, |list| {
                Table::of(["ID", "CREATED", "BY", "STATUS", "EXIT", "COMMAND"], list, |info| {
                    let CommandInfo { id, created_at, created_by, status, exit_code, summary, .. } = info;
                    let (id, at, exit) = (id.to_string(), created_at.to_string(), shown(*exit_code));
                    [id, at, created_by.clone(), status.as_str().into(), exit, summary.clone()]
                })
            })
        }
        CommandsCommand::Cancel { id } => show(output, &api.commands().cancel(id).await?),
    }
}

fn show(output: Output, info: &CommandInfo) -> Result<()> {
    output.show(info, |info| {
        Table::pairs([
            ("id", info.id.to_string()),
            ("satellite", info.satellite_id.to_string()),
            ("type", word(&info.command_type)),
            ("command", info.summary.clone()),
            ("status", info.status.as_str().into()),
            ("exit code", shown(info.exit_code)),
            ("error", shown(info.error.as_ref().map(|error| &error.message))),
            ("given by", info.created_by.clone()),
            ("created", info.created_at.to_string()),
            ("expires", info.expires_at.to_string()),
            ("finished", shown(info.finished_at)),
        ])
    })?;
    let output_of = |title: &str, text: &str| {
        if text.is_empty() { Ok(()) } else { output::text(&format!("\n{title}:\n{text}")) }
    };
    if output.is_json() {
        return Ok(());
    }
    output_of("stdout", &info.stdout)?;
    output_of("stderr", &info.stderr)
}
