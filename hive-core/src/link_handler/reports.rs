//! What a satellite reports and the store has to keep: one queue for each link, in the order of the messages, and a task that
//! exists while the queue is not empty.
//!
//! The link goes on meanwhile: a slow store delays no keystroke and no echo. What a satellite may drop after the hive has it
//! (results, output, the ends of sessions) is acknowledged by the task, after it is stored.

use std::collections::VecDeque;
use std::mem::size_of;
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use hive_wire::agent::{CommandResult, ErrorBody, ToAgent};
use hive_wire::api::{CommandStatus, SessionEnd};
use hive_wire::{CommandId, SessionId};
use tokio::sync::Notify;
use tracing::debug;

use super::LinkHandler;
use super::output::OutputStream;
use crate::commands::CommandLink;
use crate::link::Close;
use crate::satellites::reported_text::cut;
use crate::sessions::LiveSession;
use crate::sync::lock;
use crate::{Error, Result};

/// The memory of the reports that wait for the store, in bytes, for one link. With more, the link is closed.
///
/// A satellite that keeps to the protocol stays far below it, also while the database is away for the whole retry window. Its
/// output is not counted here: it is bounded by credit, which is granted after the output is stored, and a satellite that sends
/// beyond its credit is closed. Of each command it has one result to report, and it gets no other command for the slot before
/// that is stored: the results of 50,000 open commands take 20 MiB.
const MAX_WAITING: usize = 64 * 1024 * 1024;
/// Results that are stored at the same time, so that they share a commit.
const BATCH: usize = 64;

/// A report that needs the store.
pub(super) enum Report {
    /// A chunk of a command's output is full.
    Output(Arc<OutputStream>),
    /// A command has ended.
    Result(Box<CommandResult>),
    /// A command is sent back.
    Busy(CommandId),
    /// A message about a command that the satellite was not given, or that has ended.
    UnknownCommand(CommandId),
    /// The program of a session runs.
    SessionStarted(Arc<LiveSession>),
    /// A session is gone.
    SessionEnded(SessionId, SessionEnd),
    /// A message about a session that the satellite does not have.
    UnknownSession(SessionId),
}

impl Report {
    /// The report of a command's end, with its texts cut.
    pub(super) fn of_result(result: CommandResult) -> Self {
        let status = match result.status {
            CommandStatus::Unknown(word) => CommandStatus::Unknown(cut(word.into_string()).into()),
            known => known,
        };
        let error = result.error.map(|error| ErrorBody { message: cut(error.message), ..error });
        Self::Result(Box::new(CommandResult { status, error, ..result }))
    }

    /// The memory that it takes, in bytes.
    fn size(&self) -> usize {
        let text = match self {
            Self::Result(result) => {
                size_of::<CommandResult>() + result.error.as_ref().map_or(0, |error| error.message.len())
            }
            Self::SessionEnded(_, end) => end.error.as_ref().map_or(0, |error| error.message.len()),
            _ => 0,
        };
        size_of::<Self>() + text
    }

    /// Whether it is stored also where its link has ended meanwhile. The others say what holds for this link only.
    fn outlives_link(&self) -> bool {
        matches!(self, Self::Output(_) | Self::Result(_) | Self::SessionStarted(_) | Self::SessionEnded(..))
    }
}

/// The reports of one link that wait for the store.
#[derive(Default)]
pub(super) struct ReportQueue {
    state: Mutex<QueueState>,
    /// Wakes those who wait until everything is stored.
    settled: Notify,
}

#[derive(Default)]
struct QueueState {
    waiting: VecDeque<Report>,
    bytes: usize,
    /// Whether a task empties the queue.
    is_storing: bool,
    /// Why the link ends. Nothing is stored any more.
    failure: Option<Box<Error>>,
    has_failed: bool,
}

impl QueueState {
    fn clear(&mut self) {
        // The memory of a long queue is returned: most links are idle.
        (self.waiting, self.bytes) = (VecDeque::new(), 0);
    }
}

impl ReportQueue {
    /// Adds a report. Returns whether the caller is to start the task that stores it.
    ///
    /// # Errors
    /// `Unavailable` where too much waits already, or an earlier report could not be stored.
    fn push(&self, report: Report) -> Result<bool> {
        let mut state = lock(&self.state);
        if state.has_failed {
            return Err(Error::unavailable("an earlier report of this link was not stored"));
        }
        let bytes = state.bytes + report.size();
        if bytes > MAX_WAITING {
            return Err(Error::unavailable("too many reports of this satellite wait to be stored"));
        }
        state.bytes = bytes;
        state.waiting.push_back(report);
        Ok(!std::mem::replace(&mut state.is_storing, true))
    }

    /// Takes the reports that are stored next: one, or several results. None where nothing is left, and the task is to end.
    fn take_next(&self) -> Option<Vec<Report>> {
        let mut state = lock(&self.state);
        let is_result = |report: &Report| matches!(report, Report::Result(_));
        let results = state.waiting.iter().take(BATCH).take_while(|report| is_result(report)).count();
        let count = results.max(1).min(state.waiting.len());
        let batch: Vec<_> = state.waiting.drain(..count).collect();
        state.bytes -= batch.iter().map(Report::size).sum::<usize>();
        if batch.is_empty() {
            state.clear();
            state.is_storing = false;
            drop(state);
            self.settled.notify_waiters();
            return None;
        }
        Some(batch)
    }

    /// Ends the queue with an error. The satellite keeps what is not acknowledged, and reports it again over its next link.
    fn fail(&self, error: Error) {
        {
            let mut state = lock(&self.state);
            state.clear();
            state.is_storing = false;
            state.has_failed = true;
            state.failure.get_or_insert_with(|| Box::new(error));
        }
        self.settled.notify_waiters();
    }

    /// Drops the reports that only the link was interested in. The task stores the others.
    pub(super) fn detach(&self) {
        let mut state = lock(&self.state);
        state.waiting.retain(Report::outlives_link);
        state.bytes = state.waiting.iter().map(Report::size).sum();
    }

    /// Waits until everything that was added is stored.
    ///
    /// # Errors
    /// The error for which the link ends, once.
    pub(super) async fn settled(&self) -> Result<()> {
        loop {
            // Before the state is read: a change in between wakes it.
            let settled = self.settled.notified();
            {
                let mut state = lock(&self.state);
                if let Some(error) = state.failure.take() {
                    return Err(*error);
                }
                if !state.is_storing {
                    return Ok(());
                }
            }
            settled.await;
        }
    }
}

/// Ends the queue where its task ends by a panic: the link would never get an acknowledgement again.
struct TaskGuard<'q>(Option<&'q ReportQueue>);

impl Drop for TaskGuard<'_> {
    fn drop(&mut self) {
        if let Some(queue) = self.0.take() {
            queue.fail(Error::internal("the task that stores reports has ended"));
        }
    }
}

impl LinkHandler {
    /// Adds a report to the queue of a link, behind all that were added before.
    pub(super) fn queue_report(
        self: &Arc<Self>,
        link: &CommandLink,
        queue: &Arc<ReportQueue>,
        report: Report,
    ) -> Result<()> {
        if queue.push(report)? {
            let (handler, link, queue) = (self.clone(), link.clone(), queue.clone());
            self.context.spawn(async move { handler.store_reports(&link, &queue).await });
        }
        Ok(())
    }

    async fn store_reports(&self, link: &CommandLink, queue: &ReportQueue) {
        let mut guard = TaskGuard(Some(queue));
        while let Some(batch) = queue.take_next() {
            let stored: Result<()> = if self.context.shutdown().is_cancelled() {
                // With a database that is away, each report would delay the shutdown.
                Err(Error::unavailable("the hive stops"))
            } else {
                // Results of different commands: the output of each was stored before, because it was queued before.
                // All to their end: a result that is cut off half-way would be stored, and its followers never told.
                let stored = join_all(batch.into_iter().map(|report| self.store_report(link, queue, report))).await;
                stored.into_iter().collect()
            };
            if let Err(error) = stored {
                debug!(satellite.id = %link.satellite(), error = %error, "a report was not stored, the link is closed");
                link.handle.end(Close::from(&error));
                queue.fail(error);
                break;
            }
        }
        guard.0 = None;
    }

    async fn store_report(&self, link: &CommandLink, queue: &ReportQueue, report: Report) -> Result<()> {
        let Self { commands, sessions, .. } = self;
        match report {
            Report::Output(stream) => self.store_output(link, queue, stream).await,
            Report::Result(result) => commands.on_result(link, *result).await,
            Report::Busy(id) => commands.on_busy(link, id).await,
            Report::UnknownCommand(id) => commands.note_unknown(link.satellite(), id).await,
            Report::SessionStarted(session) => self.store_session_start(link, &session).await,
            Report::SessionEnded(id, end) => self.store_session_end(link, id, end).await,
            Report::UnknownSession(id) => sessions.note_unknown(link.satellite(), id).await,
        }
    }

    async fn store_output(&self, link: &CommandLink, queue: &ReportQueue, stream: Arc<OutputStream>) -> Result<()> {
        let stored = self.commands.store_output(stream.command, &stream.channel).await?;
        let (limit, has_more) = stream.on_stored(&self.commands, stored);
        if let Some(limit) = limit {
            link.handle.send_best_effort(ToAgent::StreamCredit { stream: stream.id, limit });
        }
        if has_more {
            // Behind the others: a command that writes without end must not delay them. The task runs, so that none is started.
            queue.push(Report::Output(stream))?;
        }
        Ok(())
    }

    async fn store_session_start(&self, link: &CommandLink, session: &LiveSession) -> Result<()> {
        let retry = self.context.retry_window();
        loop {
            let stored = self.sessions.store_started(session, &link.handle).await;
            if !retry.should_retry(&stored).await {
                return stored;
            }
        }
    }

    /// Stores the end of a session, and acknowledges it.
    async fn store_session_end(&self, link: &CommandLink, id: SessionId, end: SessionEnd) -> Result<()> {
        let retry = self.context.retry_window();
        let is_its_own = loop {
            let stored = self.sessions.on_ended(link.satellite(), id, end.clone()).await;
            if !retry.should_retry(&stored).await {
                break stored?;
            }
        };
        // Not acknowledged: the session is of another satellite, or there is none.
        if !is_its_own {
            return self.sessions.note_unknown(link.satellite(), id).await;
        }
        link.handle.send_best_effort(ToAgent::PtyEndAck { session_id: id });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::ErrorCode;
    use hive_wire::agent::Received;
    use hive_wire::id::Seed;

    fn ended(message: &str) -> Report {
        Report::of_result(CommandResult {
            id: CommandId::new(Seed { unix_millis: 1, random: [1; 10] }),
            status: CommandStatus::Failed,
            exit_code: None,
            duration_ms: 1,
            sent: Received::default(),
            truncated: false,
            error: Some(ErrorBody { code: ErrorCode::Internal, message: message.into() }),
        })
    }

    #[test]
    fn the_results_of_all_open_commands_may_wait_for_the_store() {
        let queue = ReportQueue::default();
        for number in 0..50_000 {
            let is_first = queue.push(ended("the program was not found in any directory of its search path")).unwrap();
            assert_eq!(is_first, number == 0, "one task stores them all");
        }
        assert_eq!(queue.take_next().unwrap().len(), BATCH);
    }

    #[test]
    fn a_flood_of_reports_is_refused_before_it_takes_much_memory() {
        let queue = ReportQueue::default();
        let text = "\u{1F4A5}".repeat(100_000);
        let taken = (0..1_000_000).take_while(|_| queue.push(ended(&text)).is_ok()).count();
        assert!((10_000..20_000).contains(&taken), "{taken}");
    }

    #[test]
    fn only_results_are_stored_together() {
        let queue = ReportQueue::default();
        let busy = || Report::Busy(CommandId::new(Seed { unix_millis: 1, random: [1; 10] }));
        for report in [ended(""), ended(""), busy(), ended("")] {
            queue.push(report).unwrap();
        }
        let sizes: Vec<_> = std::iter::from_fn(|| queue.take_next()).map(|batch| batch.len()).collect();
        assert_eq!(sizes, [2, 1, 1]);
        assert_eq!(lock(&queue.state).bytes, 0);
        assert!(queue.push(busy()).unwrap(), "the task has ended, and another one starts");
    }
}
