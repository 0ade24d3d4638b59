//! The commands of `hive-server`. Each can run beside a server on the same data.

mod args;
mod backup;
mod rlimit;
mod serve;
mod setup;
mod signals;

use hive_core::Hive;
use hive_core::hive::reset_audit_head;
use hive_core::store::Database;
use hive_core::store::backup::BackupScope;
use serde_json::{Value, json};

use self::args::ServerCommand;
use self::serve::serve;
use self::setup::run_setup;

pub(crate) use self::args::ServerCli;

pub(crate) type CliResult = Result<(), Box<dyn std::error::Error>>;

/// Runs a command. `print` writes a document to standard output.
pub(crate) async fn run(cli: ServerCli, print: fn(&Value)) -> CliResult {
    match cli.command {
        None => serve(cli.serve, cli.data, print).await,
        Some(ServerCommand::Backup { output, with_telemetry }) => {
            let scope = if with_telemetry { BackupScope::HiveAndTelemetry } else { BackupScope::Hive };
            backup::create(&cli.data.backup_source()?, scope, &output).await?.iter().for_each(print);
            Ok(())
        }
        Some(ServerCommand::Restore { from }) => {
            let data_dir = cli.data.data_dir.clone();
            print(&backup::restore(&cli.data.backup_source()?, &from).await?);
            // The noted head is that of the log before the restore, and the restored log may be shorter.
            Ok(reset_audit_head(&data_dir)?)
        }
        Some(ServerCommand::AcceptKeys) => {
            let hive = cli.data.builder_beside_server().await?.accept_other_keys().build().await?;
            hive.shutdown().await;
            print(&json!({ "accepted": true, "hive_id": hive.id() }));
            Ok(())
        }
        Some(ServerCommand::Check) => {
            // Building a hive creates what is missing, and a check must not do that.
            cli.data.expect_hive()?;
            let database = cli.data.database()?;
            let hive = cli.data.builder_beside_server().await?.build().await?;
            let found = check(&hive, &database).await;
            // Before the result is checked: a hive that failed has to release its database as well.
            hive.shutdown().await;
            let (is_sound, document) = found?;
            print(&document);
            if is_sound { Ok(()) } else { Err("stored data is damaged".into()) }
        }
        Some(ServerCommand::Setup(command)) => {
            let hive = cli.data.builder_beside_server().await?.build().await?;
            let document = run_setup(&hive, command).await;
            hive.shutdown().await;
            print(&document?);
            Ok(())
        }
    }
}

/// Checks the audit log and the databases. Damage that keeps the hive from opening has been reported before. Damaged telemetry is
/// reported and is no damage of the hive: its server sets it aside at the next start.
async fn check(hive: &Hive, database: &Database) -> hive_core::Result<(bool, Value)> {
    let (audit_log, faults) = (hive.as_system().audit().verify().await?, database.check().await?);
    let is_sound = audit_log.valid && faults.is_empty();
    let telemetry = database.check_telemetry().await?;
    let document = json!({
        "sound": is_sound,
        "database": { "faults": faults },
        "telemetry": { "faults": telemetry },
        "audit": audit_log,
    });
    Ok((is_sound, document))
}
