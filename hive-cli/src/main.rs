//! `hive`, the command line of a hive.
//!
//! [`args`] says what may be typed, [`settings`] which hive is meant, [`commands`] what is done: each through the service
//! traits, so that it does not matter where the hive is; [`hints`] what helps where that fails. [`output`] is the only place that writes, but for a terminal's own
//! bytes: those are [`shell`]'s.

#![forbid(unsafe_code)]

mod args;
mod commands;
mod completing;
mod escape;
mod exec;
mod exit;
mod failure;
mod files;
mod find;
mod hints;
mod keyring;
mod output;
mod pages;
mod profiles;
mod settings;
mod shell;
mod style;
mod table;
mod terminal;

use std::process::ExitCode;

use clap_complete::CompleteEnv;
use tokio::runtime::{Builder, Runtime};

fn main() -> ExitCode {
    CompleteEnv::with_factory(args::command).var(completing::VARIABLE).complete();
    let cli = args::Cli::read();
    style::choose(cli.global.colour());
    let output = output::Output { format: cli.global.format() };
    let ended = match runtime(cli.command.is_interactive()) {
        Ok(runtime) => {
            let ended = runtime.block_on(commands::run(cli, output));
            // A thread that still reads the terminal is not waited for.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(failure::Failure::Runtime(error)),
    };
    ended.unwrap_or_else(|failure| output.failure(&failure)).into()
}

fn runtime(is_interactive: bool) -> std::io::Result<Runtime> {
    let mut builder = if is_interactive { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.enable_all().build()
}
