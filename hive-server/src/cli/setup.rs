//! Commands that create users, keys and teams.

use hive_core::Hive;
use hive_core::wire::api::{ApiKeyCreate, NewUser, PlatformRole, TeamCreate, UserCreate};
use serde_json::{Value, json};

use super::args::{ApiKeyCommand, SetupCommand, TeamCommand, UserCommand};

pub(super) async fn run_setup(hive: &Hive, command: SetupCommand) -> hive_core::Result<Value> {
    match command {
        SetupCommand::Admin(UserCommand::Create { username }) => {
            add_user(hive, &username, PlatformRole::GlobalAdmin).await
        }
        SetupCommand::User(UserCommand::Create { username }) => {
            add_user(hive, &username, PlatformRole::GlobalUser).await
        }
        SetupCommand::ApiKey(ApiKeyCommand::Create { username, name }) => {
            let request = ApiKeyCreate { name, ..ApiKeyCreate::default() };
            let key = hive.as_system().api_key_create_for(&username, request).await?;
            Ok(json!({ "api_key": key.api_key }))
        }
        SetupCommand::Team(TeamCommand::Create { slug }) => {
            let team = hive.as_system().identity().team_create(TeamCreate { slug }).await?;
            Ok(json!(team))
        }
        SetupCommand::Team(TeamCommand::Add { team, username, role }) => {
            hive.as_system().team_member_add(&team, &username, role.clone()).await?;
            Ok(json!({ "team": team, "username": username, "role": role }))
        }
    }
}

async fn add_user(hive: &Hive, username: &str, role: PlatformRole) -> hive_core::Result<Value> {
    let request = UserCreate { username: username.to_owned(), role };
    let NewUser { user, password } = hive.as_system().identity().user_create(request).await?;
    Ok(json!({ "username": user.username, "password": password.0 }))
}
