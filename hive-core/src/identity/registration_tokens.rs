//! Registration tokens: created, listed and revoked here, used by the satellites that register.

use hive_wire::api::{
    NewRegistrationToken, RegistrationTokenCreate, RegistrationTokenInfo, RegistrationTokenSort, TokenScope,
};
use hive_wire::{RegistrationTokenId, SatelliteId, TeamId, Timestamp};
use serde_json::json;

use super::authentication::principal_of;
use super::jwt::{self, RegistrationTokenRef, TokenError};
use super::service::IdentityService;
use crate::access::{
    AccessDecision, Authority, Credential, Permission, Principal, ResourceScope, may, may_see, visible_scope,
};
use crate::audit::AuditAction;
use crate::audit::draft::{Subject, record};
use crate::authorization::{authorize_action, forbidden, satellite_for};
use crate::store::{NewRegistrationTokenRow, RegistrationTokenRow, RowRange};
use crate::validate::{check_hours, check_known, check_labels, check_note, check_patterns, normalized};
use crate::{Error, Result};

impl IdentityService {
    pub(super) async fn create_registration_token(
        &self,
        principal: &Principal,
        token: RegistrationTokenCreate,
    ) -> Result<NewRegistrationToken> {
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
        let team_id = checked_team(&scope, team_id)?;
        authorize_action(principal, &Permission::TokensManage, ResourceScope::team(team_id))?;
        self.check_team(team_id).await?;
        check_note("description", description.as_deref())?;
        check_labels("tags", tags.iter())?;
        check_patterns("allowed_tags", allowed_tags.iter())?;
        if let Some(satellite) = for_satellite {
            let labels = tags.iter().chain(&allowed_tags).count();
            self.check_replacement(principal, satellite, team_id, labels).await?;
        }
        let (default_hours, max_hours) = if team_id.is_none() { (1, 24) } else { (24, 72) };
        let life = check_hours(expires_in_hours.unwrap_or(default_hours), max_hours)?;
        let (id, now) = (RegistrationTokenId::new(self.context.seed()), self.context.now());
        let key_end = self.key_of(principal).await?.and_then(|key| key.expires_at);
        // A token that is made with a key ends with it.
        let expires_at = key_end.map_or(now.plus(life), |end| end.min(now.plus(life)));
        let row = NewRegistrationTokenRow {
            id,
            scope: scope.clone(),
            team_id,
            description,
            actor: principal.actor(),
            authorised_by: Authority::Role,
            tags: normalized(tags),
            allowed_tags: normalized(allowed_tags),
            for_satellite,
            created_at: now,
            expires_at,
        };
        let subject = Subject::new(id).of_team(team_id);
        let details = json!({
            "scope": scope, "expires_at": expires_at, "for_satellite": for_satellite, "tags": row.tags,
            "allowed_tags": row.allowed_tags,
        });
        let record = record(&self.context, principal, AuditAction::RegistrationTokenCreate, subject, details);
        self.token_store.registration_token_create(row, record).await?;
        let issuer = &self.context.settings().external_url;
        let claims = RegistrationTokenRef { id, team_id };
        let token = jwt::sign_registration(&self.keys.token_secret, issuer, claims, &principal.name, now, expires_at);
        Ok(NewRegistrationToken { token, token_id: id, expires_at, scope })
    }

    pub(super) async fn list_registration_tokens(
        &self,
        principal: &Principal,
        range: RowRange<RegistrationTokenSort>,
    ) -> Result<(Vec<RegistrationTokenInfo>, u64)> {
        let visible = visible_scope(principal, &Permission::TokensManage);
        if visible.is_nothing() {
            // An empty list would say that there are no tokens.
            return Err(forbidden(&Permission::TokensManage));
        }
        Ok(self.token_store.registration_token_list(&visible, range).await?)
    }

    pub(super) async fn revoke_registration_token(&self, principal: &Principal, id: RegistrationTokenId) -> Result<()> {
        let no_token = || Error::NotFound { what: "registration token", id: id.to_string() };
        let token = self.token_store.registration_token_get(id).await?.ok_or_else(no_token)?;
        if !may_see(principal, &token) {
            // A token of another team looks as if it did not exist.
            return Err(no_token());
        }
        let subject = Subject::new(id).of_team(token.team_id);
        let record = record(&self.context, principal, AuditAction::RegistrationTokenRevoke, subject, json!({}));
        let is_revoked = self.token_store.registration_token_revoke(id, self.context.now(), record).await?;
        is_revoked
            .then_some(())
            .ok_or_else(|| Error::Conflict("the registration token was used or revoked before".into()))
    }

    /// Reads a registration token and returns when it counts as used. Whether it was used before or revoked, the store knows.
    pub(crate) fn read_registration_token(&self, token: &str) -> Result<(RegistrationTokenRef, Timestamp), TokenError> {
        jwt::read_registration(&self.keys.token_secret, token, self.context.now())
    }

    /// Returns whether the maker of a token may still create such a token.
    pub(crate) async fn may_still_create(&self, token: &RegistrationTokenRow) -> Result<bool> {
        let (user, teams, scopes) = match token.actor.kind.as_str() {
            "system" => return Ok(true),
            "configured" => return Ok(self.configured_key.is_some()),
            "user" => {
                let Ok(id) = token.actor.id.parse() else { return Ok(false) };
                let Some(row) = self.store.user_get(id).await? else { return Ok(false) };
                (row.user, self.store.team_memberships(id).await?, None)
            }
            "api_key" => {
                let Ok(id) = token.actor.id.parse() else { return Ok(false) };
                let Some(owner) = self.store.api_key_owner(id).await? else { return Ok(false) };
                if self.grants.is_key_over(&owner) || owner.key.satellite_tags.is_some() {
                    return Ok(false);
                }
                (owner.user, owner.teams, owner.key.scopes)
            }
            // An actor of a later version: its rights are not known here.
            _ => return Ok(false),
        };
        let is_disabled = user.disabled_at.is_some();
        let maker = Principal { scopes, ..principal_of(Credential::Login(user.id), None, user, teams, None) };
        let verdict = may(&maker, &Permission::TokensManage, ResourceScope::team(token.info.team_id));
        Ok(!is_disabled && verdict == AccessDecision::Allow)
    }

    /// Checks that a token may be created for one satellite: of the same team, and without labels, as the satellite keeps its own.
    async fn check_replacement(
        &self,
        principal: &Principal,
        satellite: SatelliteId,
        team: Option<TeamId>,
        labels: usize,
    ) -> Result<()> {
        let permission = &Permission::TokensManage;
        let row = satellite_for(self.satellite_store.as_ref(), principal, satellite, permission).await?;
        if row.team_id != team {
            return Err(Error::invalid("for_satellite", "the satellite is not of this team"));
        }
        if labels > 0 {
            return Err(Error::invalid("tags", "a satellite that is there keeps the labels it has"));
        }
        Ok(())
    }
}

/// Checks that a token of a team has one, and a global one none.
fn checked_team(scope: &TokenScope, team_id: Option<TeamId>) -> Result<Option<TeamId>> {
    match (scope, team_id) {
        (TokenScope::Global, None) => Ok(None),
        (TokenScope::Team, Some(team)) => Ok(Some(team)),
        (TokenScope::Global | TokenScope::Unknown(_), Some(_)) => {
            Err(Error::invalid("team_id", "a global token has no team"))
        }
        (TokenScope::Team | TokenScope::Unknown(_), None) => {
            Err(Error::invalid("team_id", "a team's token needs the team"))
        }
    }
}
