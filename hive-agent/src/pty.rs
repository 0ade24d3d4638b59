//! Terminals that do not die: each is a program on a PTY with a task of its own, and outlives the links it is used over.
//!
//! [`Terminals`] knows no link: whichever is up asks for a [`Terminal`], and is told on the [`Board`] who has news. What is
//! decided about bytes, times and sizes is decided in [`output`], [`input`], [`patience`] and [`screen`], which do no I/O;
//! [`life`] is the task, [`pump`] its hands, [`shell`] what is started.

mod input;
mod life;
mod output;
mod patience;
mod pump;
mod screen;
mod shell;
mod terminal;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hive_wire::agent::{ErrorBody, PtySpec};
use hive_wire::{ErrorCode, SessionId};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info};

use crate::board::Board;
use crate::clock;
use crate::config::{Account, Config};
use crate::policy::Policy;

use life::Life;
use patience::Limits;
use pump::Pump;
use screen::Screen;
use shell::Shell;

pub(crate) use output::Piece;
pub(crate) use terminal::{Standing, Terminal};

/// How long a stopping agent waits for its terminals to be gone.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// The terminals of this agent.
#[derive(Debug)]
pub(crate) struct Terminals {
    /// Those whose end the server does not know of.
    known: Mutex<BTreeMap<SessionId, Arc<Terminal>>>,
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
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            known: Mutex::default(),
            board: Arc::default(),
            rules: Rules {
                policy: config.policy.clone(),
                account: config.account.clone(),
                max_sessions: config.max_sessions,
                kill_grace: config.session_kill_grace,
                claim_linger: config.claim_linger,
            },
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
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
        self.rules.policy.check_terminal(shell.path())?;
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
        debug!(session.id = %spec.session_id, pid, "terminal opened");
        let life = Life {
            pump: Pump::new(terminal.clone(), pty),
            terminal: terminal.clone(),
            child,
            root: shell.root(pid),
            board: self.board.clone(),
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

    fn known(&self) -> MutexGuard<'_, BTreeMap<SessionId, Arc<Terminal>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
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
