//! `Identity` in this process.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use hive_wire::api::{
    ApiKeyCreate, ApiKeyInfo, Me, NewApiKey, NewPassword, NewRegistrationToken, NewUser, Page, PageRequest,
    PasswordChange, RegistrationTokenCreate, RegistrationTokenInfo, Team, TeamCreate, TeamMember, TeamMemberPut,
    TokenScope, User, UserCreate, UserUpdate,
};
use hive_wire::credential::user_key;
use hive_wire::{ApiKeyId, RegistrationTokenId, SatelliteId, TeamId, UserId};
use serde_json::json;

use super::Identity;
use super::jwt;
use super::users::no_user;
use super::verifier::hash_key;
use crate::access::{Authority, Credential, Permission, Reach, Sight, sight};
use crate::clock::Source;
use crate::commands::payload::check_known;
use crate::hive::ActingHive;
use crate::hive::acting::{Handle, Subject};
use crate::satellites::registry::{check_labels, check_patterns, normalized, window};
use crate::store::{self, ApiKeyRow};
use crate::{Error, Result};

/// The most characters of a key's name or a token's description.
const MAX_NOTE: usize = 255;
/// The longest life of an API key that has an end: ten years, in hours.
const MAX_KEY_HOURS: u32 = 10 * 365 * 24;

#[async_trait]
impl Identity for Handle {
    async fn me(&self) -> Result<Me> {
        let user = self.hive.store().user_get(self.owner()?).await?.ok_or(Error::AuthInvalid)?.user;
        let api_key_id = match self.principal.credential {
            Credential::ApiKey(key, _) => Some(key),
            _ => None,
        };
        Ok(Me { user, api_key_id })
    }

    async fn password_change(&self, change: PasswordChange) -> Result<()> {
        self.change_password(self.owner()?, change).await
    }

    async fn user_create(&self, user: UserCreate) -> Result<NewUser> {
        self.allow(Permission::UsersManage, Reach::Platform)?;
        self.add_user(user).await
    }

    async fn user_list(&self, page: PageRequest) -> Result<Page<User>> {
        self.allow(Permission::UsersManage, Reach::Platform)?;
        let (items, total) = self.hive.store().user_list(window(page)?).await?;
        Ok(Page { items, total, page: page.page, per_page: page.per_page })
    }

    async fn user_get(&self, id: UserId) -> Result<Option<User>> {
        Ok(self.user_for(id).await?.map(|row| row.user))
    }

    async fn user_update(&self, id: UserId, update: UserUpdate) -> Result<User> {
        let user = self.user_for(id).await?.ok_or_else(|| no_user(id))?.user;
        self.change_user(&user, update).await
    }

    async fn user_password_reset(&self, id: UserId) -> Result<NewPassword> {
        let user = self.user_for(id).await?.ok_or_else(|| no_user(id))?.user;
        self.reset_password(&user).await
    }

    async fn team_create(&self, team: TeamCreate) -> Result<Team> {
        self.allow(Permission::TeamsManage, Reach::Platform)?;
        let is_slug = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !(1..=32).contains(&team.slug.len()) || !team.slug.chars().all(is_slug) {
            return Err(Error::invalid("slug", "1 to 32 characters of a-z, 0-9 and '-'"));
        }
        let source = self.hive.source();
        let team = Team { id: TeamId::new(source.seed()), slug: team.slug, created_at: source.now() };
        let record = self.record(
            "team.create",
            Subject::new("team", team.id).of_team(Some(team.id)),
            json!({ "slug": team.slug }),
        );
        self.hive.store().team_create(team.clone(), record).await?;
        Ok(team)
    }

    async fn team_list(&self) -> Result<Vec<Team>> {
        let mut teams = self.hive.store().team_list().await?;
        if let Sight::Teams(mine) = sight(&self.principal, &Permission::SatellitesRead) {
            teams.retain(|team| mine.contains(&team.id));
        }
        Ok(teams)
    }

    async fn team_member_list(&self, team: TeamId) -> Result<Vec<TeamMember>> {
        self.allow_team(team).await?;
        Ok(self.hive.store().team_member_list(team).await?)
    }

    async fn team_member_put(&self, team: TeamId, member: TeamMemberPut) -> Result<TeamMember> {
        self.allow_team(team).await?;
        self.put_member(team, member).await
    }

    async fn team_member_remove(&self, team: TeamId, user: UserId) -> Result<()> {
        self.allow_team(team).await?;
        self.remove_member(team, user).await
    }

    async fn api_key_create(&self, key: ApiKeyCreate) -> Result<NewApiKey> {
        self.allow(Permission::ApiKeysOwn, Reach::Own)?;
        self.make_api_key(self.owner()?, key).await
    }

    async fn api_key_list(&self) -> Result<Vec<ApiKeyInfo>> {
        self.allow(Permission::ApiKeysOwn, Reach::Own)?;
        let rows = self.hive.store().api_key_list(self.owner()?).await?;
        Ok(rows.into_iter().map(info).collect())
    }

    async fn api_key_rotate(&self, id: ApiKeyId) -> Result<NewApiKey> {
        self.allow(Permission::ApiKeysOwn, Reach::Own)?;
        self.rotate_api_key(self.owner()?, id).await
    }

    async fn api_key_revoke(&self, id: ApiKeyId) -> Result<()> {
        self.allow(Permission::ApiKeysOwn, Reach::Own)?;
        let record = self.record("api_key.revoke", Subject::new("api_key", id), json!({}));
        let now = self.hive.source().now();
        let owner = self.owner()?;
        let is_revoked = self.hive.store().api_key_revoke(id, owner, now, record).await?;
        self.hive.recheck(Some(owner)).await;
        is_revoked.then_some(()).ok_or_else(|| no_api_key(id))
    }

    async fn registration_token_create(&self, token: RegistrationTokenCreate) -> Result<NewRegistrationToken> {
        let RegistrationTokenCreate {
            scope,
            team_id,
            expires_in_hours,
            description,
            for_satellite,
            tags,
            allowed_tags,
        } = token;
        check_known("scope", &scope)?;
        let team_id = match (&scope, team_id) {
            (TokenScope::Global, None) => None,
            (TokenScope::Team, Some(team)) => Some(team),
            (TokenScope::Global | TokenScope::Unknown(_), Some(_)) => {
                return Err(Error::invalid("team_id", "a global token has no team"));
            }
            (TokenScope::Team | TokenScope::Unknown(_), None) => {
                return Err(Error::invalid("team_id", "a team's token needs the team"));
            }
        };
        self.allow(Permission::TokensManage, Reach::satellite(team_id))?;
        self.check_team(team_id).await?;
        check_note("description", description.as_deref())?;
        check_labels("tags", tags.iter())?;
        check_patterns("allowed_tags", allowed_tags.iter())?;
        if let Some(satellite) = for_satellite {
            self.check_replacement(satellite, team_id, tags.iter().chain(&allowed_tags).count()).await?;
        }
        let (usual, most) = if team_id.is_none() { (1, 24) } else { (24, 72) };
        let hours = checked_hours(expires_in_hours.unwrap_or(usual), most)?;
        let source = self.hive.source();
        let (id, now) = (RegistrationTokenId::new(source.seed()), source.now());
        let expires_at = now.plus(hours);
        let row = store::NewRegistrationToken {
            id,
            scope: scope.clone(),
            team_id,
            description,
            actor: self.principal.actor(),
            authorised_by: Authority::Role,
            tags: normalized(tags),
            allowed_tags: normalized(allowed_tags),
            for_satellite,
            created_at: now,
            expires_at,
        };
        let subject = Subject::new("registration_token", id).of_team(team_id);
        let details = json!({
            "scope": scope, "expires_at": expires_at, "for_satellite": for_satellite, "tags": row.tags,
            "allowed_tags": row.allowed_tags,
        });
        let record = self.record("registration_token.create", subject, details);
        self.hive.store().registration_token_create(row, record).await?;
        let secret = &self.hive.inner.keys.token_secret;
        let issuer = &self.hive.settings().external_url;
        let claims = jwt::Registration { id, team_id };
        let token = jwt::registration(secret, issuer, claims, &self.principal.name, now, expires_at);
        Ok(NewRegistrationToken { token, token_id: id, expires_at, scope })
    }

    async fn registration_token_list(&self) -> Result<Vec<RegistrationTokenInfo>> {
        let sight = sight(&self.principal, &Permission::TokensManage);
        if sight == Sight::Teams(Vec::new()) {
            return Err(Error::Forbidden(Permission::TokensManage.as_str().into()));
        }
        Ok(self.hive.store().registration_token_list(&sight).await?)
    }

    async fn registration_token_revoke(&self, id: RegistrationTokenId) -> Result<()> {
        let no_token = || Error::NotFound { what: "registration token", id: id.to_string() };
        let token = self.hive.store().registration_token_get(id).await?.ok_or_else(no_token)?;
        if !sight(&self.principal, &Permission::TokensManage).covers(token.team_id) {
            return Err(no_token());
        }
        let subject = Subject::new("registration_token", id).of_team(token.team_id);
        let record = self.record("registration_token.revoke", subject, json!({}));
        let is_revoked = self.hive.store().registration_token_revoke(id, self.hive.source().now(), record).await?;
        is_revoked
            .then_some(())
            .ok_or_else(|| Error::Conflict("the registration token was used or revoked before".into()))
    }
}

impl ActingHive {
    fn owner(&self) -> Result<UserId> {
        self.principal.user().ok_or_else(|| Error::Forbidden("the hive itself is no user".into()))
    }

    /// Checks that a token may be made for one satellite: of the same team, and with no labels, as it keeps those it has.
    async fn check_replacement(&self, satellite: SatelliteId, team: Option<TeamId>, labels: usize) -> Result<()> {
        let row = self.satellite_for(satellite, Permission::TokensManage).await?;
        if row.team_id != team {
            return Err(Error::invalid("for_satellite", "the satellite is not of this team"));
        }
        if labels > 0 {
            return Err(Error::invalid("tags", "a satellite that is there keeps the labels it has"));
        }
        Ok(())
    }

    pub(crate) async fn check_team(&self, team: Option<TeamId>) -> Result<()> {
        let Some(team) = team else { return Ok(()) };
        let is_there = self.hive.store().team_list().await?.iter().any(|known| known.id == team);
        is_there.then_some(()).ok_or_else(|| Error::NotFound { what: "team", id: team.to_string() })
    }

    /// Makes an API key for a user.
    pub(crate) async fn make_api_key(&self, user: UserId, key: ApiKeyCreate) -> Result<NewApiKey> {
        check_note("name", Some(&key.name))?;
        let source = self.hive.source();
        let (id, now) = (ApiKeyId::new(source.seed()), source.now());
        let life = key.expires_in_hours.map(|hours| checked_hours(hours, MAX_KEY_HOURS)).transpose()?;
        let secret = key_secret(source);
        let row = ApiKeyRow {
            id,
            user_id: user,
            name: key.name,
            hash: hash_key(&secret, source),
            // A key made with a key has no more rights than that.
            scopes: self.principal.scopes.clone(),
            created_at: now,
            expires_at: life.map(|life| now.plus(life)),
            revoked_at: None,
        };
        let record =
            self.record("api_key.create", Subject::new("api_key", id), json!({ "user_id": user, "name": row.name }));
        self.hive.store().api_key_create(row.clone(), record).await?;
        Ok(NewApiKey { api_key: user_key(id, &secret), info: info(row) })
    }

    async fn rotate_api_key(&self, user: UserId, id: ApiKeyId) -> Result<NewApiKey> {
        let keys = self.hive.store().api_key_list(user).await?;
        let key = keys.into_iter().find(|key| key.id == id).ok_or_else(|| no_api_key(id))?;
        // Scopes never change, so that nothing can come in between.
        if !may_no_more_than(key.scopes.as_ref(), self.principal.scopes.as_ref()) {
            return Err(Error::Forbidden("the key may more than the one it is rotated with".into()));
        }
        let source = self.hive.source();
        let secret = key_secret(source);
        let record = self.record("api_key.rotate", Subject::new("api_key", id), json!({ "user_id": user }));
        let rotated =
            self.hive.store().api_key_rotate(id, user, hash_key(&secret, source), source.now(), record).await?;
        self.hive.recheck(Some(user)).await;
        let row = rotated.ok_or_else(|| Error::Conflict("the API key was revoked before or has expired".into()))?;
        Ok(NewApiKey { api_key: user_key(id, &secret), info: info(row) })
    }
}

fn key_secret(source: &Source) -> String {
    data_encoding::BASE64URL_NOPAD.encode(&source.random::<32>())
}

fn may_no_more_than(key: Option<&BTreeSet<Permission>>, other: Option<&BTreeSet<Permission>>) -> bool {
    match (key, other) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(key), Some(other)) => key.is_subset(other),
    }
}

fn no_api_key(id: ApiKeyId) -> Error {
    Error::NotFound { what: "API key", id: id.to_string() }
}

fn info(row: ApiKeyRow) -> ApiKeyInfo {
    let ApiKeyRow { id, user_id, name, hash: _, scopes: _, created_at, expires_at, revoked_at } = row;
    ApiKeyInfo { id, name, user_id, created_at, expires_at, revoked_at }
}

fn check_note(field: &str, note: Option<&str>) -> Result<()> {
    let is_plain = |text: &str| text.chars().count() <= MAX_NOTE && !text.chars().any(char::is_control);
    if note.is_none_or(is_plain) {
        return Ok(());
    }
    Err(Error::invalid(field, format!("at most {MAX_NOTE} characters, none of them control characters")))
}

fn checked_hours(hours: u32, most: u32) -> Result<Duration> {
    if !(1..=most).contains(&hours) {
        return Err(Error::invalid("expires_in_hours", format!("must be 1 to {most}")));
    }
    Ok(Duration::from_secs(u64::from(hours) * 3600))
}
