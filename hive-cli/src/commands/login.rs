//! `hive login`: exchanges a password for an API key and keeps the key, or keeps one that somebody has.

use std::io::IsTerminal;

use hive_core::wire::ApiKeyId;
use hive_core::wire::api::{ApiKeyCreate, LoginRequest};
use hive_core::{Error, RemoteHive};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::args::LoginArgs;
use crate::failure::{Failure, Result};
use crate::keyring::KeyringError;
use crate::output::{self, Output};
use crate::profiles::{self, Profile, Profiles};
use crate::settings::{self, HiveSelector};
use crate::terminal;

/// What a login came to.
struct Login {
    hive: RemoteHive,
    username: String,
    id: ApiKeyId,
    api_key: SecretString,
}

pub(super) async fn run(output: Output, selector: HiveSelector, args: LoginArgs) -> Result<()> {
    let mut profiles = Profiles::load()?;
    let login = if args.with_key { with_key(&args).await? } else { with_password(&args).await? };
    let url = login.hive.url().to_owned();
    let name = settings::selected_profile(&selector).unwrap_or_else(|| profiles::name_of(&url));
    let name = profiles::checked_name(&name)?;
    let kept = Profile::keep(&url, &login.username, login.id, &login.api_key, !args.no_keyring).await;
    let (profile, no_keyring) = kept;
    let (place, replaced) = (profile.place(), profiles.put(name, profile));
    profiles.save()?;
    if let Some(old) = replaced {
        profiles.forget_key_of(&old).await.ok();
        retire(&login, &profiles, &old).await;
    }
    if let Some(error) = no_keyring.filter(|error| !matches!(error, KeyringError::Missing)) {
        output::note(&format!("{error}; the key is in a file instead"));
    }
    let where_it_is = if place == "keyring" { "the keyring".into() } else { profiles.path().display().to_string() };
    let Login { username, id, .. } = login;
    let sentence = format!("{username} is logged in to {url} (profile {name}); the key is in {where_it_is}");
    let document = json!({ "profile": name, "url": url, "username": username, "api_key_id": id, "key_in": place });
    output.tell(&document, &sentence)
}

async fn with_password(args: &LoginArgs) -> Result<Login> {
    let username = match &args.username {
        Some(username) => username.clone(),
        None if std::io::stdin().is_terminal() => terminal::ask("Username: ").await?,
        None => return Err(Failure::usage("who are you? Say so with --username")),
    };
    warn_of_listeners(&args.hive);
    let password = terminal::password("Password: ").await?;
    let request = LoginRequest { username: username.clone(), password: password.expose_secret().to_owned() };
    let (hive, _) = RemoteHive::login(&args.hive, request).await.map_err(|error| match error {
        error @ Error::AuthInvalid => {
            Failure::from(error).with_hint(format!("Is {username} right, and the password? An admin gives you another one with `hive users reset-password {username}`"))
        }
        error => error.into(),
    })?;
    let key = hive.identity().api_key_create(ApiKeyCreate { name: key_name(), expires_in_hours: None }).await?;
    Ok(Login { hive, username, id: key.info.id, api_key: key.api_key.into() })
}

async fn with_key(args: &LoginArgs) -> Result<Login> {
    warn_of_listeners(&args.hive);
    let api_key = terminal::password("API key: ").await?;
    let hive = RemoteHive::connect(&args.hive, api_key.clone())?;
    let me = hive.identity().me().await.map_err(|error| match error {
        error @ (Error::AuthInvalid | Error::AuthRequired) => {
            Failure::from(error).with_hint("Is the key whole? `hive api-keys create` makes another")
        }
        error => error.into(),
    })?;
    let no_key = || Failure::usage("that is no API key");
    Ok(Login { hive, username: me.user.username, id: me.api_key_id.ok_or_else(no_key)?, api_key })
}

/// Without TLS everybody on the way can read along.
fn warn_of_listeners(url: &str) {
    if profiles::is_readable_on_the_way(url) {
        output::note(&format!("{url} is not encrypted: whoever is on the way can read what you send"));
    }
}

/// Revokes the key of the login that this one takes the place of, unless a profile still has it. Where that cannot be done,
/// the key is its owner's to find among theirs.
async fn retire(login: &Login, kept: &Profiles, old: &Profile) {
    let is_same_hive = old.url == login.hive.url();
    if let Some(id) = old.api_key_id.filter(|id| is_same_hive && !kept.have_key(*id)) {
        login.hive.identity().api_key_revoke(id).await.ok();
    }
}

/// What the key is called, so that its owner knows which one to revoke.
fn key_name() -> String {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    format!("hive login on {}", host.as_deref().unwrap_or("an unnamed machine"))
}
