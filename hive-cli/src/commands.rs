//! What the commands do: one file for each group.

mod audit;
mod exec;
mod given;
mod jobs;
mod keys;
mod login;
mod power;
mod satellites;
mod sessions;
mod shell;
mod teams;
mod tokens;
#[cfg(feature = "up")]
mod up;

use hive_core::{Identity, RemoteHive};
use tracing_subscriber::EnvFilter;

use crate::api::Api;
use crate::args::{Cli, Command};
use crate::failure::Result;
use crate::output::Output;
use crate::settings::{self, Given};
use crate::table::Table;

/// Runs a command and gives the exit code.
pub(crate) async fn run(cli: Cli, output: Output) -> Result<u8> {
    log(if cli.command.is_interactive() { "off" } else { "warn" });
    let given = cli.global.given();
    let done = match cli.command {
        #[cfg(feature = "up")]
        Command::Up(args) => up::run(output, args).await,
        Command::Login(args) => login::run(output, args).await,
        Command::Audit(command) => return audit::run(given, output, command).await,
        Command::Exec(args) => return exec::run(&hive(given)?, output, args).await,
        Command::Shell(args) => return shell::run(hive(given)?, output, args).await,
        Command::Sessions(command) => return sessions::run(hive(given)?, output, command).await,
        Command::Power(args) => return power::run(&hive(given)?, output, args).await,
        Command::Whoami => whoami(&hive(given)?, output).await,
        Command::Satellites(command) => satellites::run(&hive(given)?, output, command).await,
        Command::Jobs(command) => return jobs::run(&hive(given)?, output, command).await,
        Command::Commands(command) => given::run(&hive(given)?, output, command).await,
        Command::Tokens(command) => tokens::run(&hive(given)?, output, command).await,
        Command::Teams(command) => teams::run(&hive(given)?, output, command).await,
        Command::Keys(command) => keys::run(&hive(given)?, output, command).await,
    };
    done.map(|()| 0)
}

fn hive(given: Given) -> Result<RemoteHive> {
    let access = settings::settle(given)?;
    Ok(RemoteHive::connect(&access.url, access.api_key)?)
}

async fn whoami(api: &dyn Api, output: Output) -> Result<()> {
    let me = Identity::me(api).await?;
    output.show(&me, |me| {
        Table::pairs([
            ("username", me.user.username.clone()),
            ("role", word(&me.user.role)),
            ("user id", me.user.id.to_string()),
            ("API key", shown(me.api_key_id)),
        ])
    })
}

/// Logs go to stderr: only what goes wrong, and nothing onto a session's screen, unless `HIVE_LOG` asks for more.
fn log(default: &str) {
    let filter = EnvFilter::try_from_env("HIVE_LOG").unwrap_or_else(|_| default.into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

/// The word an enum has on the wire.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A value that may be missing.
fn shown(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
