//! The opening of a session: it is checked, stored, requested from its satellite, and started.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hive_wire::agent::{ErrorBody, PtySpec};
use hive_wire::api::{EndReason, Session, SessionCreate, SessionEnd, Size};
use hive_wire::{ErrorCode, SessionId};
use serde_json::json;

use super::ending::end_as;
use super::live::{LiveSession, SessionState};
use super::{Sessions, claim_timeouts};
use crate::access::{Authority, Principal};
use crate::audit::AuditAction;
use crate::audit::draft::{Subject, intent};
use crate::audit::excerpt::Details;
use crate::sessions::check_size;
use crate::store::{NewSession, SatelliteRow, SessionRow};
use crate::validate::check_env;
use crate::vault::Vault;
use crate::{Error, Result};

/// How long a satellite may take to open a session.
const START_TIMEOUT: Duration = Duration::from_secs(15);
/// The most bytes of a shell's path.
const MAX_SHELL: usize = 4096;
/// The most bytes of an environment.
const MAX_ENV: usize = 128 * 1024;

/// A checked request to open a session.
pub(super) struct SessionRequest {
    satellite: SatelliteRow,
    size: Size,
    shell: Option<String>,
    env: BTreeMap<String, String>,
}

impl SessionRequest {
    /// Checks the parameters of a caller.
    pub(super) fn checked(satellite: SatelliteRow, params: SessionCreate) -> Result<Self> {
        let SessionCreate { satellite_id: _, cols, rows, shell, env } = params;
        let size = Size { cols, rows };
        check_size(size)?;
        check_shell(shell.as_deref())?;
        check_env(&env)?;
        if env.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_ENV {
            return Err(Error::PayloadTooLarge(format!("env: more than {MAX_ENV} bytes")));
        }
        Ok(Self { satellite, size, shell, env })
    }

    /// The details of its audit record: the names of variables, never their values.
    fn details(&self, vault: &Vault) -> serde_json::Value {
        Details::default()
            .with("satellite_id", json!(self.satellite.id))
            .with("cols", json!(self.size.cols))
            .with("rows", json!(self.size.rows))
            .with("shell", json!(self.shell))
            .with_env(&self.env, vault)
            .into_value()
    }
}

impl Sessions {
    /// Opens a session. The opening continues if the caller is cancelled.
    pub(super) async fn open(self: &Arc<Self>, principal: &Principal, request: SessionRequest) -> Result<Session> {
        let (sessions, principal) = (self.clone(), principal.clone());
        self.context.run_to_end(async move { sessions.store_and_open(&principal, request).await }).await
    }

    async fn store_and_open(&self, principal: &Principal, request: SessionRequest) -> Result<Session> {
        let id = SessionId::new(self.context.seed());
        let satellite = request.satellite.id;
        let session = LiveSession::new(id, satellite, request.size, claim_timeouts(self.context.settings()));
        let session = Arc::new(session);
        // Before it is stored: a link that opens meanwhile finds the row and would end a session that is not in memory as lost.
        self.insert(session.clone());
        let row = match self.store_session(principal, id, &request).await {
            Ok(row) => row,
            Err(error) => {
                self.remove(id);
                return Err(error);
            }
        };
        let error = self.request_start(&session, request).await.err();
        if let Some(error) = &error {
            // The satellite may have started it although no answer came in time.
            self.ask_to_end(&row);
            self.end(&row, end_as(EndReason::Error, Some(ErrorBody::from(error)))).await?;
        }
        // Without an error, the session may have ended instead of started: the satellite refused, its link broke, or it was
        // removed meanwhile. A program that started and has already exited is a session like any other.
        match (error, session.state()) {
            (Some(error), _) => Err(error),
            (None, SessionState::Ended(end)) if was_never_there(&end) => Err(refusal(end)),
            (None, SessionState::Ended(end)) if is_without_satellite(&end) => {
                Err(Error::SatelliteNotFound(satellite.to_string()))
            }
            _ => Ok(self.view(self.row_for(principal, id).await?)),
        }
    }

    async fn store_session(
        &self,
        principal: &Principal,
        id: SessionId,
        request: &SessionRequest,
    ) -> Result<SessionRow> {
        let limit = self.context.settings().max_sessions_per_satellite;
        let subject = Subject::new(id).of_team(request.satellite.team_id);
        let details = request.details(&self.keys.vault);
        let record = intent(&self.context, principal, AuditAction::SessionCreate, subject, details);
        let session = NewSession {
            id,
            satellite_id: request.satellite.id,
            team_id: request.satellite.team_id,
            size: request.size,
            shell: request.shell.clone(),
            actor: principal.actor(),
            authorised_by: Authority::Role,
            created_at: self.context.now(),
        };
        if !self.store.session_insert(session, limit, record).await? {
            // The store checks the limit and the satellite together and does not say which of them failed.
            let now = self.satellite_store.satellite_get(request.satellite.id).await?;
            let is_there = now.is_some_and(|now| now.team_id == request.satellite.team_id);
            let gone = || Error::SatelliteNotFound(request.satellite.id.to_string());
            return Err(if is_there { Error::SessionLimit { limit } } else { gone() });
        }
        self.store.session_get(id).await?.ok_or_else(|| Error::SessionNotFound(id.to_string()))
    }

    /// Asks the satellite to start a session, and waits until it runs or has ended.
    async fn request_start(&self, session: &LiveSession, request: SessionRequest) -> Result<()> {
        let settings = self.context.settings();
        let SessionRequest { satellite, size, shell, env } = request;
        let offline = || Error::SatelliteOffline(satellite.name.to_string());
        let link = self.links.get(satellite.id).ok_or_else(offline)?;
        session.begin(
            &link,
            PtySpec {
                session_id: session.id,
                shell,
                size,
                env,
                // A timeout below one second would be rounded down to 0.
                idle_timeout_seconds: settings.session_idle_timeout.map(|timeout| timeout.as_secs().max(1)),
                linger_seconds: settings.session_linger.as_secs(),
            },
        );
        // The link may have been lost before the session was on it. The session would then wait for an answer for ever, and
        // never count as away.
        self.check_link(session, &link);
        let has_started = session.wait_for(|state| matches!(state, SessionState::Open { .. } | SessionState::Ended(_)));
        match tokio::time::timeout(START_TIMEOUT, has_started).await {
            Ok(SessionState::Open { .. } | SessionState::Ended(_)) => Ok(()),
            Ok(_) => Err(Error::unavailable("the server stops")),
            Err(_) => Err(Error::unavailable("the satellite did not open the session in time")),
        }
    }
}

fn check_shell(shell: Option<&str>) -> Result<()> {
    let is_path = |shell: &str| shell.starts_with('/') && shell.len() <= MAX_SHELL && !shell.contains('\0');
    if shell.is_some_and(|shell| !is_path(shell)) {
        return Err(Error::invalid("shell", format!("must be an absolute path of at most {MAX_SHELL} bytes")));
    }
    Ok(())
}

/// Whether an end means that the session never started: the satellite refused, or the request was lost with the link.
fn was_never_there(end: &SessionEnd) -> bool {
    matches!(end.reason, EndReason::Error | EndReason::Lost)
}

/// Whether a session ended because its satellite was removed, or assigned to another team.
fn is_without_satellite(end: &SessionEnd) -> bool {
    end.error.as_ref().is_some_and(|error| error.code == ErrorCode::SatelliteNotFound)
}

/// The error for a session that its satellite did not open.
fn refusal(end: SessionEnd) -> Error {
    let message = "the satellite did not open the session".into();
    let error = end.error.unwrap_or(ErrorBody { code: ErrorCode::Unavailable, message });
    // Only codes that mean the same to the caller pass. A satellite could otherwise claim that the caller's key is invalid.
    match error.code {
        ErrorCode::CommandBlocked => Error::CommandBlocked(error.message),
        ErrorCode::InvalidInput => Error::invalid("shell", error.message),
        ErrorCode::RateLimited => Error::RateLimited { retry_after_seconds: START_TIMEOUT.as_secs() },
        _ => Error::unavailable(error.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_is_an_absolute_path() {
        let check = |shell: &str, is_allowed: bool| assert_eq!(check_shell(Some(shell)).is_ok(), is_allowed, "{shell}");
        check("/bin/bash", true);
        check("bash", false);
        check("/bin/\0bash", false);
        check(&format!("/{}", "x".repeat(MAX_SHELL)), false);
        assert!(check_shell(None).is_ok());
    }

    #[test]
    fn what_a_satellite_refuses_is_said_as_it_said_it() {
        let check = |code, expected| {
            let body = ErrorBody { code, message: "because".into() };
            assert_eq!(refusal(end_as(EndReason::Error, Some(body))).code(), expected);
        };
        check(ErrorCode::CommandBlocked, ErrorCode::CommandBlocked);
        check(ErrorCode::InvalidInput, ErrorCode::InvalidInput);
        check(ErrorCode::Internal, ErrorCode::Unavailable);
        assert_eq!(refusal(end_as(EndReason::Error, None)).code(), ErrorCode::Unavailable);
    }
}
