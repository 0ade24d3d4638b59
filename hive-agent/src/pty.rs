//! Terminals that do not die: each is a program on a PTY with a task of its own, and outlives the links it is used over.
//!
//! [`Terminals`] knows no link: whichever is up asks for a [`Terminal`], and is told on the [`Board`] who has news. What is
//! decided about bytes, times and sizes is decided in [`output`], [`input`], [`timers`] and [`window_size`], which do no
//! I/O; [`session_task`] is the task, [`pty_io`] its hands, [`shell`] what is started. [`session_files`] is what an agent that was killed leaves
//! for the next one.

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
use crate::config::{Account, Config};
use crate::dirty_set::Board;
use crate::identity::DataDir;
use crate::policy::Policy;
use crate::process_tree;

use pty_io::Pump;
use session_files::OpenList;
use session_task::Life;
use shell::Shell;
use timers::Limits;
use window_size::Screen;

pub(crate) use output::Piece;
pub(crate) use session::{Standing, Terminal};

/// How long a stopping agent waits for its terminals to be gone.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// The terminals of this agent.
#[derive(Debug)]
pub(crate) struct Terminals {
    /// Those whose end the server does not know of.
    known: Mutex<BTreeMap<SessionId, Arc<Terminal>>>,
    /// How those ended that an earlier process had when it was killed, until the server knows.
    lost: Mutex<BTreeMap<SessionId, SessionEnd>>,
    open: Arc<OpenList>,
    board: Arc<Board<SessionId>>,
    rules: Rules,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

#[derive(Debug)]
struct Rules {
    policy: Policy,
    account: Account,
    max_sessions: usize,
    kill_grace: Duration,
    claim_linger: Duration,
}

impl Terminals {
    pub(crate) fn new(config: &Config, data: &DataDir) -> Self {
        Self {
            known: Mutex::default(),
            lost: Mutex::default(),
            open: Arc::new(OpenList::new(data.join("sessions"))),
            board: Arc::default(),
            rules: Rules {
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

    /// Ends what is left of terminals that were open when an earlier process was killed. Only then are they said to be lost.
    pub(crate) async fn end_leftovers(&self) {
        let ending = async {
            for id in self.open.list() {
                let count = process_tree::end_leftovers(shell::marker(id)).await;
                if count > 0 {
                    warn!(session.id = %id, processes = count, "ended what an agent that was killed had left running");
                }
                self.lost().insert(id, lost_with(count));
            }
        };
        if tokio::time::timeout(STOP_TIMEOUT, ending).await.is_err() {
            error!("some processes of an agent that was killed do not end");
        }
    }

    /// Where terminals with news are marked.
    pub(crate) fn board(&self) -> &Board<SessionId> {
        &self.board
    }

    /// A terminal whose end the server does not know yet.
    pub(crate) fn get(&self, id: SessionId) -> Option<Arc<Terminal>> {
        self.known().get(&id).cloned()
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Terminal>> {
        self.known().values().cloned().collect()
    }

    /// The ids of all that the server may ask for, those of an earlier process included.
    pub(crate) fn ids(&self) -> Vec<SessionId> {
        let mut ids: Vec<_> = self.known().keys().copied().collect();
        ids.extend(self.lost().keys());
        ids
    }

    /// How a terminal ended that is not here any more.
    pub(crate) fn end_of_absent(&self, id: SessionId) -> SessionEnd {
        let end = self.lost().get(&id).cloned();
        end.unwrap_or(SessionEnd { reason: EndReason::Lost, exit_code: None, error: None })
    }

    /// How many have not ended.
    pub(crate) fn active(&self) -> usize {
        self.known().values().filter(|terminal| !terminal.has_ended()).count()
    }

    /// Opens a terminal. One that is there already is left as it is.
    pub(crate) fn start(&self, spec: &PtySpec) -> Result<Arc<Terminal>, ErrorBody> {
        if let Some(known) = self.get(spec.session_id) {
            return Ok(known);
        }
        self.refuse_one_more()?;
        let shell = Shell::of_spec(spec, &self.rules.account)?;
        self.rules.policy.check_terminal(shell.path(), &spec.env)?;
        let terminal = self.bring_to_life(&shell, spec)?;
        self.known().insert(spec.session_id, terminal.clone());
        Ok(terminal)
    }

    fn refuse_one_more(&self) -> Result<(), ErrorBody> {
        let (code, message) = if self.stopping.is_cancelled() {
            (ErrorCode::Unavailable, "the satellite stops".to_owned())
        } else if self.known().len() >= self.rules.max_sessions {
            let max = self.rules.max_sessions;
            (ErrorCode::RateLimited, format!("{max} terminals are open on this satellite already"))
        } else {
            return Ok(());
        };
        Err(ErrorBody { code, message })
    }

    fn bring_to_life(&self, shell: &Shell, spec: &PtySpec) -> Result<Arc<Terminal>, ErrorBody> {
        let screen = Screen::new(spec.size);
        let (child, pty) = shell.start(screen.size())?;
        let pid = child.id().expect("nobody has waited for it yet");
        let limits = Limits {
            claim: self.rules.claim_linger,
            linger: Duration::from_secs(spec.linger_seconds),
            idle: spec.idle_timeout_seconds.map(Duration::from_secs),
        };
        let terminal = Arc::new(Terminal::new(spec.session_id, pid, clock::now(), screen, limits));
        self.open.insert(spec.session_id);
        debug!(session.id = %spec.session_id, pid, "terminal opened");
        let life = Life {
            pump: Pump::new(terminal.clone(), pty),
            terminal: terminal.clone(),
            child,
            root: shell.root(pid),
            board: self.board.clone(),
            open: self.open.clone(),
            stopping: self.stopping.clone(),
            kill_grace: self.rules.kill_grace,
        };
        self.tasks.spawn(life.live());
        Ok(terminal)
    }

    /// The server knows of a terminal's end. Of one that has not ended it is a mistake, and ignored.
    pub(crate) fn forget(&self, id: SessionId) -> bool {
        let mut known = self.known();
        let has_ended = known.get(&id).is_none_or(|terminal| terminal.has_ended());
        if has_ended {
            known.remove(&id);
            if self.lost().remove(&id).is_some() {
                self.open.remove(id);
            }
        }
        has_ended
    }

    /// The link is gone.
    pub(crate) fn leave(&self) {
        self.all().iter().for_each(|terminal| terminal.leave());
    }

    /// Opens no more terminals, ends those that are open, and waits until everything in them is gone.
    pub(crate) async fn stop(&self) {
        self.stopping.cancel();
        self.tasks.close();
        let active = self.active();
        if active > 0 {
            info!(active, "ending the terminals that are open");
        }
        if tokio::time::timeout(STOP_TIMEOUT, self.tasks.wait()).await.is_err() {
            error!("some terminals do not end; the satellite stops without them");
        }
    }

    fn lost(&self) -> MutexGuard<'_, BTreeMap<SessionId, SessionEnd>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<SessionId, Arc<Terminal>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a terminal whose agent was killed, of which so many processes were left.
fn lost_with(count: usize) -> SessionEnd {
    let left = match count {
        0 => String::new(),
        1 => "; 1 process that was left of the terminal was ended".to_owned(),
        count => format!("; {count} processes that were left of the terminal were ended"),
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

    /// A terminal in which nothing runs.
    pub(crate) fn opened() -> Arc<Terminal> {
        opened_as(session_id(1))
    }

    pub(crate) fn opened_as(id: SessionId) -> Arc<Terminal> {
        let limits = Limits { claim: Duration::MAX, linger: Duration::MAX, idle: None };
        Arc::new(Terminal::new(id, 1, clock::now(), Screen::new(Size::default()), limits))
    }

    /// Types into it, as the link and its task do together.
    pub(crate) fn typed(terminal: &Terminal, bytes: &'static [u8]) {
        let offset = terminal.applied();
        terminal.type_in(&Frame::data(StreamId(1), offset, Bytes::from_static(bytes), false)).unwrap();
        terminal.apply(bytes.len());
    }
}
