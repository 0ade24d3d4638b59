//! What the commands do: one file for each group.

mod api_keys;
mod audit;
mod completions;
mod exec;
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
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::debug_fn;

use crate::args::{CallCommand, Cli, Command, LocalCommand};
use crate::failure::Result;
use crate::output::Output;
use crate::settings::HiveSelector;
use invocation::Invocation;

/// Runs a command and returns the exit code.
pub(crate) async fn run(cli: Cli, output: Output) -> Result<u8> {
    log(if cli.command.is_interactive() { "off" } else { "warn" });
    let selector = cli.global.selector();
    let result = match cli.command {
        Command::Call(command) => return call(selector, output, command).await,
        Command::Local(command) => match command {
            #[cfg(feature = "up")]
            LocalCommand::Up(args) => up::run(output, args).await,
            LocalCommand::Login(args) => login::run(output, selector, args).await,
            LocalCommand::Logout(args) => logout::run(output, selector, args).await,
            LocalCommand::Profiles(command) => profiles::run(output, command).await,
            LocalCommand::Audit(command) => return audit::run(selector, output, command).await,
            LocalCommand::Completions(args) => completions::run(&args),
            LocalCommand::Man(args) => man::run(output, &args),
        },
    };
    result.map(|()| 0)
}

/// Runs a command that calls the selected hive.
async fn call(selector: HiveSelector, output: Output, command: CallCommand) -> Result<u8> {
    let invocation = Invocation::connect(selector).await?;
    let result = dispatch(&invocation, output, command).await;
    invocation.with_hint(result).await
}

async fn dispatch(invocation: &Invocation, output: Output, command: CallCommand) -> Result<u8> {
    let hive = &invocation.hive;
    let result = match command {
        CallCommand::Exec(args) => return exec::run(hive, output, args).await,
        CallCommand::Shell(args) => return shell::run(hive.clone(), output, args).await,
        CallCommand::Sessions(command) => return sessions::run(hive.clone(), output, command).await,
        CallCommand::Power(args) => return power::run(hive, output, args).await,
        CallCommand::Jobs(command) => return jobs::run(hive, output, command).await,
        CallCommand::Whoami => whoami::run(hive, &invocation.credentials, output).await,
        CallCommand::Satellites(command) => satellites::run(hive, output, command).await,
        CallCommand::Commands(command) => satellite_commands::run(hive, output, command).await,
        CallCommand::Tokens(command) => tokens::run(hive, output, command).await,
        CallCommand::Users(command) => users::run(hive, output, command).await,
        CallCommand::Passwd(_) => users::passwd(hive, output).await,
        CallCommand::Teams(command) => teams::run(hive, output, command).await,
        CallCommand::ApiKeys(command) => api_keys::run(hive, output, command).await,
    };
    result.map(|()| 0)
}

/// Logs go to stderr: only what goes wrong, and nothing onto a session's screen, unless `HIVE_LOG` asks for more.
fn log(default: &str) {
    let filter = EnvFilter::try_from_env("HIVE_LOG").unwrap_or_else(|_| default.into());
    let fields = debug_fn(|to, field, value| {
        let is_styled = to.has_ansi_escapes();
        log_field(to, field.name(), value, is_styled)
    });
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.fmt_fields(fields.delimited(" ")).init();
}

/// The word an enum has on the wire.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A value that may be missing.
fn shown(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
