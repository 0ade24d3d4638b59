//! Serving, from the arguments to the signal that ends it.

use hive_server::config::args::ServeArgs;
use hive_server::{Server, telemetry};
use serde_json::{Value, json};

use super::Outcome;
use super::args::Place;
use super::rlimit::allow_open_files;
use super::signals::on_signals;

pub(super) async fn serve(args: ServeArgs, place: Place, print: fn(&Value)) -> Outcome {
    telemetry::init(args.log_format, &args.log_level)?;
    allow_open_files();
    let hive = place.builder()?.settings(args.settings()).build().await?;
    let (id, is_new) = (hive.id(), hive.is_new());
    let server = Server::bind(args.config(), hive).await?;
    if is_new {
        tracing::warn!(
            hive.id = %id,
            "this is a new hive: nothing was stored here; if satellites and users should be here, check --data-dir and --database, \
             or restore a backup"
        );
    }
    // Before anybody knows that we are here, so that nobody can stop us in the wrong way.
    let shutdown = on_signals()?;
    print(&json!({ "event": "listening", "http": format!("http://{}", server.local_addr()) }));
    server.run(shutdown).await;
    Ok(())
}
