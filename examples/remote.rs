//! A command on every satellite of a hive elsewhere.
//!
//! Run it with `HIVE_URL=http://127.0.0.1:3000 HIVE_API_KEY=… cargo run --example remote`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use anyhow::Context;
use hive_core::RemoteHive;
use hive_core::commands::ExecOptions;
use hive_core::wire::ErrorCode;
use hive_core::wire::api::{ExecCommand, PageRequest, SatelliteFilter, SatelliteStatus, Target};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::var("HIVE_URL").context("set HIVE_URL to the address of a hive")?;
    let key = std::env::var("HIVE_API_KEY").context("set HIVE_API_KEY to an API key of it")?;
    let hive = RemoteHive::connect(&url, key.into())?;

    let results =
        hive.commands().exec_multi(vec![Target::All], ExecCommand::shell("uptime"), ExecOptions::default()).await?;
    for result in &results {
        // Output is a machine's own word: escaped, so that it cannot move the terminal's cursor.
        println!("{} {:?} {}", result.satellite_name, result.status, result.stdout.trim().escape_debug());
    }
    let active = SatelliteFilter { status: Some(SatelliteStatus::Active), ..SatelliteFilter::default() };
    let known = hive.satellites().list(active, PageRequest::default()).await?;
    assert_eq!(results.len() as u64, known.total, "each has its own entry, also one that is offline");

    // An error is the one that the hive itself would have given: a program acts on its code.
    let nobody = vec![Target::Name("there-is-no-such-one".try_into()?)];
    let refused = hive.commands().exec_multi(nobody, ExecCommand::shell("true"), ExecOptions::default()).await;
    let code = refused.err().map(|error| error.code());
    println!("a satellite that is not there: {code:?}");
    assert_eq!(code, Some(ErrorCode::SatelliteNotFound));
    Ok(())
}
