//! Commands: how they are stored, queued, handed to links and ended.
//!
//! The modules in the order of a command: `payload` is what it does, `accept` stores it, `queue` decides when it gets a
//! slot at its satellite, `dispatch` hands it to a link of `links`, `reports` handles what its satellite reports,
//! `in_flight` holds its output until it is stored and wakes its followers, `spill` stores output early where there is too
//! much, `ending` ends it, `result` is what callers get. `revocation` and `overdue` end commands that their satellite does
//! not end.
//!
//! This module does not know what gives the commands of a job their turns. Jobs follow their commands as a
//! `CommandObserver`.

mod accept;
mod cancel;
mod dispatch;
mod ending;
mod idempotency;
pub(crate) mod in_flight;
mod links;
mod lookup;
mod open_jobs;
mod overdue;
pub(crate) mod payload;
mod progress;
pub(crate) mod queue;
mod reports;
mod requeue;
pub(crate) mod result;
mod revocation;
mod router;
mod spill;
mod starts;
pub(crate) mod stream;
#[cfg(test)]
mod tests;
mod turns;

use std::sync::{Arc, Weak};
use std::time::Duration;

use hive_wire::api::CommandStatus;
use hive_wire::{CommandId, JobId};

use crate::context::ServiceContext;
use crate::events::Events;
use crate::identity::auth_failures::AuthFailures;
use crate::keys::Keys;
use crate::links::Links;
use crate::observers::Observers;
use crate::store::{AuditStore, CommandStore, JobStore, SatelliteStore, Store};

pub(crate) use accept::AcceptOptions;
pub(crate) use links::CommandLink;
pub(crate) use router::encode;
pub use router::{CommandReport, CommandRouter, ExecOptions, ExecReport, OutputReader, OutputSource};
pub(crate) use turns::Turn;

/// The commands of all satellites.
pub(crate) struct Commands {
    store: Arc<dyn CommandStore>,
    job_store: Arc<dyn JobStore>,
    satellite_store: Arc<dyn SatelliteStore>,
    audit: Arc<dyn AuditStore>,
    keys: Arc<Keys>,
    events: Arc<Events>,
    auth_failures: Arc<AuthFailures>,
    /// Which satellites are online.
    presence: Arc<Links>,
    context: ServiceContext,
    in_flight: in_flight::InFlightCommands,
    starts: starts::PendingStarts,
    open: queue::OpenCommandCounts,
    links: links::CommandLinks,
    open_jobs: open_jobs::OpenJobs,
    observers: Observers<dyn CommandObserver>,
}

/// What happens to the commands of jobs.
#[derive(Debug)]
pub(crate) enum CommandEvent {
    /// A command has ended, and the store has its end.
    Ended { job: JobId, id: CommandId, status: CommandStatus, exit_code: Option<i32> },
    /// The store knows more of a job's commands than was reported here.
    JobChanged { job: JobId },
    /// A command that had its turn is queued again: its satellite cannot be given anything now.
    TurnReturned { job: JobId, id: CommandId },
    /// A satellite for which the job has queued commands is online, and was sent everything that was handed to it
    /// before.
    SatelliteReady { job: JobId },
}

/// Follows the commands of jobs.
pub(crate) trait CommandObserver: Send + Sync {
    /// Handles an event. It must not wait: whoever reports it may hold up a satellite's link.
    fn on_command(&self, event: &CommandEvent);
}

impl Commands {
    pub(crate) fn new(
        store: &Arc<dyn Store>,
        keys: Arc<Keys>,
        events: Arc<Events>,
        auth_failures: Arc<AuthFailures>,
        presence: Arc<Links>,
        context: ServiceContext,
    ) -> Self {
        Self {
            in_flight: in_flight::InFlightCommands::new(context.settings().max_buffered_output),
            store: store.clone(),
            job_store: store.clone(),
            satellite_store: store.clone(),
            audit: store.clone(),
            keys,
            events,
            auth_failures,
            presence,
            context,
            starts: starts::PendingStarts::default(),
            open: queue::OpenCommandCounts::default(),
            links: links::CommandLinks::default(),
            open_jobs: open_jobs::OpenJobs::default(),
            observers: Observers::default(),
        }
    }

    /// Adds an observer of the commands of jobs.
    pub(crate) fn observe(&self, observer: Weak<dyn CommandObserver>) {
        self.observers.add(observer);
    }

    /// Returns the commands that satellites work on now.
    #[cfg(test)]
    pub(crate) fn in_flight(&self) -> &in_flight::InFlightCommands {
        &self.in_flight
    }

    /// Returns how long a call waits for a command: its timeout, and the time to kill it and to report.
    pub(crate) fn call_timeout(&self, timeout_seconds: u32) -> Duration {
        Duration::from_secs(u64::from(timeout_seconds)) + self.context.settings().result_grace
    }

    fn emit(&self, event: &CommandEvent) {
        for observer in self.observers.all() {
            observer.on_command(event);
        }
    }

    fn emit_job_changed(&self, job: Option<JobId>) {
        if let Some(job) = job {
            self.emit(&CommandEvent::JobChanged { job });
        }
    }
}

impl std::fmt::Debug for Commands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Commands").finish_non_exhaustive()
    }
}
