//! Terminal sessions: each is a program on a PTY with a task of its own, and outlives the links it is used over.
//!
//! [`AgentSessions`] does not depend on a link. A link asks it for an [`AgentSession`], and learns of progress from the
//! [`DirtySet`]. Decisions about bytes, times and sizes are made in [`output`], [`input`], [`timers`] and
//! [`window_size`], which do no I/O. [`session_task`] is the task, [`pty_io`] reads and writes the PTY, [`shell`] is
//! the program. [`session_files`] tells the next agent which sessions were open when this one was killed.

mod input;
mod output;
mod pty_io;
mod session;
mod session_files;
mod session_task;
mod shell;
mod timers;
mod window_size;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hive_wire::agent::{ErrorBody, PtySpec};
use hive_wire::api::{EndReason, SessionEnd};
use hive_wire::{ErrorCode, SessionId};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info, warn};

use crate::clock;
use crate::config::{Account, AgentConfig};
use crate::dirty_set::DirtySet;
use crate::identity::DataDir;
use crate::policy::Policy;
use crate::process_tree::{self, SurvivorList};

use pty_io::PtyIo;
use session_files::SessionFiles;
use session_task::SessionTask;
use shell::LoginShell;
use timers::SessionTimeouts;
use window_size::WindowSize;

pub(crate) use output::OutputPiece;
pub(crate) use session::{AgentSession, ResumePoint};

/// How long a stopping agent waits until its sessions have ended.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// The sessions of this agent.
#[derive(Debug)]
pub(crate) struct AgentSessions {
    /// Sessions whose end the server has not acknowledged.
    sessions: Mutex<BTreeMap<SessionId, Arc<AgentSession>>>,
    /// The ends of sessions of an earlier process that was killed, until the server has acknowledged them.
    lost_ends: Mutex<BTreeMap<SessionId, SessionEnd>>,
    files: Arc<SessionFiles>,
    /// What could not be killed of ended sessions.
    unkilled: Arc<SurvivorList>,
    dirty: Arc<DirtySet<SessionId>>,
    settings: SessionSettings,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

#[derive(Debug)]
struct SessionSettings {
    policy: Policy,
    account: Account,
    max_sessions: usize,
    kill_grace: Duration,
    claim_linger: Duration,
}

impl AgentSessions {
    pub(crate) fn new(config: &AgentConfig, data: &DataDir) -> Self {
        Self {
            sessions: Mutex::default(),
            lost_ends: Mutex::default(),
            files: Arc::new(SessionFiles::new(data.join("sessions"))),
            unkilled: Arc::default(),
            dirty: Arc::default(),
            settings: SessionSettings {
                policy: config.policy.clone(),
                account: config.account_of_programs(),
                max_sessions: config.max_sessions,
                kill_grace: config.session_kill_grace,
                claim_linger: config.claim_linger,
            },
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        }
    }

    /// Ends the processes of sessions that were open when an earlier process was killed. The sessions are reported as
    /// lost only after that.
    pub(crate) async fn end_leftovers(&self) {
        let ending = async {
            for id in self.files.list() {
                let count = process_tree::end_leftovers(shell::marker(id)).await;
                if count > 0 {
                    warn!(session.id = %id, processes = count, "ended processes that a killed agent had left running");
                }
                self.lost_ends().insert(id, lost_end(count));
            }
        };
        if tokio::time::timeout(STOP_TIMEOUT, ending).await.is_err() {
            error!("some processes of a killed agent do not end");
        }
    }

    /// The sessions with progress.
    pub(crate) fn dirty(&self) -> &DirtySet<SessionId> {
        &self.dirty
    }

    /// Returns a session whose end the server has not acknowledged.
    pub(crate) fn get(&self, id: SessionId) -> Option<Arc<AgentSession>> {
        self.sessions().get(&id).cloned()
    }

    /// Returns all of them.
    pub(crate) fn all(&self) -> Vec<Arc<AgentSession>> {
        self.sessions().values().cloned().collect()
    }

    /// The ids of all sessions that the server may ask for, including those of an earlier process.
    pub(crate) fn ids(&self) -> Vec<SessionId> {
        let mut ids: Vec<_> = self.sessions().keys().copied().collect();
        ids.extend(self.lost_ends().keys());
        ids
    }

    /// The end of a session that is not in this process.
    pub(crate) fn end_of_absent(&self, id: SessionId) -> SessionEnd {
        let end = self.lost_ends().get(&id).cloned();
        end.unwrap_or(SessionEnd { reason: EndReason::Lost, exit_code: None, error: None })
    }

    /// The number of sessions that have not ended.
    pub(crate) fn active(&self) -> usize {
        self.sessions().values().filter(|session| !session.has_ended()).count()
    }

    /// Problems of the sessions, as sentences for people.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.unkilled.problem("processes of ended sessions").into_iter().collect()
    }

    /// Starts a session. A session with this id that exists already is returned as it is.
    pub(crate) fn start(&self, spec: &PtySpec) -> Result<Arc<AgentSession>, ErrorBody> {
        if let Some(session) = self.get(spec.session_id) {
            return Ok(session);
        }
        // Before the shell is looked up: a full satellite does as little work as possible.
        self.check_limits()?;
        let shell = LoginShell::of_spec(spec, &self.settings.account)?;
        self.settings.policy.check_session(shell.path(), &spec.env)?;
        let session = self.spawn(&shell, spec)?;
        self.sessions().insert(spec.session_id, session.clone());
        Ok(session)
    }

    fn check_limits(&self) -> Result<(), ErrorBody> {
        let (code, message) = if self.stopping.is_cancelled() {
            (ErrorCode::Unavailable, "the satellite is stopping".to_owned())
        } else if self.sessions().len() >= self.settings.max_sessions {
            let max = self.settings.max_sessions;
            (ErrorCode::RateLimited, format!("{max} sessions are open on this satellite already"))
        } else {
            return Ok(());
        };
        Err(ErrorBody { code, message })
    }

    fn spawn(&self, shell: &LoginShell, spec: &PtySpec) -> Result<Arc<AgentSession>, ErrorBody> {
        let screen = WindowSize::new(spec.size);
        let (child, pty) = shell.start(screen.size())?;
        let pid = child.id().expect("nobody has waited for it yet");
        let limits = SessionTimeouts {
            claim: self.settings.claim_linger,
            linger: Duration::from_secs(spec.linger_seconds),
            idle: spec.idle_timeout_seconds.map(Duration::from_secs),
        };
        let session = Arc::new(AgentSession::new(spec.session_id, pid, clock::now(), screen, limits));
        // The file is written after the start: a crash in between leaves processes unnoticed, a file without processes
        // would report a session as lost that never existed.
        self.files.insert(spec.session_id);
        debug!(session.id = %spec.session_id, pid, "session opened");
        let task = SessionTask {
            io: PtyIo::new(session.clone(), pty),
            session: session.clone(),
            child,
            root: shell.root(pid),
            dirty: self.dirty.clone(),
            files: self.files.clone(),
            unkilled: self.unkilled.clone(),
            stopping: self.stopping.clone(),
            kill_grace: self.settings.kill_grace,
        };
        self.tasks.spawn(task.run());
        Ok(session)
    }

    /// Forgets a session whose end the server has acknowledged. Returns false, and does nothing, for one that has not
    /// ended.
    pub(crate) fn forget(&self, id: SessionId) -> bool {
        let mut sessions = self.sessions();
        // An unknown id has ended as well, for example a session of an earlier process.
        let has_ended = sessions.get(&id).is_none_or(|session| session.has_ended());
        if has_ended {
            sessions.remove(&id);
            // The file of a lost session is kept until now, so that another restart reports it again.
            if self.lost_ends().remove(&id).is_some() {
                self.files.remove(id);
            }
        }
        has_ended
    }

    /// Starts the timeouts of all sessions without a link.
    pub(crate) fn on_link_lost(&self) {
        self.all().iter().for_each(|session| session.on_link_lost());
    }

    /// Starts no more sessions, ends the open ones, and waits until none of their processes is left.
    pub(crate) async fn stop(&self) {
        self.stopping.cancel();
        // `wait` below returns only for a closed tracker.
        self.tasks.close();
        let active = self.active();
        if active > 0 {
            info!(active, "ending the open sessions");
        }
        if tokio::time::timeout(STOP_TIMEOUT, self.tasks.wait()).await.is_err() {
            error!("some sessions do not end; the satellite stops without them");
        }
    }

    fn lost_ends(&self) -> MutexGuard<'_, BTreeMap<SessionId, SessionEnd>> {
        self.lost_ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<SessionId, Arc<AgentSession>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a session whose agent was killed. `count` processes were left of it.
fn lost_end(count: usize) -> SessionEnd {
    let left = match count {
        0 => String::new(),
        1 => "; 1 process that was left of the session was ended".to_owned(),
        count => format!("; {count} processes that were left of the session were ended"),
    };
    let message = format!("the satellite's agent was killed{left}");
    SessionEnd {
        reason: EndReason::Lost,
        exit_code: None,
        error: Some(ErrorBody { code: ErrorCode::Unavailable, message }),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use bytes::Bytes;
    use hive_wire::api::Size;
    use hive_wire::frame::{Frame, StreamId};
    use hive_wire::id::Seed;

    pub(crate) fn session_id(n: u8) -> SessionId {
        SessionId::new(Seed { unix_millis: 1, random: [n; 10] })
    }

    /// A session without a process.
    pub(crate) fn opened() -> Arc<AgentSession> {
        opened_as(session_id(1))
    }

    pub(crate) fn opened_as(id: SessionId) -> Arc<AgentSession> {
        let limits = SessionTimeouts { claim: Duration::MAX, linger: Duration::MAX, idle: None };
        Arc::new(AgentSession::new(id, 1, clock::now(), WindowSize::new(Size::default()), limits))
    }

    /// Writes input, as the link and the session's task do together.
    pub(crate) fn write_input(session: &AgentSession, bytes: &'static [u8]) {
        let offset = session.applied();
        session.accept_input(&Frame::data(StreamId(1), offset, Bytes::from_static(bytes), false)).unwrap();
        session.apply(bytes.len());
    }
}
