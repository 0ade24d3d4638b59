//! The life of one terminal: a task that moves its bytes, shows it its size, and ends it with everything it started.

use std::future::poll_fn;
use std::os::unix::process::ExitStatusExt as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use hive_wire::SessionId;
use hive_wire::api::{EndReason, SessionEnd};
use hive_wire::session::INPUT_WINDOW;
use tokio::process::Child;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::pty_io::{BATCH, Moved, Pump};
use super::session::Terminal;
use super::session_files::OpenList;
use crate::dirty_set::Board;
use crate::process_tree::{self, Root};

/// How long a terminal is read after everything in it is gone, where something else holds it open.
const DRAIN: Duration = Duration::from_millis(200);
/// How long the link need not know what was typed. Mostly the echo comes first, and both go out together.
const ACK_PAUSE: Duration = Duration::from_millis(2);
/// How much may be typed before the link knows, however little time has passed.
const ACK_BYTES: u64 = INPUT_WINDOW / 4;

/// The pause of an alarm that nobody needs.
const LONG: Duration = Duration::from_hours(1);

/// A terminal whose program runs.
pub(super) struct Life {
    pub(super) terminal: Arc<Terminal>,
    pub(super) pump: Pump,
    pub(super) child: Child,
    pub(super) root: Root,
    pub(super) board: Arc<Board<SessionId>>,
    pub(super) open: Arc<OpenList>,
    /// The agent stops.
    pub(super) stopping: CancellationToken,
    pub(super) kill_grace: Duration,
}

/// What was typed since the link last looked.
#[derive(Debug, Default)]
struct Unsaid {
    bytes: u64,
    since: Option<Instant>,
}

impl Life {
    /// Lives it to its end.
    pub(super) async fn live(mut self) {
        let reason = self.attend().await;
        let exit_code = self.end().await;
        self.open.remove(self.terminal.id);
        debug!(session.id = %self.terminal.id, reason = reason.as_str(), exit_code, "terminal ended");
        self.terminal.set_end(SessionEnd { reason, exit_code, error: None });
        self.tell();
    }

    async fn attend(&mut self) -> EndReason {
        let mut unsaid = Unsaid::default();
        let mut alarm = pin!(sleep_until(Instant::now()));
        loop {
            if self.terminal.has_run_out() {
                return EndReason::Timeout;
            }
            if unsaid.is_due() {
                unsaid = Unsaid::default();
                self.tell();
            }
            let next = [self.terminal.next_look(), self.pump.next_try(), unsaid.is_due_at()];
            set(alarm.as_mut(), next.into_iter().flatten().min());
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return EndReason::Killed,
                () = self.terminal.stopped() => return EndReason::Killed,
                _ = self.child.wait() => return EndReason::Exited,
                moved = poll_fn(|context| self.pump.poll(context)) => {
                    unsaid.add(moved.typed);
                    if moved.read > 0 {
                        unsaid = Unsaid::default();
                        self.tell();
                        give_way(moved).await;
                    }
                }
                () = self.terminal.news() => {}
                () = &mut alarm => {}
            }
        }
    }

    /// Ends everything that is left of it, and reads its last words. Gives the exit code.
    async fn end(&mut self) -> Option<i32> {
        let mut gone = pin!(process_tree::hang_up(self.root.clone(), self.kill_grace));
        loop {
            tokio::select! {
                () = &mut gone => break,
                () = read_on(&mut self.pump) => self.tell(),
            }
        }
        let status = self.child.wait().await.ok();
        // Whether everything was read or the time is up: it has ended.
        drop(tokio::time::timeout(DRAIN, read_to_end(&mut self.pump)).await);
        status.and_then(|status| status.code().or(status.signal().map(|signal| 128 + signal)))
    }

    fn tell(&self) {
        self.board.mark(self.terminal.id);
    }
}

impl Unsaid {
    fn add(&mut self, typed: usize) {
        if typed > 0 {
            self.bytes += typed as u64;
            self.since.get_or_insert_with(Instant::now);
        }
    }

    fn is_due_at(&self) -> Option<Instant> {
        self.since.map(|since| since + ACK_PAUSE)
    }

    fn is_due(&self) -> bool {
        self.bytes >= ACK_BYTES || self.is_due_at().is_some_and(|at| at <= Instant::now())
    }
}

/// Sets an alarm no later than this. One that goes off too early does no harm, and costs less than setting it each time.
fn set(alarm: Pin<&mut Sleep>, at: Option<Instant>) {
    let at = at.unwrap_or_else(|| Instant::now() + LONG);
    if alarm.is_elapsed() || at < alarm.deadline() {
        alarm.reset(at);
    }
}

/// A program that floods the terminal must not keep the link from sending.
async fn give_way(moved: Moved) {
    if moved.read >= BATCH {
        tokio::task::yield_now().await;
    }
}

/// Reads something of the last words, or waits for ever.
async fn read_on(pump: &mut Pump) {
    match poll_fn(|context| pump.poll_last_words(context)).await {
        Ok(1..) => tokio::task::yield_now().await,
        Ok(0) | Err(_) => std::future::pending().await,
    }
}

/// Reads until nobody has the terminal open, or there is no room.
async fn read_to_end(pump: &mut Pump) {
    while let Ok(1..) = poll_fn(|context| pump.poll_last_words(context)).await {}
}
