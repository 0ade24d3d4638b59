//! Runs the commands: one file for each group.

mod addresses;
mod api;
mod api_keys;
mod audit;
mod completions;
mod exec;
mod groups;
mod invocation;
mod jobs;
mod login;
mod logout;
mod man;
mod power;
mod profiles;
mod satellite_commands;
mod satellites;
mod sessions;
mod shell;
mod teams;
mod tokens;
#[cfg(feature = "up")]
mod up;
mod users;
mod whoami;

use hive_core::wire::escape::log_field;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::args::{CallCommand, Cli, CliCommand, LocalCommand};
use crate::error::Result;
use crate::output::Printer;
use crate::settings::HiveSelector;
use invocation::Invocation;

/// Runs a command and returns the exit code.
pub(crate) async fn run(cli: Cli, printer: Printer) -> Result<u8> {
    log(if cli.command.is_interactive() { LevelFilter::OFF } else { LevelFilter::WARN });
    let selector = cli.global.selector();
    let result = match cli.command {
        CliCommand::Call(command) => return call(selector, printer, command).await,
        CliCommand::Local(command) => match command {
            #[cfg(feature = "up")]
            LocalCommand::Up(args) => up::run(printer, args).await,
            LocalCommand::Login(args) => login::run(printer, selector, args).await,
            LocalCommand::Logout(args) => logout::run(printer, selector, args).await,
            LocalCommand::Profiles(command) => profiles::run(printer, command).await,
            LocalCommand::Audit(command) => return audit::run(selector, printer, command).await,
            LocalCommand::Completions(args) => completions::run(&args),
            LocalCommand::Man(args) => man::run(printer, &args),
        },
    };
    result.map(|()| 0)
}

/// Runs a command that calls the selected hive.
async fn call(selector: HiveSelector, printer: Printer, command: CallCommand) -> Result<u8> {
    let invocation = Invocation::connect(selector).await?;
    let result = dispatch(&invocation, printer, command).await;
    invocation.with_hint(result).await
}

async fn dispatch(invocation: &Invocation, printer: Printer, command: CallCommand) -> Result<u8> {
    let hive = &invocation.hive;
    let result = match command {
        CallCommand::Exec(args) => return exec::run(hive, printer, args).await,
        CallCommand::Shell(args) => return shell::run(hive.clone(), printer, args).await,
        CallCommand::Sessions(command) => return sessions::run(hive.clone(), printer, command).await,
        CallCommand::Power(args) => return power::run(hive, printer, args).await,
        CallCommand::Jobs(command) => return jobs::run(hive, printer, command).await,
        CallCommand::Whoami => whoami::run(hive, &invocation.credentials, printer).await,
        CallCommand::Satellites(command) => satellites::run(hive, printer, command).await,
        CallCommand::Groups(command) => groups::run(hive, printer, command).await,
        CallCommand::Commands(command) => satellite_commands::run(hive, printer, command).await,
        CallCommand::Tokens(command) => tokens::run(hive, printer, command).await,
        CallCommand::Users(command) => users::run(hive, printer, command).await,
        CallCommand::Passwd(_) => users::passwd(hive, printer).await,
        CallCommand::Teams(command) => teams::run(hive, printer, command).await,
        CallCommand::Api(args) => api::run(hive, printer, args).await,
        CallCommand::ApiKeys(command) => api_keys::run(hive, printer, command).await,
    };
    result.map(|()| 0)
}

/// Sends the log to standard error. Without `HIVE_LOG` it has warnings, and nothing while a session is on the terminal.
fn log(default: LevelFilter) {
    let from_environment = std::env::var("HIVE_LOG").ok().and_then(|filter| filter.parse::<Targets>().ok());
    let filter = from_environment.unwrap_or_else(|| Targets::new().with_default(default));
    // Values come from hives and satellites: the fields escape what could control the terminal.
    let fields = debug_fn(|to, field, value| {
        let is_styled = to.has_ansi_escapes();
        log_field(to, field.name(), value, is_styled)
    });
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).fmt_fields(fields.delimited(" "));
    tracing_subscriber::registry().with(filter).with(lines).init();
}

/// Returns the name of an enum's value on the wire.
fn wire_name(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Formats a value that may be missing.
fn or_empty(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
