//! `hive power`: shuts down, restarts or suspends a machine, after a question.

use hive_core::commands::ExecOptions;
use hive_core::wire::api::{PowerAction, PowerRequest};

use crate::args::PowerArgs;
use crate::error::Result;
use crate::exec::display::end_sentence;
use crate::exit;
use crate::output::Printer;
use crate::{lookup, terminal};
use hive_core::HiveApi;

pub(super) async fn run(api: &dyn HiveApi, printer: Printer, args: PowerArgs) -> Result<u8> {
    let satellite = lookup::satellite(api, &args.satellite).await?;
    let action = PowerAction::from(args.action);
    // To cancel a delayed action does no harm and needs no confirmation.
    if !args.yes && action != PowerAction::Cancel {
        terminal::confirm(&format!("{} {}?", action.as_str(), satellite.name)).await?;
    }
    let request = PowerRequest { action, delay_seconds: args.delay, message: args.message, priority: None };
    let result = api.commands().power(satellite.id, request, ExecOptions::default()).await?;
    // `shutdown` prints to standard error when it will happen.
    let sentence = format!("{}\n{}", end_sentence(&result), result.stderr);
    printer.report(&result, sentence.trim_end())?;
    Ok(exit::of_target(&result.status, result.exit_code, false))
}
