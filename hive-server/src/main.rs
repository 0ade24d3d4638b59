//! `hive-server`: serves a hive, and sets one up from the command line.
//!
//! Standard output carries JSON documents alone: the address of a server that listens, the secret that was just made.
//! Logs and errors go to standard error.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this file is the program's voice")]

mod cli;

use std::process::ExitCode;

use clap::Parser;
use hive_core::wire::escape::json;
use hive_server::telemetry::with_causes;
use serde_json::Value;

fn main() -> ExitCode {
    let done = tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| {
        let done = runtime.block_on(cli::run(cli::Cli::parse(), print));
        // What still runs on a blocking thread is not waited for: a stop is bounded.
        runtime.shutdown_background();
        done
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", with_causes(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn print(document: &Value) {
    println!("{}", json(&document.to_string()));
}
