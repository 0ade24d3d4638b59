//! Opening a terminal: checked, stored, asked for, and there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hive_wire::agent::{ErrorBody, PtySpec};
use hive_wire::api::{EndReason, Session, SessionCreate, SessionEnd, Size};
use hive_wire::{ErrorCode, SatelliteId, SessionId};
use serde_json::json;

use super::ending::end_as;
use super::live::{LiveSession, Standing};
use super::patience;
use crate::access::Authority;
use crate::commands::payload::check_env;
use crate::hive::ActingHive;
use crate::hive::acting::Subject;
use crate::hive::excerpt::Details;
use crate::session::check_size;
use crate::store::{NewSession, SatelliteRow, SessionRow};
use crate::vault::Vault;
use crate::{Error, Result};

/// How long a satellite may take to open a terminal.
const START_PATIENCE: Duration = Duration::from_secs(15);
/// The most bytes of a shell's path.
const MAX_SHELL: usize = 4096;
/// The most bytes of an environment.
const MAX_ENV: usize = 128 * 1024;

/// A terminal somebody may open.
pub(super) struct Wanted {
    satellite: SatelliteRow,
    size: Size,
    shell: Option<String>,
    env: BTreeMap<String, String>,
}

impl Wanted {
    /// Checks what a caller asks for.
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

    /// What the audit trail says of it: names of variables, never their values.
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

impl ActingHive {
    /// Opens a terminal. It is carried through even if whoever asked for it does not wait.
    pub(super) async fn open_session(&self, wanted: Wanted) -> Result<Session> {
        let acting = self.clone();
        let opening = self.hive.inner.tasks.spawn(async move { acting.carry_through(wanted).await });
        opening.await.map_err(Error::internal)?
    }

    async fn carry_through(&self, wanted: Wanted) -> Result<Session> {
        let hive = &self.hive;
        let id = SessionId::new(hive.source().seed());
        let satellite = wanted.satellite.id;
        let live = LiveSession::new(id, wanted.satellite.id, wanted.size, patience(hive.settings()));
        let live = Arc::new(live);
        // Before the store has it: a link that opens right then must not take it for lost.
        hive.inner.sessions.insert(live.clone());
        let row = match self.store_session(id, &wanted).await {
            Ok(row) => row,
            Err(error) => {
                hive.inner.sessions.remove(id);
                return Err(error);
            }
        };
        let error = self.ask_for(&live, wanted).await.err();
        if let Some(error) = &error {
            let body = ErrorBody { code: error.code(), message: error.to_string() };
            hive.ask_to_end(&row);
            hive.end_session(&row, end_as(EndReason::Error, Some(body))).await?;
        }
        match (error, live.standing()) {
            (Some(error), _) => Err(error),
            (None, Standing::Ended(end)) if was_never_there(&end) => Err(refusal(end)),
            (None, Standing::Ended(end)) if is_without_satellite(&end) => {
                Err(Error::SatelliteNotFound(satellite.to_string()))
            }
            _ => self.session_now(id).await,
        }
    }

    async fn store_session(&self, id: SessionId, wanted: &Wanted) -> Result<SessionRow> {
        let hive = &self.hive;
        let limit = hive.settings().max_sessions_per_satellite;
        let subject = Subject::new("session", id).of_team(wanted.satellite.team_id);
        let record = self.intent("session.create", subject, wanted.details(&hive.inner.keys.vault));
        let session = NewSession {
            id,
            satellite_id: wanted.satellite.id,
            team_id: wanted.satellite.team_id,
            size: wanted.size,
            shell: wanted.shell.clone(),
            actor: self.principal.actor(),
            authorised_by: Authority::Role,
            created_at: hive.source().now(),
        };
        if !hive.store().session_insert(session, limit, record).await? {
            let now = hive.store().satellite_get(wanted.satellite.id).await?;
            let is_there = now.is_some_and(|now| now.team_id == wanted.satellite.team_id);
            let gone = || Error::SatelliteNotFound(wanted.satellite.id.to_string());
            return Err(if is_there { Error::SessionLimit { limit } } else { gone() });
        }
        hive.store().session_get(id).await?.ok_or_else(|| Error::SessionNotFound(id.to_string()))
    }

    /// Asks the satellite for a terminal, and waits until it is there or has ended.
    async fn ask_for(&self, session: &LiveSession, wanted: Wanted) -> Result<()> {
        let settings = self.hive.settings();
        let Wanted { satellite, size, shell, env } = wanted;
        let offline = || Error::SatelliteOffline(satellite.name.to_string());
        let live = self.hive.inner.links.get(satellite.id).ok_or_else(offline)?;
        session.begin(
            &live,
            PtySpec {
                session_id: session.id,
                shell,
                size,
                env,
                idle_timeout_seconds: settings.session_idle_timeout.map(|timeout| timeout.as_secs().max(1)),
                linger_seconds: settings.session_linger.as_secs(),
            },
        );
        self.hive.check_link(satellite.id, session, live.epoch);
        let is_there = session.wait_for(|standing| matches!(standing, Standing::Open { .. } | Standing::Ended(_)));
        match tokio::time::timeout(START_PATIENCE, is_there).await {
            Ok(Standing::Open { .. } | Standing::Ended(_)) => Ok(()),
            Ok(_) => Err(Error::unavailable("the server stops")),
            Err(_) => Err(Error::unavailable("the satellite did not open the terminal in time")),
        }
    }
}

impl crate::hive::Hive {
    /// Takes a terminal off a link that is not its satellite's any more: who closed it may have looked before.
    pub(super) fn check_link(&self, satellite: SatelliteId, session: &LiveSession, epoch: u64) {
        if self.inner.links.get(satellite).is_none_or(|live| live.epoch != epoch) {
            session.on_link_lost(self.inner.sessions.now(), epoch);
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

/// Whether an end means that there was no terminal: the satellite refused, or the request went with its link.
fn was_never_there(end: &SessionEnd) -> bool {
    matches!(end.reason, EndReason::Error | EndReason::Lost)
}

/// Whether it ended because its satellite was removed, or given to another team.
fn is_without_satellite(end: &SessionEnd) -> bool {
    end.error.as_ref().is_some_and(|error| error.code == ErrorCode::SatelliteNotFound)
}

/// Why a terminal could not be opened, by its satellite's word.
fn refusal(end: SessionEnd) -> Error {
    let message = "the satellite did not open the terminal".into();
    let error = end.error.unwrap_or(ErrorBody { code: ErrorCode::Unavailable, message });
    match error.code {
        ErrorCode::CommandBlocked => Error::CommandBlocked(error.message),
        ErrorCode::InvalidInput => Error::invalid("shell", error.message),
        ErrorCode::RateLimited => Error::RateLimited { retry_after_seconds: START_PATIENCE.as_secs() },
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
