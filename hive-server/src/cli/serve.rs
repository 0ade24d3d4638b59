//! Serves a hive until a signal ends it.

use hive_server::config::args::ServeArgs;
use hive_server::{Server, log};
use serde_json::{Value, json};

use super::CliResult;
use super::args::DataArgs;
use super::rlimit::raise_open_files;
use super::signals::shutdown_on_signals;

pub(super) async fn serve(args: ServeArgs, data: DataArgs, print: fn(&Value)) -> CliResult {
    log::init(args.log_format, &args.log_level)?;
    // Before the hive is built, because its database opens files too.
    raise_open_files();
    let hive = data.builder()?.settings(args.settings()).build().await?;
    let (id, is_new) = (hive.id(), hive.is_new());
    let server = Server::bind(args.config(), hive).await?;
    if is_new {
        tracing::warn!(
            hive.id = %id,
            "this is a new hive without any data; if you expected satellites and users, check --data-dir and --database, or \
             restore a backup"
        );
    }
    // Before the address is printed: who reads it may send a signal at once, and the default action would not shut down.
    let shutdown = shutdown_on_signals()?;
    print(&json!({ "event": "listening", "http": format!("http://{}", server.local_addr()) }));
    server.run(shutdown).await;
    Ok(())
}
