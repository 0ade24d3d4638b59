//! `hive login`: exchanges a password for an API key and keeps the key.

use hive_core::wire::api::{ApiKeyCreate, LoginRequest};
use hive_core::{Identity, RemoteHive};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::args::LoginArgs;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::settings::{self, Access};
use crate::terminal;

pub(super) async fn run(output: Output, args: LoginArgs) -> Result<()> {
    let no_home = || Failure::usage("neither XDG_CONFIG_HOME nor HOME is set: there is no place for a profile");
    let path = settings::profile_path().ok_or_else(no_home)?;
    let password = terminal::password().await?;
    let request = LoginRequest { username: args.username, password: password.expose_secret().to_owned() };
    let (hive, login) = RemoteHive::login(&args.hive, request).await?;
    let key = hive.api_key_create(ApiKeyCreate { name: key_name(), expires_in_hours: None }).await?;
    let access = Access { url: hive.url().to_owned(), api_key: key.api_key.into() };
    settings::save(&path, &access)?;
    let sentence = format!("{} is logged in to {}; the key is in {}", login.user.username, access.url, path.display());
    output.tell(&json!({ "url": access.url, "username": login.user.username, "api_key_id": key.info.id }), &sentence)
}

/// What the key is called, so that its owner knows which one to revoke.
fn key_name() -> String {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    format!("hive login on {}", host.as_deref().unwrap_or("an unnamed machine"))
}
