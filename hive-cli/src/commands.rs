//! What the commands do: one file for each group.

mod api_keys;
mod audit;
mod completions;
mod exec;
mod given;
mod jobs;
mod login;
mod logout;
mod man;
mod power;
mod profiles;
mod satellites;
mod sessions;
mod shell;
mod teams;
mod tokens;
#[cfg(feature = "up")]
mod up;
mod users;
mod whoami;

use hive_core::RemoteHive;
use hive_core::wire::escape::log_field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::debug_fn;

use crate::advice;
use crate::args::{CallCommand, Cli, Command, LocalCommand};
use crate::failure::Result;
use crate::output::Output;
use crate::settings::{self, Access, Wanted};

/// Runs a command and gives the exit code.
pub(crate) async fn run(cli: Cli, output: Output) -> Result<u8> {
    log(if cli.command.is_interactive() { "off" } else { "warn" });
    let wanted = cli.global.wanted();
    let done = match cli.command {
        Command::Call(command) => return call(wanted, output, command).await,
        Command::Local(command) => match command {
            #[cfg(feature = "up")]
            LocalCommand::Up(args) => up::run(output, args).await,
            LocalCommand::Login(args) => login::run(output, wanted, args).await,
            LocalCommand::Logout(args) => logout::run(output, wanted, args).await,
            LocalCommand::Profiles(command) => profiles::run(output, command).await,
            LocalCommand::Audit(command) => return audit::run(wanted, output, command).await,
            LocalCommand::Completions(args) => completions::run(&args),
            LocalCommand::Man(args) => man::run(output, &args),
        },
    };
    done.map(|()| 0)
}

/// Makes a call to the hive that is meant.
async fn call(wanted: Wanted, output: Output, command: CallCommand) -> Result<u8> {
    let called = Called::settle(wanted).await?;
    let done = ask(&called, output, command).await;
    called.advise(done).await
}

async fn ask(called: &Called, output: Output, command: CallCommand) -> Result<u8> {
    let hive = &called.hive;
    let done = match command {
        CallCommand::Exec(args) => return exec::run(hive, output, args).await,
        CallCommand::Shell(args) => return shell::run(hive.clone(), output, args).await,
        CallCommand::Sessions(command) => return sessions::run(hive.clone(), output, command).await,
        CallCommand::Power(args) => return power::run(hive, output, args).await,
        CallCommand::Jobs(command) => return jobs::run(hive, output, command).await,
        CallCommand::Whoami => whoami::run(hive, &called.access, output).await,
        CallCommand::Satellites(command) => satellites::run(hive, output, command).await,
        CallCommand::Commands(command) => given::run(hive, output, command).await,
        CallCommand::Tokens(command) => tokens::run(hive, output, command).await,
        CallCommand::Users(command) => users::run(hive, output, command).await,
        CallCommand::Passwd(_) => users::passwd(hive, output).await,
        CallCommand::Teams(command) => teams::run(hive, output, command).await,
        CallCommand::ApiKeys(command) => api_keys::run(hive, output, command).await,
    };
    done.map(|()| 0)
}

/// A hive that is called, and how it came to be this one.
struct Called {
    hive: RemoteHive,
    access: Access,
}

impl Called {
    async fn settle(wanted: Wanted) -> Result<Self> {
        let access = settings::settle(wanted).await?;
        let hive = RemoteHive::connect(&access.url, access.api_key.clone())?;
        Ok(Self { hive, access })
    }

    /// Adds to a failure what this hive may know about it.
    async fn advise<T>(&self, done: Result<T>) -> Result<T> {
        match done {
            Err(failure) => Err(advice::on_call(&self.hive, &self.access, failure).await),
            done => done,
        }
    }
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
