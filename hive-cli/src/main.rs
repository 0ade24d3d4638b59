//! `hive`, the command line of a hive.
//!
//! [`args`] parses the arguments, [`settings`] finds the hive and its credentials, [`commands`] runs each command
//! through the service traits. [`error`] and [`hints`] say what failed and what to do. [`output`] is the only module
//! that writes, but for the bytes of a session: those are [`shell`]'s.

#![forbid(unsafe_code)]

mod args;
mod commands;
mod completion;
mod error;
mod escape;
mod exec;
mod exit;
mod files;
mod hints;
mod keyring;
mod lookup;
mod output;
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
    // Ends the process if a shell asks for completions.
    CompleteEnv::with_factory(args::command).var(completion::VARIABLE).complete();
    let cli = args::Cli::read();
    style::choose(cli.global.colour());
    let printer = output::Printer { format: cli.global.format() };
    let result = match runtime(cli.command.is_interactive()) {
        Ok(runtime) => {
            let result = runtime.block_on(commands::run(cli, printer));
            // Dropping the runtime would wait for the blocking thread that reads the terminal, until the next key.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(error::CliError::Runtime(error)),
    };
    result.unwrap_or_else(|error| printer.error(&error)).into()
}

fn runtime(is_interactive: bool) -> std::io::Result<Runtime> {
    let mut builder = if is_interactive { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.enable_all().build()
}
