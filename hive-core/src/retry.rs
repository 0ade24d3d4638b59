//! What a satellite said is stored, even if the storage is out of reach for a while.
//!
//! Callers get an error at once, and may try again. A satellite has said it, and would have to be sent away with its link:
//! then a database that is gone for some seconds would be a storm of satellites that come back.

use std::time::Duration;

use hive_wire::CommandId;
use hive_wire::agent::{ToAgent, close};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::commands::in_flight::Context;
use crate::hive::Hive;
use crate::link::Outgoing;
use crate::links::Live;
use crate::store::CommandOutcome;
use crate::{Error, Result};

/// How often it is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// Whether something is tried again for a link.
pub(crate) struct Insistence {
    deadline: Instant,
    shutdown: CancellationToken,
}

impl Insistence {
    /// Waits a little and says that it is worth another try; or that this result is the last. Nothing else of the link is
    /// heard meanwhile, so that this has an end.
    pub(crate) async fn wants_another<T>(&self, result: &Result<T>) -> bool {
        let is_worth_it = matches!(result, Err(Error::Unavailable(_))) && Instant::now() < self.deadline;
        is_worth_it && self.shutdown.run_until_cancelled(sleep(RETRY)).await.is_some()
    }
}

impl Hive {
    /// Begins something for a link that is tried again while the storage is out of reach, for half the silence that either
    /// side of the link puts up with.
    pub(crate) fn insist(&self) -> Insistence {
        let deadline = Instant::now() + self.settings().heartbeat_timeout / 2;
        Insistence { deadline, shutdown: self.inner.shutdown.clone() }
    }

    /// Stores a result beside the link, which goes on, for as long as the storage is out of reach; then acknowledges it.
    pub(crate) fn finish_later(&self, id: CommandId, context: Context, outcome: CommandOutcome, live: Live) {
        let hive = self.clone();
        self.inner.tasks.spawn(self.inner.shutdown.clone().run_until_cancelled_owned(async move {
            loop {
                sleep(RETRY).await;
                match hive.finish(id, &context, outcome.clone()).await {
                    Ok(()) => break,
                    Err(Error::Unavailable(_)) => {}
                    Err(error) => {
                        warn!(command.id = %id, error = %error, "result not stored");
                        return live.close(close::OVERLOADED, "the result cannot be stored");
                    }
                }
            }
            // A link that is gone does not hear it: the satellite says the result again with the next one.
            live.pass(Outgoing::Control(ToAgent::ResultAck { id }));
        }));
    }
}
