//! `hive-server`: serves a hive, and manages its data from the command line.
//!
//! Standard output carries JSON documents only, such as the address of the server or a new secret. Logs and errors go to
//! standard error.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "all output of the program is in this file")]

mod cli;

use std::process::ExitCode;

use clap::Parser;
use hive_core::wire::escape::error_chain;
use hive_core::wire::escape::json;
use serde_json::Value;

fn main() -> ExitCode {
    let result = tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| {
        let result = runtime.block_on(cli::run(cli::ServerCli::parse(), print));
        // Without waiting for blocking threads, such as a slow disk: the time of a shutdown is bounded.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error_chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn print(document: &Value) {
    println!("{}", json(&document.to_string()));
}
