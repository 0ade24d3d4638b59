//! `hive users`, and `hive passwd` for oneself.

use hive_core::wire::api::{PasswordChange, User, UserCreate, UserUpdate};
use hive_core::wire::credential::Secret;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{shown, word};
use crate::args::UsersCommand;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::table::Table;
use crate::{find, terminal};
use hive_core::HiveApi;

pub(super) async fn run(api: &dyn HiveApi, output: Output, command: UsersCommand) -> Result<()> {
    match command {
        UsersCommand::List => {
            let users = find::users(api).await?;
            output.show(&users, |users| Table::of(["USERNAME", "ID", "ROLE", "CREATED", "STATE"], users, row))
        }
        UsersCommand::Get { user } => show(output, &find::user(api, &user).await?),
        UsersCommand::Create { username, role } => {
            let new = api.identity().user_create(UserCreate { username, role: role.into() }).await;
            let new = new.map_err(Failure::of_naming("hive users list"))?;
            let sentence = format!("User {}, password {} (shown this once)", new.user.username, new.password.0);
            output.tell(&new, &sentence)
        }
        UsersCommand::Role { user, role } => {
            let update = UserUpdate { role: Some(role.into()), ..UserUpdate::default() };
            change(api, output, &user, update).await
        }
        UsersCommand::Disable { user } => able(api, output, &user, false).await,
        UsersCommand::Enable { user } => able(api, output, &user, true).await,
        UsersCommand::ResetPassword { user } => {
            let user = find::user(api, &user).await?;
            let new = api.identity().user_password_reset(user.id).await?;
            let sentence = format!("User {}, password {} (shown this once)", user.username, new.password.0);
            output.tell(&json!({ "user": user, "password": new.password }), &sentence)
        }
    }
}

async fn able(api: &dyn HiveApi, output: Output, user: &str, is_enabled: bool) -> Result<()> {
    change(api, output, user, UserUpdate { disabled: Some(!is_enabled), ..UserUpdate::default() }).await
}

async fn change(api: &dyn HiveApi, output: Output, user: &str, update: UserUpdate) -> Result<()> {
    let id = find::user(api, user).await?.id;
    show(output, &api.identity().user_update(id, update).await?)
}

/// Gives the caller another password.
pub(super) async fn passwd(api: &dyn HiveApi, output: Output) -> Result<()> {
    let current = terminal::password("Current password: ").await?;
    let new = terminal::password("New password: ").await?;
    if terminal::is_there() && terminal::password("New password again: ").await?.expose_secret() != new.expose_secret()
    {
        return Err(Failure::usage("the two are not the same; nothing was changed"));
    }
    let secret = |text: SecretString| Secret(text.expose_secret().to_owned());
    api.identity().password_change(PasswordChange { current: secret(current), new: secret(new) }).await?;
    output.tell(&json!({ "changed": true }), "the password is changed; all logins have ended, API keys are still valid")
}

fn state(user: &User) -> String {
    if user.disabled_at.is_some() { "disabled" } else { "active" }.into()
}

fn row(user: &User) -> [String; 5] {
    [user.username.clone(), user.id.to_string(), word(&user.role), user.created_at.to_string(), state(user)]
}

fn show(output: Output, user: &User) -> Result<()> {
    output.show(user, |user| {
        Table::pairs([
            ("username", user.username.clone()),
            ("id", user.id.to_string()),
            ("role", word(&user.role)),
            ("created", user.created_at.to_string()),
            ("state", state(user)),
            ("disabled", shown(user.disabled_at)),
        ])
    })
}
