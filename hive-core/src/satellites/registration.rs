//! Registration of satellites, by registration tokens.

mod error;

use std::time::Duration;

use hive_wire::agent::{SystemInfo, close};
use hive_wire::api::{AuditResult, SatelliteEvent, SatelliteType};
use hive_wire::credential::satellite_key;
use hive_wire::satellite_api::{RegisterRequest, RegisteredSatellite};
use hive_wire::{RegistrationTokenId, SatelliteId, SatelliteName, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tracing::info;

use super::Satellites;
use super::tags::GrantedTags;
use super::takeover::{NameHolder, Refusal, Takeover, TokenTerms};
use crate::Result;
use crate::audit::draft::{Subject, draft, satellite_actor};
use crate::audit::{AuditAction, AuditDraft};
use crate::error::Error;
use crate::events::EventSubject;
use crate::identity::auth_failures::{AuthFailure, AuthFailureKind};
use crate::identity::jwt::{RegistrationTokenRef, TokenError};
use crate::identity::verifier::hash_key;
use crate::store::{
    NamePolicy, NewSatellite, RegisterOutcome, RegistrationRetry, RegistrationTokenRow, SatelliteRow, TokenState,
};
use crate::validate::{check_labels, normalized};

pub use error::{RegistrationError, TokenProblem};

/// The URL of a satellite that reports none.
const DEFAULT_SATELLITE_URL: &str = "http://127.0.0.1:3001";
/// How long after its first use a token answers the same attempt again.
const ATTEMPT_TIME: Duration = Duration::from_mins(10);
/// Characters of any text that a registering satellite reports of itself.
const MAX_TEXT: usize = 255;

impl Satellites {
    /// Registers a satellite with a token. `seen_url` is the URL under which a trusted proxy saw it, used where it reports none.
    ///
    /// # Errors
    /// See [`TokenProblem`]; `InvalidInput` for a bad name, label or URL; `Conflict` where the name belongs to others. None
    /// of them spends the token.
    pub(crate) async fn register(
        &self,
        token: &SecretString,
        request: RegisterRequest,
        ip: Option<String>,
        seen_url: Option<String>,
    ) -> Result<RegisteredSatellite, RegistrationError> {
        let failed = |reason| AuthFailure::new(AuthFailureKind::RegistrationToken, ip.as_deref(), reason);
        let note = |failure: AuthFailure<'_>| self.identity.auth_failures().note(failure);
        let (registration, used_at) = self.read_token(token, |error| note(failed(error.word())))?;
        let name = SatelliteName::try_from(request.name.clone()).map_err(Error::from)?;
        let attempt = checked_attempt(request.attempt.as_deref())?;
        let secret = data_encoding::BASE64URL_NOPAD.encode(&self.context.source().random::<32>());
        let row = self.token_store.registration_token_row(registration.id).await.map_err(Error::from)?;
        let (terms, may_register) = match &row {
            Some(row) => (terms(row), self.identity.may_still_create(row).await?),
            // The token is signed, and the store has no row of it: it refuses the registration below, with the reason.
            None => (TokenTerms { team_id: registration.team_id, for_satellite: None, is_single_use: true }, true),
        };
        let takeover = Takeover::decide(self.name_holder(&name).await?, terms);
        let mut satellite = self.new_satellite(&name, (registration, used_at), request, seen_url, &secret, row)?;
        satellite.name_use = takeover.name_use();
        satellite.attempt_hash = attempt;
        let record = |action, result, problem: Option<&str>| {
            self.registration_record(&satellite, action, ip.clone(), result, problem)
        };
        let refuse = |problem: TokenProblem| {
            note(failed(problem.word()).of(registration.id).with("name", name.as_str()));
            Err(RegistrationError::Token(problem))
        };
        if !may_register {
            return refuse(TokenProblem::MakerGone);
        }
        // The satellite would lose its key to a machine that may not connect.
        if let Takeover::Replace(id) = takeover
            && let Err(error) = self.check_address(id, ip.as_deref())
        {
            let reason = "from an address that the satellite's list does not allow";
            note(failed(reason).of(registration.id).with("name", name.as_str()));
            return Err(error.into());
        }
        let replaces = matches!(takeover, Takeover::Replace(_));
        let action = if replaces { AuditAction::SatelliteKeyReplace } else { AuditAction::SatelliteRegister };
        let draft = record(action, AuditResult::Success, None);
        // A new satellite needs none: nobody else knows it.
        let _turn = match takeover {
            Takeover::Replace(id) => Some(self.row_locks.lock(id).await),
            _ => None,
        };
        // The store checks token and name once more, in the transaction of the change: what was read above may be old.
        let outcome = self.store.satellite_register(registration.id, satellite.clone(), draft).await;
        match outcome.map_err(Error::from)? {
            RegisterOutcome::Registered(row) => Ok(self.registered(*row, &secret, replaces)),
            // The answer to the first request may have been lost. The agent sends the same attempt again.
            RegisterOutcome::TokenUnusable(TokenState::Used) if satellite.attempt_hash.is_some() => {
                let draft = record(AuditAction::SatelliteRegister, AuditResult::Success, None);
                match self.register_again(registration.id, &satellite, draft).await? {
                    Some(row) => Ok(self.registered(row, &secret, false)),
                    None => refuse(TokenProblem::Used),
                }
            }
            RegisterOutcome::TokenUnusable(state) => refuse(TokenProblem::from(state)),
            RegisterOutcome::NameTaken => {
                let draft = record(AuditAction::SatelliteRegister, AuditResult::Failure, Some("name taken"));
                let refusal = match takeover {
                    Takeover::Refused(refusal) => refusal,
                    // Another satellite has registered the name since it was looked up.
                    _ => Refusal::Present,
                };
                Err(self.name_taken(draft, refusal.message(name.as_str())).await?.into())
            }
        }
    }

    /// Checks whether a registration token could be used now, without using it.
    pub(crate) async fn check_token(&self, token: &SecretString, ip: Option<&str>) -> Result<(), RegistrationError> {
        let note = |error: TokenError| {
            let failure = AuthFailure::new(AuthFailureKind::RegistrationToken, ip, error.word());
            self.identity.auth_failures().note(failure);
        };
        let (registration, _) = self.read_token(token, note)?;
        let row = self.token_store.registration_token_row(registration.id).await.map_err(Error::from)?;
        let state = match row.map(|row| row.info) {
            None => TokenState::Unknown,
            Some(info) if info.revoked_at.is_some() => TokenState::Revoked,
            Some(info) if info.used_at.is_some() => TokenState::Used,
            Some(_) => return Ok(()),
        };
        Err(RegistrationError::Token(state.into()))
    }

    /// Repeats the answer to a registration whose answer was lost. A satellite that has used its key has had the answer.
    async fn register_again(
        &self,
        token: RegistrationTokenId,
        satellite: &NewSatellite,
        record: AuditDraft,
    ) -> Result<Option<SatelliteRow>> {
        let Some(attempt_hash) = satellite.attempt_hash.clone() else { return Ok(None) };
        // A satellite that was heard of has its key: this is not a repetition, but somebody else with the token.
        if self.name_holder(&satellite.name).await?.is_some_and(|holder| holder.is_present) {
            return Ok(None);
        }
        let again = RegistrationRetry {
            attempt_hash,
            name: satellite.name.clone(),
            since: satellite.now.minus(ATTEMPT_TIME),
            api_key_hash: satellite.api_key_hash.clone(),
            now: satellite.now,
        };
        Ok(self.store.satellite_register_again(token, again, record).await?)
    }

    /// Returns which satellite has a name, and whether it is online or was a moment ago.
    async fn name_holder(&self, name: &SatelliteName) -> Result<Option<NameHolder>> {
        let Some(row) = self.store.satellite_find(name).await? else { return Ok(None) };
        let is_present = self.is_present(&row).await;
        Ok(Some(NameHolder { id: row.id, team_id: row.team_id, is_present }))
    }

    /// Reads a token; one that is refused is noted.
    fn read_token(
        &self,
        token: &SecretString,
        note: impl FnOnce(TokenError),
    ) -> Result<(RegistrationTokenRef, Timestamp), RegistrationError> {
        let token = token.expose_secret();
        if token.is_empty() {
            return Err(RegistrationError::Token(TokenProblem::Required));
        }
        self.identity.read_registration_token(token).map_err(|error| {
            note(error);
            RegistrationError::Token(error.into())
        })
    }

    fn new_satellite(
        &self,
        name: &SatelliteName,
        (registration, now): (RegistrationTokenRef, Timestamp),
        request: RegisterRequest,
        seen_url: Option<String>,
        secret: &str,
        token: Option<RegistrationTokenRow>,
    ) -> Result<NewSatellite> {
        check_labels("tags", request.tags.iter())?;
        let (given, allowed) = token.map(|token| (token.info.tags, token.info.allowed_tags)).unwrap_or_default();
        let granted = GrantedTags::of(given, &allowed, request.tags, self.context.settings().claimed_tags);
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
            id: SatelliteId::new(self.context.seed()),
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
            api_key_hash: hash_key(secret, self.context.source()),
            created_by: registration.id.to_string(),
            name_use: NamePolicy::None,
            attempt_hash: None,
            now,
        })
    }

    /// Closes the link that the satellite's earlier key had opened, and returns the answer.
    fn registered(&self, row: SatelliteRow, secret: &str, replaces: bool) -> RegisteredSatellite {
        // Before the answer: whatever uses the key of before is out when the new one is given.
        self.links.close(row.id, close::AUTH_FAILED, "the satellite registered again, with a new key");
        info!(satellite.id = %row.id, satellite.name = %row.name, replaces, "satellite registered");
        let now = EventSubject::from(&row);
        let mut before = now.clone();
        if replaces {
            before = self.events.note_subject(now.clone()).unwrap_or(before);
            self.events.publish(row.id, |seq| SatelliteEvent::KeyReplaced { seq, id: row.id, name: row.name.clone() });
        }
        let changes = [("status".to_owned(), json!(row.status))].into();
        self.events.publish_change(before, now, changes);
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
        action: AuditAction,
        ip: Option<String>,
        result: AuditResult,
        error: Option<&str>,
    ) -> AuditDraft {
        let mut actor = satellite_actor(satellite.id);
        actor.name = satellite.name.to_string();
        actor.ip = ip;
        let subject = Subject::new(satellite.id).of_team(satellite.team_id);
        let details = json!({ "name": satellite.name, "token_id": satellite.created_by });
        let draft = draft(&self.context, actor, action, subject, details, result);
        draft.with_timestamp(satellite.now).with_error(error.map(str::to_owned))
    }
}

fn terms(token: &RegistrationTokenRow) -> TokenTerms {
    let RegistrationTokenRow { info, actor: _, max_uses } = token;
    TokenTerms { team_id: info.team_id, for_satellite: info.for_satellite, is_single_use: *max_uses == 1 }
}

/// Checks the id of an attempt and hashes it: a reader of the database cannot repeat the request.
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
    // Without `@`, so that the URL has no credentials in it.
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
