//! `hive logout`: revokes the key of a login at its hive, and removes its profile.

use hive_core::{Error, RemoteHive};
use serde_json::json;

use crate::args::LogoutArgs;
use crate::error::{CliError, Result};
use crate::output::Printer;
use crate::profiles::{Profile, Profiles};
use crate::settings::{self, HiveSelector};

pub(super) async fn run(printer: Printer, selector: HiveSelector, args: LogoutArgs) -> Result<()> {
    let mut profiles = Profiles::load()?;
    let named = args.name.or_else(|| settings::selected_profile(&selector));
    let (name, profile) = match &named {
        Some(name) => profiles.get(name)?,
        None => profiles.current().ok_or_else(|| {
            CliError::NoHive("you are not logged in".into()).with_hint("`hive profiles list` shows the saved logins")
        })?,
    };
    let (name, profile) = (name.to_owned(), profile.clone());
    revoke(&profile).await.map_err(|error| {
        // The hint of the cause comes first: it may say how to reach the hive, and then the key can be revoked.
        let hint = error.hint().unwrap_or_default();
        error.with_hint(format!("{hint}\n`hive profiles remove {name}` removes it here, and leaves the key valid"))
    })?;
    // Only after the hive confirmed: a profile that is gone could not revoke its key any more.
    profiles.remove(&name)?;
    profiles.save()?;
    profiles.delete_key_of(&profile).await?;
    let sentence = format!("logged out of {} (profile {name}); the key is revoked", profile.url);
    printer.report(&json!({ "profile": name, "url": profile.url, "revoked": true }), &sentence)
}

/// Revokes the key. A key that is no longer valid counts as revoked.
async fn revoke(profile: &Profile) -> Result<()> {
    let hive = RemoteHive::connect(&profile.url, profile.api_key().await?)?;
    let revoked = async {
        // A profile of an earlier version does not know its key's id.
        let id = match profile.api_key_id {
            Some(id) => Some(id),
            None => hive.identity().me().await?.api_key_id,
        };
        match id {
            Some(id) => hive.identity().api_key_revoke(id).await.map(drop),
            None => Ok(()),
        }
    };
    match revoked.await {
        Ok(()) | Err(Error::AuthInvalid | Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
