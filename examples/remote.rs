//! A command on every satellite of a hive elsewhere.
//!
//! Run it with `HIVE_URL=http://127.0.0.1:3000 HIVE_API_KEY=… cargo run --example remote`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use hive_core::router::ExecOptions;
use hive_core::wire::api::{ExecCommand, Target};
use hive_core::{CommandRouter, RemoteHive};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (Ok(url), Ok(key)) = (std::env::var("HIVE_URL"), std::env::var("HIVE_API_KEY")) else {
        println!(
            "set HIVE_URL and HIVE_API_KEY to a hive that runs, and this asks all its satellites how long they are up"
        );
        return Ok(());
    };
    let hive = RemoteHive::connect(&url, key.into())?;
    let results = hive.exec_multi(vec![Target::All], ExecCommand::shell("uptime"), ExecOptions::default()).await?;
    for result in results {
        // Output is a machine's own word: escaped, so that it cannot move the terminal's cursor.
        println!("{} {:?} {}", result.satellite_name, result.status, result.stdout.trim().escape_debug());
    }
    Ok(())
}
