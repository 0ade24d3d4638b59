//! The task of one session: moves bytes, sets sizes, enforces timeouts, and ends the session with all its processes.

use std::future::poll_fn;
use std::os::unix::process::ExitStatusExt as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use hive_wire::agent::ErrorBody;
use hive_wire::api::{EndReason, SessionEnd};
use hive_wire::session::INPUT_WINDOW;
use hive_wire::{ErrorCode, SessionId};
use tokio::process::Child;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::pty_io::{BATCH, IoCounts, PtyIo};
use super::session::AgentSession;
use super::session_files::SessionFiles;
use crate::dirty_set::DirtySet;
use crate::process_tree::{self, SurvivorList, Survivors, TreeRoot};

/// How long a PTY is read after all processes of the session have ended, if another process holds it open.
const DRAIN: Duration = Duration::from_millis(200);
/// How long an acknowledgement of input may wait. Usually the echo arrives in this time, and both are sent together.
const ACK_PAUSE: Duration = Duration::from_millis(2);
/// The input after which an acknowledgement is sent at once.
const ACK_BYTES: u64 = INPUT_WINDOW / 4;

/// The deadline of a timer that nothing waits for.
const MAX_ALARM: Duration = Duration::from_hours(1);

/// A session whose program runs.
pub(super) struct SessionTask {
    pub(super) session: Arc<AgentSession>,
    pub(super) io: PtyIo,
    pub(super) child: Child,
    pub(super) root: TreeRoot,
    pub(super) dirty: Arc<DirtySet<SessionId>>,
    pub(super) files: Arc<SessionFiles>,
    /// What could not be killed of ended sessions.
    pub(super) unkilled: Arc<SurvivorList>,
    /// The agent stops.
    pub(super) stopping: CancellationToken,
    pub(super) kill_grace: Duration,
}

/// Input that was written and not acknowledged yet.
#[derive(Debug, Default)]
struct PendingAcks {
    bytes: u64,
    since: Option<Instant>,
}

impl SessionTask {
    /// Runs the session to its end.
    pub(super) async fn run(mut self) {
        let reason = self.serve().await;
        let (exit_code, survivors) = self.end().await;
        let left = survivors.message();
        if let Some(left) = &left {
            warn!(session.id = %self.session.id, "a session was ended: {left}");
            self.unkilled.add(&survivors);
        }
        // Removed only now, when no process is left that a restarted agent could end.
        self.files.remove(self.session.id);
        debug!(session.id = %self.session.id, reason = reason.as_str(), exit_code, "session ended");
        let error = left.map(|message| ErrorBody { code: ErrorCode::Internal, message });
        self.session.set_end(SessionEnd { reason, exit_code, error });
        self.notify_link();
    }

    async fn serve(&mut self) -> EndReason {
        let mut pending_acks = PendingAcks::default();
        let mut alarm = pin!(sleep_until(Instant::now()));
        loop {
            if self.session.is_timed_out() {
                return EndReason::Timeout;
            }
            if pending_acks.is_due() {
                pending_acks = PendingAcks::default();
                self.notify_link();
            }
            let next = [self.session.next_wakeup(), self.io.retry_at(), pending_acks.is_due_at()];
            set(alarm.as_mut(), next.into_iter().flatten().min());
            tokio::select! {
                // In this order: a session that ends must not be kept alive by a flood of output.
                biased;
                () = self.stopping.cancelled() => return EndReason::Killed,
                () = self.session.stopped() => return EndReason::Killed,
                _ = self.child.wait() => return EndReason::Exited,
                moved = poll_fn(|context| self.io.poll(context)) => {
                    pending_acks.add(moved.written);
                    if moved.read > 0 {
                        // The output carries the acknowledgement, because both are sent together.
                        pending_acks = PendingAcks::default();
                        self.notify_link();
                        yield_after_batch(moved).await;
                    }
                }
                () = self.session.changed() => {}
                () = &mut alarm => {}
            }
        }
    }

    /// Ends all processes that are left and reads their last output. Returns the exit code and what cannot be killed.
    async fn end(&mut self) -> (Option<i32>, Survivors) {
        let mut gone = pin!(process_tree::hang_up(self.root.clone(), self.kill_grace));
        let survivors = loop {
            tokio::select! {
                survivors = &mut gone => break survivors,
                // Processes may write to the PTY while they handle SIGHUP, and block if nobody reads.
                () = read_final_output(&mut self.io) => self.notify_link(),
            }
        };
        // A program that cannot be killed is not waited for. The runtime reaps it when it ends.
        let status =
            if survivors.is_empty() { self.child.wait().await.ok() } else { self.child.try_wait().ok().flatten() };
        // Everything was read or the time is over: the session has ended.
        drop(tokio::time::timeout(DRAIN, read_to_end(&mut self.io)).await);
        (status.and_then(|status| status.code().or(status.signal().map(|signal| 128 + signal))), survivors)
    }

    fn notify_link(&self) {
        self.dirty.mark(self.session.id);
    }
}

impl PendingAcks {
    fn add(&mut self, written: usize) {
        if written > 0 {
            self.bytes += written as u64;
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

/// Sets the timer to fire no later than `at`. It may fire too early: that is harmless, and cheaper than resetting it
/// for every keystroke.
fn set(alarm: Pin<&mut Sleep>, at: Option<Instant>) {
    let at = at.unwrap_or_else(|| Instant::now() + MAX_ALARM);
    if alarm.is_elapsed() || at < alarm.deadline() {
        alarm.reset(at);
    }
}

/// A program that floods the PTY must not keep the link from sending.
async fn yield_after_batch(moved: IoCounts) {
    if moved.read >= BATCH {
        tokio::task::yield_now().await;
    }
}

/// Reads some of the last output, or waits forever.
async fn read_final_output(io: &mut PtyIo) {
    match poll_fn(|context| io.poll_final_output(context)).await {
        Ok(1..) => tokio::task::yield_now().await,
        Ok(0) | Err(_) => std::future::pending().await,
    }
}

/// Reads until no process has the PTY open, or there is no room.
async fn read_to_end(io: &mut PtyIo) {
    while let Ok(1..) = poll_fn(|context| io.poll_final_output(context)).await {}
}
