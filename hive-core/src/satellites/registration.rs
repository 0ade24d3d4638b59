//! Satellites that register, and how they prove who they are afterwards.

use std::time::Duration;

use hive_wire::agent::{SystemInfo, close};
use hive_wire::api::{AuditResult, AuditTarget, SatelliteEvent, SatelliteStatus, SatelliteType};
use hive_wire::credential::{satellite_key, split_satellite_key};
use hive_wire::satellite_api::{
    HeartbeatRequest, HeartbeatResponse, RegisterRequest, RegisteredSatellite, RejectionClass,
};
use hive_wire::{AuditId, RegistrationTokenId, SatelliteId, SatelliteName, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tracing::info;

use super::registry::{check_labels, normalized};
use super::tags::GrantedTags;
use super::takeover::{NameHolder, Refusal, Takeover, TokenTerms};
use crate::Result;
use crate::access::{Credential, Permission, Reach, SatelliteIdentity, Verdict, may};
use crate::audit::AuditDraft;
use crate::error::Error;
use crate::hive::Hive;
use crate::identity::auth_failures::{AuthFailure, AuthFailureKind};
use crate::identity::authentication::{Effort, principal};
use crate::identity::jwt::{self, Refused, Registration};
use crate::identity::verifier::hash_key;
use crate::link_handler::satellite_actor;
use crate::store::{
    NameUse, NewSatellite, RegisterAgain, RegisterOutcome, RegistrationTokenRow, SatelliteRow, Seen, TokenState,
};

/// Where a satellite that says nothing else is thought to be.
const DEFAULT_SATELLITE_URL: &str = "http://127.0.0.1:3001";
/// How long after its first use a token answers the same attempt again.
const ATTEMPT_TIME: Duration = Duration::from_mins(10);
/// Characters of any text a registering satellite says of itself.
const MAX_TEXT: usize = 255;

/// Replaced keys of one satellite that a wrong key is compared with: each costs as much time as the check of a key, and a
/// stranger may send any number of wrong ones.
const SUPERSEDED_COMPARED: u32 = 3;

/// Why a key was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRejection {
    /// What the satellite is told.
    pub class: RejectionClass,
    /// With how many hashes the key was compared to find that out.
    pub compared: u32,
}

/// Why a satellite could not register.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// Because of its token.
    #[error("{0}")]
    Token(TokenProblem),
    /// For another reason.
    #[error(transparent)]
    Hive(#[from] Error),
}

/// What is wrong with a registration token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenProblem {
    /// There is none.
    Required,
    /// It is not one of ours.
    Invalid,
    /// Its time is up.
    Expired,
    /// A satellite has registered with it.
    Used,
    /// It was revoked.
    Revoked,
    /// Whoever made it may make none any more.
    MakerGone,
    /// It says one thing in front and another inside.
    ScopeMismatch,
}

impl TokenProblem {
    /// The stable word for it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Required => "registration_token_required",
            Self::Invalid => "registration_token_invalid",
            Self::Expired => "registration_token_expired",
            Self::Used => "registration_token_used",
            Self::Revoked | Self::MakerGone => "registration_token_revoked",
            Self::ScopeMismatch => "scope_mismatch",
        }
    }

    /// The reason as the audit log names it.
    fn word(self) -> &'static str {
        match self {
            Self::Required => "missing",
            Self::Invalid => "unknown",
            Self::Expired => "expired",
            Self::Used => "used",
            Self::Revoked => "revoked",
            Self::MakerGone => "maker_gone",
            Self::ScopeMismatch => "scope_mismatch",
        }
    }

    /// What to do next.
    pub fn instructions(self) -> &'static str {
        match self {
            Self::Required => {
                "Send 'Authorization: Bearer <token>'. An admin makes one with 'hive tokens create --scope global'."
            }
            Self::Invalid => {
                "Copy the whole token, from hive_satellite_ to its end, as it was shown when it was made on this server."
            }
            Self::Expired => {
                "Ask an admin for a new one: 'hive tokens create'. It can live longer with --expires-in-hours."
            }
            Self::Used => "A token registers one satellite. Ask an admin for another one: 'hive tokens create'.",
            Self::MakerGone => "Ask somebody who may make registration tokens for one: 'hive tokens create'.",
            Self::Revoked => "Ask an admin why, and for a new one: 'hive tokens create'.",
            Self::ScopeMismatch => "Do not edit the token: use it with the prefix it was made with.",
        }
    }
}

impl std::fmt::Display for TokenProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Required => "registering needs a registration token",
            Self::Invalid => "the registration token is not valid on this server",
            Self::Expired => "the registration token has expired",
            Self::Used => "the registration token was used before",
            Self::Revoked => "the registration token was revoked",
            Self::MakerGone => "who made the registration token was disabled, or may make none any more",
            Self::ScopeMismatch => "the registration token's prefix and content disagree",
        })
    }
}

impl From<Refused> for TokenProblem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Malformed | Refused::Forged => Self::Invalid,
            Refused::Expired => Self::Expired,
            Refused::ScopeMismatch => Self::ScopeMismatch,
        }
    }
}

impl From<TokenState> for TokenProblem {
    fn from(state: TokenState) -> Self {
        match state {
            TokenState::Unknown => Self::Invalid,
            TokenState::Used => Self::Used,
            TokenState::Revoked => Self::Revoked,
            TokenState::Expired => Self::Expired,
        }
    }
}

impl From<RegistrationError> for Error {
    fn from(error: RegistrationError) -> Self {
        match error {
            RegistrationError::Hive(error) => error,
            RegistrationError::Token(TokenProblem::Required) => Self::AuthRequired,
            RegistrationError::Token(
                TokenProblem::Used
                | TokenProblem::Revoked
                | TokenProblem::MakerGone
                | TokenProblem::Expired
                | TokenProblem::Invalid,
            ) => Self::AuthInvalid,
            RegistrationError::Token(TokenProblem::ScopeMismatch) => Self::Forbidden("scope_mismatch".into()),
        }
    }
}

impl Hive {
    /// Registers a satellite with a token. `seen_url` is where a trusted proxy saw it, used where it says nothing itself.
    ///
    /// # Errors
    /// See [`TokenProblem`]; `InvalidInput` for a bad name, label or URL; `Conflict` where the name belongs to others. None
    /// of them spends the token.
    pub async fn register_satellite(
        &self,
        token: &SecretString,
        request: RegisterRequest,
        ip: Option<String>,
        seen_url: Option<String>,
    ) -> Result<RegisteredSatellite, RegistrationError> {
        let failed = |reason| AuthFailure::new(AuthFailureKind::RegistrationToken, ip.as_deref(), reason);
        let (registration, used_at) =
            self.read_token(token, |refused| self.note_auth_failure(failed(refused.word())))?;
        let name = SatelliteName::try_from(request.name.clone()).map_err(Error::from)?;
        let attempt = checked_attempt(request.attempt.as_deref())?;
        let secret = data_encoding::BASE64URL_NOPAD.encode(&self.source().random::<32>());
        let row = self.store().registration_token_row(registration.id).await.map_err(Error::from)?;
        let (terms, may_register) = match &row {
            Some(row) => (terms(row), self.may_make_tokens(row).await?),
            None => (TokenTerms { team_id: registration.team_id, for_satellite: None, is_single_use: true }, true),
        };
        let takeover = Takeover::decide(self.name_holder(&name).await?, terms);
        let mut satellite = self.new_satellite(&name, (registration, used_at), request, seen_url, &secret, row)?;
        satellite.name_use = takeover.name_use();
        satellite.attempt_hash = attempt;
        let record = |action, result, problem: Option<&str>| {
            self.registration_record(&satellite, action, ip.clone(), result, problem)
        };
        let refused = |problem: &str| record("satellite.register", AuditResult::Failure, Some(problem));
        let refuse = |problem: TokenProblem| {
            self.note_auth_failure(failed(problem.word()).of(registration.id).with("name", name.as_str()));
            Err(RegistrationError::Token(problem))
        };
        if !may_register {
            return refuse(TokenProblem::MakerGone);
        }
        let replaces = matches!(takeover, Takeover::Replace(_));
        let action = if replaces { "satellite.key_replace" } else { "satellite.register" };
        let draft = record(action, AuditResult::Success, None);
        let outcome = self.store().satellite_register(registration.id, satellite.clone(), draft).await;
        match outcome.map_err(Error::from)? {
            RegisterOutcome::Registered(row) => Ok(self.registered(*row, &secret, replaces)),
            RegisterOutcome::TokenUnusable(TokenState::Used) if satellite.attempt_hash.is_some() => {
                let draft = record("satellite.register", AuditResult::Success, None);
                match self.register_again(registration.id, &satellite, draft).await? {
                    Some(row) => Ok(self.registered(row, &secret, false)),
                    None => refuse(TokenProblem::Used),
                }
            }
            RegisterOutcome::TokenUnusable(state) => refuse(TokenProblem::from(state)),
            RegisterOutcome::NameTaken => {
                self.store().audit_append(refused("name taken")).await.map_err(Error::from)?;
                let refusal = match takeover {
                    Takeover::Refused(refusal) => refusal,
                    // Somebody else has registered it at this moment.
                    _ => Refusal::Present,
                };
                Err(Error::Conflict(refusal.message(name.as_str())).into())
            }
        }
    }

    /// Answers a registration once more whose answer was lost. A satellite that has come with its key has had the answer.
    async fn register_again(
        &self,
        token: RegistrationTokenId,
        satellite: &NewSatellite,
        record: AuditDraft,
    ) -> Result<Option<SatelliteRow>> {
        let Some(attempt_hash) = satellite.attempt_hash.clone() else { return Ok(None) };
        if self.name_holder(&satellite.name).await?.is_some_and(|holder| holder.is_present) {
            return Ok(None);
        }
        let again = RegisterAgain {
            attempt_hash,
            name: satellite.name.clone(),
            since: satellite.now.minus(ATTEMPT_TIME),
            api_key_hash: satellite.api_key_hash.clone(),
            now: satellite.now,
        };
        Ok(self.store().satellite_register_again(token, again, record).await?)
    }

    /// Who has a name, and whether that satellite is there.
    async fn name_holder(&self, name: &SatelliteName) -> Result<Option<NameHolder>> {
        let Some(row) = self.store().satellite_find(name).await? else { return Ok(None) };
        let noted = self.inner.seen.get(row.id).map(|seen| seen.at);
        let heard = row.last_heartbeat.max(noted);
        let gone_since = self.source().now().minus(self.settings().heartbeat_timeout);
        let is_present = self.inner.links.is_online(row.id) || heard.is_some_and(|heard| heard > gone_since);
        Ok(Some(NameHolder { id: row.id, team_id: row.team_id, is_present }))
    }

    /// Whether the maker of a token may make such a token now.
    async fn may_make_tokens(&self, token: &RegistrationTokenRow) -> Result<bool> {
        let (user, teams, scopes) = match token.actor.kind.as_str() {
            "system" => return Ok(true),
            "user" => {
                let Ok(id) = token.actor.id.parse() else { return Ok(false) };
                let Some(row) = self.store().user_get(id).await? else { return Ok(false) };
                (row.user, self.store().team_memberships(id).await?, None)
            }
            "api_key" => {
                let Ok(id) = token.actor.id.parse() else { return Ok(false) };
                let Some(owner) = self.store().api_key_owner(id).await? else { return Ok(false) };
                (owner.user, owner.teams, owner.key.scopes)
            }
            _ => return Ok(false),
        };
        let is_disabled = user.disabled_at.is_some();
        let maker = principal(Credential::Login(user.id), user, teams, None, scopes);
        let verdict = may(&maker, &Permission::TokensManage, Reach::satellite(token.info.team_id));
        Ok(!is_disabled && verdict == Verdict::Allow)
    }

    /// Finds out which satellite a key belongs to.
    ///
    /// # Errors
    /// `AuthInvalid` for any key that is not the current one of a satellite; `RateLimited` where the effort does not suffice to
    /// tell.
    pub async fn authenticate_satellite(&self, key: &str, effort: Effort) -> Result<SatelliteIdentity> {
        let (id, secret) = split_satellite_key(key).map_err(|_| effort.refusal())?;
        let row = self.store().satellite_key(id).await?.ok_or_else(|| effort.refusal())?;
        if !self.inner.verifier.is_key(secret, &row.hash, effort) {
            return Err(effort.refusal());
        }
        Ok(SatelliteIdentity { id, key_generation: row.generation })
    }

    /// Says why [`authenticate_satellite`](Self::authenticate_satellite) did not accept a key. The answer opens nothing: it is
    /// there for the satellite to know what to do.
    ///
    /// # Errors
    /// `Unavailable` where the store cannot tell.
    pub async fn satellite_key_rejection(&self, key: &str) -> Result<KeyRejection> {
        let mut rejection = KeyRejection { class: RejectionClass::UnknownKey, compared: 0 };
        let Ok((id, secret)) = split_satellite_key(key) else { return Ok(rejection) };
        for hash in self.store().satellite_superseded_keys(id, SUPERSEDED_COMPARED).await? {
            rejection.compared += 1;
            if self.inner.verifier.is_key(secret, &hash, Effort::Full) {
                rejection.class = RejectionClass::Superseded;
                break;
            }
        }
        Ok(rejection)
    }

    /// Takes a heartbeat over HTTPS; also how a satellite finds out at its start whether its key is still good.
    ///
    /// # Errors
    /// `SatelliteNotFound` for another satellite's id.
    pub async fn satellite_heartbeat(
        &self,
        identity: &SatelliteIdentity,
        id: SatelliteId,
        heartbeat: HeartbeatRequest,
    ) -> Result<HeartbeatResponse> {
        let no_satellite = || Error::SatelliteNotFound(id.to_string());
        if identity.id != id {
            return Err(no_satellite());
        }
        let row = self.store().satellite_get(id).await?.ok_or_else(no_satellite)?;
        let is_activated = self.activate(id, &row.status).await?;
        let agent_version = heartbeat.version.map(|version| version.chars().take(MAX_TEXT).collect());
        self.note_seen(Seen { id, at: self.source().now(), system: None, agent_version });
        let status = if is_activated { SatelliteStatus::Active } else { row.status };
        let status = json!(status).as_str().unwrap_or_default().to_owned();
        Ok(HeartbeatResponse { success: true, status, config_version: 0 })
    }

    /// Reads a token; one that is refused is noted.
    fn read_token(
        &self,
        token: &SecretString,
        note: impl FnOnce(Refused),
    ) -> Result<(Registration, Timestamp), RegistrationError> {
        let token = token.expose_secret();
        if token.is_empty() {
            return Err(RegistrationError::Token(TokenProblem::Required));
        }
        let read = jwt::read_registration(&self.inner.keys.token_secret, token, self.source().now());
        read.map_err(|refused| {
            note(refused);
            RegistrationError::Token(refused.into())
        })
    }

    fn new_satellite(
        &self,
        name: &SatelliteName,
        (registration, now): (Registration, Timestamp),
        request: RegisterRequest,
        seen_url: Option<String>,
        secret: &str,
        token: Option<RegistrationTokenRow>,
    ) -> Result<NewSatellite> {
        check_labels("tags", request.tags.iter())?;
        let (given, allowed) = token.map(|token| (token.info.tags, token.info.allowed_tags)).unwrap_or_default();
        let granted = GrantedTags::of(given, &allowed, request.tags, self.settings().claimed_tags);
        check_labels("tags", granted.tags.iter())?;
        check_labels("capabilities", request.capabilities.iter())?;
        let info = request.system_info;
        let system = SystemInfo {
            hostname: cut(info.hostname.unwrap_or_default()),
            os: cut(info.os),
            arch: cut(info.arch),
            memory_total_mb: info.memory_mb,
            ..SystemInfo::default()
        };
        Ok(NewSatellite {
            id: SatelliteId::new(self.source().seed()),
            name: name.clone(),
            team_id: registration.team_id,
            capabilities: normalized(request.capabilities),
            tags: granted.tags,
            claimed_tags: granted.claimed,
            satellite_url: base_url(request.satellite_url)?
                .or(seen_url)
                .unwrap_or_else(|| DEFAULT_SATELLITE_URL.into()),
            system,
            agent_version: info.agent_version.map(cut),
            api_key_hash: hash_key(secret, self.source()),
            created_by: registration.id.to_string(),
            name_use: NameUse::None,
            attempt_hash: None,
            now,
        })
    }

    /// Ends what the satellite's earlier key had opened, and writes the answer.
    fn registered(&self, row: SatelliteRow, secret: &str, replaces: bool) -> RegisteredSatellite {
        self.inner.links.close(row.id, close::AUTH_FAILED, "the satellite registered again, with a new key");
        info!(satellite.id = %row.id, satellite.name = %row.name, replaces, "satellite registered");
        if replaces {
            self.publish(|seq| SatelliteEvent::KeyReplaced { seq, id: row.id, name: row.name.clone() });
        }
        let changes = [("status".to_owned(), json!(row.status))].into();
        self.publish(|seq| SatelliteEvent::Updated { seq, id: row.id, changes });
        RegisteredSatellite {
            id: row.id,
            name: row.name.to_string(),
            satellite_type: if row.team_id.is_some() { SatelliteType::Team } else { SatelliteType::Global },
            team_id: row.team_id,
            status: json!(row.status).as_str().unwrap_or_default().to_owned(),
            api_key: satellite_key(row.team_id.is_none(), row.id, secret),
        }
    }

    fn registration_record(
        &self,
        satellite: &NewSatellite,
        action: &'static str,
        ip: Option<String>,
        result: AuditResult,
        error: Option<&str>,
    ) -> AuditDraft {
        let mut actor = satellite_actor(satellite.id);
        actor.name = satellite.name.to_string();
        actor.ip = ip;
        AuditDraft {
            id: AuditId::new(self.source().seed()),
            timestamp: satellite.now,
            actor,
            action,
            target: AuditTarget { kind: "satellite".into(), id: satellite.id.to_string() },
            team_id: satellite.team_id,
            details: json!({ "name": satellite.name, "token_id": satellite.created_by }),
            result,
            error: error.map(str::to_owned),
        }
    }
}

fn terms(token: &RegistrationTokenRow) -> TokenTerms {
    let RegistrationTokenRow { info, actor: _, max_uses } = token;
    TokenTerms { team_id: info.team_id, for_satellite: info.for_satellite, is_single_use: *max_uses == 1 }
}

/// Checks the word of an attempt, and hashes it: whoever reads the store cannot repeat the request.
fn checked_attempt(attempt: Option<&str>) -> Result<Option<String>> {
    let Some(attempt) = attempt else { return Ok(None) };
    let is_plain = attempt.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_plain || !(16..=64).contains(&attempt.len()) {
        return Err(Error::invalid("attempt", "16 to 64 letters and digits"));
    }
    Ok(Some(data_encoding::HEXLOWER.encode(&Sha256::digest(attempt))))
}

/// Checks a public base URL: scheme and host, and no path.
fn base_url(url: Option<String>) -> Result<Option<String>> {
    let Some(url) = url else { return Ok(None) };
    let rule = "must be a base URL without a path, such as https://satellite.example.com";
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let rest = rest.ok_or_else(|| Error::invalid("satellite_url", rule))?;
    let host = rest.strip_suffix('/').unwrap_or(rest);
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
    if host.is_empty() || url.len() > MAX_TEXT || !host.chars().all(is_host) {
        return Err(Error::invalid("satellite_url", rule));
    }
    Ok(Some(url.trim_end_matches('/').to_owned()))
}

fn cut(text: String) -> String {
    text.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_satellite_url_has_no_path() {
        let check = |url: &str, expected: Option<&str>| {
            let got = base_url(Some(url.into())).ok().flatten();
            assert_eq!(got.as_deref(), expected, "{url}");
        };
        check("https://satellite.example.com", Some("https://satellite.example.com"));
        check("https://satellite.example.com/", Some("https://satellite.example.com"));
        check("http://[::1]:3001", Some("http://[::1]:3001"));
        check("https://satellite.example.com/mcp", None);
        check("ftp://satellite.example.com", None);
        check("https://", None);
        check("https://user:secret@host", None);
    }
}
