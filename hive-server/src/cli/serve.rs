//! Serves a hive until a signal ends it.

use hive_server::config::args::ServeArgs;
use hive_server::{Server, log};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::CliResult;
use super::args::DataArgs;
use super::rlimit::raise_open_files;
use super::signals::shutdown_on_signals;

/// The variable with the admin key. It is no argument: other users of the machine can see those.
const ADMIN_API_KEY: &str = "HIVE_AUTH__ADMIN_API_KEY";

/// Returns the admin key of the environment. A value that is no text is one that is refused.
fn admin_api_key() -> Option<SecretString> {
    let value = std::env::var_os(ADMIN_API_KEY)?;
    Some(value.into_string().unwrap_or_default().into())
}

pub(super) async fn serve(args: ServeArgs, data: DataArgs, print: fn(&Value)) -> CliResult {
    log::init(args.log_format, &args.log_level)?;
    // Before the hive is built, because its database opens files too.
    raise_open_files();
    let mut builder = data.builder()?.settings(args.settings());
    if let Some(key) = admin_api_key() {
        builder = builder.admin_api_key(key);
    }
    let hive = builder.build().await?;
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
