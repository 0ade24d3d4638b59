//! `hive profiles`: the saved logins.

use serde::Serialize;
use serde_json::json;

use crate::args::ProfilesCommand;
use crate::error::Result;
use crate::output::{self, Printer};
use crate::profiles::Profiles;
use crate::table::TextTable;

#[derive(Serialize)]
struct ProfileRow<'a> {
    name: &'a str,
    current: bool,
    url: &'a str,
    username: Option<&'a str>,
    key_in: &'static str,
}

pub(super) async fn run(printer: Printer, command: ProfilesCommand) -> Result<()> {
    let mut profiles = Profiles::load()?;
    match command {
        ProfilesCommand::List => list(printer, &profiles),
        ProfilesCommand::Use { name } => {
            profiles.set_current(&name)?;
            profiles.save()?;
            let url = &profiles.get(&name)?.1.url;
            printer.report(&json!({ "name": name, "url": url }), &format!("{name} ({url}) is the current profile"))
        }
        ProfilesCommand::Remove { name } => {
            let removed = profiles.remove(&name)?;
            profiles.save()?;
            // The profile is removed already: an error of the keyring is a note, and not the result.
            if let Err(error) = profiles.delete_key_of(&removed).await {
                output::note(&format!("its key may still be in the keyring: {error}"));
            }
            let sentence = format!("{name} is removed; its key stays valid at {}", removed.url);
            printer.report(&json!({ "name": name, "removed": true }), &sentence)
        }
    }
}

fn list(printer: Printer, profiles: &Profiles) -> Result<()> {
    let current = profiles.current().map(|(name, _)| name);
    let listed: Vec<_> = profiles
        .iter()
        .map(|(name, profile)| ProfileRow {
            name,
            current: Some(name) == current,
            url: &profile.url,
            username: profile.username.as_deref(),
            key_in: profile.key_location(),
        })
        .collect();
    if listed.is_empty() && !printer.is_json() {
        return output::text("there are no saved logins; `hive login URL` makes one");
    }
    printer.show(&listed, |listed| {
        TextTable::of(["NAME", "CURRENT", "HIVE", "USERNAME", "KEY IN"], listed, |profile| {
            [
                profile.name.to_owned(),
                if profile.current { "yes" } else { "" }.to_owned(),
                profile.url.to_owned(),
                profile.username.unwrap_or_default().to_owned(),
                profile.key_in.to_owned(),
            ]
        })
    })
}
