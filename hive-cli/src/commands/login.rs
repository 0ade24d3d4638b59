//! `hive login`: exchanges a password for an API key and saves it, or saves an API key that the user has.

use std::io::IsTerminal;

use hive_core::wire::ApiKeyId;
use hive_core::wire::api::{ApiKeyCreate, LoginRequest};
use hive_core::{Error, RemoteHive};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::args::LoginArgs;
use crate::error::{CliError, Result};
use crate::keyring::KeyringError;
use crate::output::{self, Printer};
use crate::profiles::{self, Profile, Profiles};
use crate::settings::{self, HiveSelector};
use crate::terminal;

/// A login that the hive accepted.
struct NewLogin {
    hive: RemoteHive,
    username: String,
    id: ApiKeyId,
    api_key: SecretString,
}

pub(super) async fn run(printer: Printer, selector: HiveSelector, args: LoginArgs) -> Result<()> {
    let mut profiles = Profiles::load()?;
    let login = if args.with_key { with_key(&args).await? } else { with_password(&args).await? };
    let url = login.hive.url().to_owned();
    let name = settings::selected_profile(&selector).unwrap_or_else(|| profiles::default_name(&url));
    let name = profiles::validate_name(&name)?;
    let created = Profile::create(&url, &login.username, login.id, &login.api_key, !args.no_keyring).await;
    let (profile, no_keyring) = created;
    let (location, replaced) = (profile.key_location(), profiles.put(name, profile));
    // Saved before the old key is revoked: an error on the way leaves one key that works.
    profiles.save()?;
    if let Some(old) = replaced {
        profiles.delete_key_of(&old).await.ok();
        revoke_replaced_key(&login, &profiles, &old).await;
    }
    if let Some(error) = no_keyring.filter(|error| !matches!(error, KeyringError::Missing)) {
        output::note(&format!("{error}; the key is in a file instead"));
    }
    let where_it_is = if location == "keyring" { "the keyring".into() } else { profiles.path().display().to_string() };
    let NewLogin { username, id, .. } = login;
    let sentence = format!("{username} is logged in to {url} (profile {name}); the key is in {where_it_is}");
    let document = json!({ "profile": name, "url": url, "username": username, "api_key_id": id, "key_in": location });
    printer.report(&document, &sentence)
}

async fn with_password(args: &LoginArgs) -> Result<NewLogin> {
    let username = match &args.username {
        Some(username) => username.clone(),
        None if std::io::stdin().is_terminal() => terminal::ask("Username: ").await?,
        None => return Err(CliError::usage("no username: give it with --username")),
    };
    warn_if_unencrypted(&args.hive);
    let password = terminal::password("Password: ").await?;
    let request = LoginRequest { username: username.clone(), password: password.expose_secret().to_owned() };
    let (hive, _) = RemoteHive::login(&args.hive, request).await.map_err(|error| match error {
        error @ Error::AuthInvalid => CliError::from(error).with_hint(format!(
            "Check the username and the password; an admin sets a new one with `hive users reset-password {username}`"
        )),
        error => error.into(),
    })?;
    // The session of the login expires; the API key made with it does not.
    let key = hive.identity().api_key_create(ApiKeyCreate { name: key_name(), ..ApiKeyCreate::default() }).await?;
    Ok(NewLogin { hive, username, id: key.info.id, api_key: key.api_key.into() })
}

async fn with_key(args: &LoginArgs) -> Result<NewLogin> {
    warn_if_unencrypted(&args.hive);
    let api_key = terminal::password("API key: ").await?;
    let hive = RemoteHive::connect(&args.hive, api_key.clone())?;
    let me = hive.identity().me().await.map_err(|error| match error {
        error @ (Error::AuthInvalid | Error::AuthRequired) => {
            CliError::from(error).with_hint("Check that the key is complete; `hive api-keys create` makes a new one")
        }
        error => error.into(),
    })?;
    let no_key = || CliError::usage("that is not an API key");
    Ok(NewLogin { hive, username: me.user.username, id: me.api_key_id.ok_or_else(no_key)?, api_key })
}

/// Warns where the password or key goes over the network without TLS.
fn warn_if_unencrypted(url: &str) {
    if profiles::is_unencrypted(url) {
        output::note(&format!("{url} is not encrypted: anyone on the network path can read what you send"));
    }
}

/// Revokes the key of the replaced login, unless a profile still uses it. An error is ignored: the new login works, and
/// the old key is in `hive api-keys list`.
async fn revoke_replaced_key(login: &NewLogin, profiles: &Profiles, old: &Profile) {
    // The new login has no rights at another hive.
    let is_same_hive = old.url == login.hive.url();
    if let Some(id) = old.api_key_id.filter(|id| is_same_hive && !profiles.any_has_key(*id)) {
        login.hive.identity().api_key_revoke(id).await.ok();
    }
}

/// Returns the name of the key, by which its owner recognizes it in `hive api-keys list`.
fn key_name() -> String {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    format!("hive login on {}", host.as_deref().unwrap_or("an unnamed machine"))
}
