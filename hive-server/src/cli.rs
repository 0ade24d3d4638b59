//! The commands of `hive-server`. Each works beside a running server on the same data.

mod args;
mod backup;
mod rlimit;
mod serve;
mod set_up;
mod signals;

use hive_core::hive::forget_trail_mark;
use hive_core::store::Database;
use hive_core::{AuditLogger, Hive};
use serde_json::{Value, json};

use self::args::Command;
use self::serve::serve;
use self::set_up::set_up;

pub(crate) use self::args::Cli;

pub(crate) type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Does what the command line says; `print` gets the documents for standard output.
pub(crate) async fn run(cli: Cli, print: fn(&Value)) -> Outcome {
    match cli.command {
        None => serve(cli.serve, cli.place, print).await,
        Some(Command::Backup { output }) => {
            backup::create(&cli.place.whole()?, &output).await?.iter().for_each(print);
            Ok(())
        }
        Some(Command::Restore { from }) => {
            let data_dir = cli.place.data_dir.clone();
            print(&backup::restore(&cli.place.whole()?, &from).await?);
            Ok(forget_trail_mark(&data_dir)?)
        }
        Some(Command::AcceptKeys) => {
            let hive = cli.place.builder()?.accept_other_keys().build().await?;
            hive.shutdown().await;
            print(&json!({ "accepted": true, "hive_id": hive.id() }));
            Ok(())
        }
        Some(Command::Check) => {
            cli.place.expect_hive()?;
            let database = cli.place.database()?;
            let hive = cli.place.builder()?.build().await?;
            let found = check(&hive, &database).await;
            hive.shutdown().await;
            let (is_sound, document) = found?;
            print(&document);
            if is_sound { Ok(()) } else { Err("stored data is damaged".into()) }
        }
        Some(Command::SetUp(command)) => {
            let hive = cli.place.builder()?.build().await?;
            let document = set_up(&hive, command).await;
            hive.shutdown().await;
            print(&document?);
            Ok(())
        }
    }
}

/// What is damaged so that the hive cannot be opened was told before this.
async fn check(hive: &Hive, database: &Database) -> hive_core::Result<(bool, Value)> {
    let (trail, faults) = (hive.as_system().verify().await?, database.check().await?);
    let is_sound = trail.valid && faults.is_empty();
    Ok((is_sound, json!({ "sound": is_sound, "database": { "faults": faults }, "audit": trail })))
}
