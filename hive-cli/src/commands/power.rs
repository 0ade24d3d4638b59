//! `hive power`: asks before it does harm.

use hive_core::router::ExecOptions;
use hive_core::wire::api::{PowerAction, PowerRequest};

use crate::args::PowerArgs;
use crate::exec::view::ending;
use crate::exit;
use crate::failure::Result;
use crate::output::Output;
use crate::{find, terminal};
use hive_core::HiveApi;

pub(super) async fn run(api: &dyn HiveApi, output: Output, args: PowerArgs) -> Result<u8> {
    let satellite = find::satellite(api, &args.satellite).await?;
    let action = PowerAction::from(args.action);
    if !args.yes && action != PowerAction::Cancel {
        terminal::confirm(&format!("{} {}?", action.as_str(), satellite.name)).await?;
    }
    let request = PowerRequest { action, delay_seconds: args.delay, message: args.message, priority: None };
    let result = api.commands().power(satellite.id, request, ExecOptions::default()).await?;
    let sentence = format!("{}\n{}", ending(&result), result.stderr);
    output.tell(&result, sentence.trim_end())?;
    Ok(exit::of(&result.status, result.exit_code, false))
}
