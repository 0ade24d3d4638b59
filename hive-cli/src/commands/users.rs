//! `hive users`, and `hive passwd` for oneself.

use hive_core::wire::api::{PasswordChange, User, UserCreate, UserUpdate};
use hive_core::wire::credential::Secret;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::api_keys::with;
use super::{or_empty, wire_name};
use crate::args::UsersCommand;
use crate::error::{CliError, Result};
use crate::output::Printer;
use crate::table::TextTable;
use crate::{lookup, terminal};
use hive_core::HiveApi;

pub(super) async fn run(api: &dyn HiveApi, printer: Printer, command: UsersCommand) -> Result<()> {
    match command {
        UsersCommand::List(order) => {
            let users = lookup::users(api, order.sort).await?;
            printer.show(&users, |users| TextTable::of(["USERNAME", "ID", "ROLE", "CREATED", "STATE"], users, row))
        }
        UsersCommand::Get { user } => show(printer, &lookup::user(api, &user).await?),
        UsersCommand::Create { username, role } => {
            let new = api.identity().user_create(UserCreate { username, role: role.into() }).await;
            let new = new.map_err(CliError::of_naming("hive users list"))?;
            let sentence = format!("User {}, password {} (shown this once)", new.user.username, new.password.0);
            printer.report(&new, &sentence)
        }
        UsersCommand::Role { user, role } => {
            let update = UserUpdate { role: Some(role.into()), ..UserUpdate::default() };
            change(api, printer, &user, update).await
        }
        UsersCommand::Disable { user } => set_enabled(api, printer, &user, false).await,
        UsersCommand::Enable { user } => set_enabled(api, printer, &user, true).await,
        UsersCommand::ResetPassword { user } => {
            let user = lookup::user(api, &user).await?;
            let new = api.identity().user_password_reset(user.id).await?;
            let sentence = format!("User {}, password {} (shown this once)", user.username, new.password.0);
            printer.report(&json!({ "user": user, "password": new.password }), &sentence)
        }
    }
}

async fn set_enabled(api: &dyn HiveApi, printer: Printer, user: &str, is_enabled: bool) -> Result<()> {
    change(api, printer, user, UserUpdate { disabled: Some(!is_enabled), ..UserUpdate::default() }).await
}

async fn change(api: &dyn HiveApi, printer: Printer, user: &str, update: UserUpdate) -> Result<()> {
    let id = lookup::user(api, user).await?.id;
    let changed = api.identity().user_update(id, update).await?;
    printer.show(&changed, |changed| {
        let mut pairs = pairs(changed);
        pairs.push((
            "revoked",
            changed.revoked.map(|revoked| with(&revoked).trim_start_matches(", with ").to_owned()).unwrap_or_default(),
        ));
        TextTable::pairs(pairs)
    })
}

/// Changes the caller's password.
pub(super) async fn passwd(api: &dyn HiveApi, printer: Printer) -> Result<()> {
    let current = terminal::password("Current password: ").await?;
    let new = terminal::password("New password: ").await?;
    // Only a person mistypes: a script gives two lines, not three.
    if terminal::is_interactive()
        && terminal::password("New password again: ").await?.expose_secret() != new.expose_secret()
    {
        return Err(CliError::usage("the two passwords differ; nothing was changed"));
    }
    let secret = |text: SecretString| Secret(text.expose_secret().to_owned());
    api.identity().password_change(PasswordChange { current: secret(current), new: secret(new) }).await?;
    printer
        .report(&json!({ "changed": true }), "the password is changed; all logins have ended, API keys are still valid")
}

fn state(user: &User) -> String {
    if user.disabled_at.is_some() { "disabled" } else { "active" }.into()
}

fn row(user: &User) -> [String; 5] {
    [user.username.clone(), user.id.to_string(), wire_name(&user.role), user.created_at.to_string(), state(user)]
}

fn show(printer: Printer, user: &User) -> Result<()> {
    printer.show(user, |user| TextTable::pairs(pairs(user)))
}

fn pairs(user: &User) -> Vec<(&'static str, String)> {
    vec![
        ("username", user.username.clone()),
        ("id", user.id.to_string()),
        ("role", wire_name(&user.role)),
        ("created", user.created_at.to_string()),
        ("state", state(user)),
        ("disabled", or_empty(user.disabled_at)),
    ]
}
