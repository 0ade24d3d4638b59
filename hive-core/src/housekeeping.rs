//! The periodic tasks of a hive, one for each concern.
//!
//! The tasks are isolated. A concern that fails or panics tries again at its next turn, and no other concern waits for it. A row that
//! cannot be read is passed over by its concern (see [`UnreadableRows`](crate::unreadable::UnreadableRows)), so that the rows behind it
//! are handled.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, warn};

use crate::Result;
use crate::context::ServiceContext;

/// How often data that is too old is deleted.
pub(crate) const PRUNE_INTERVAL: Duration = Duration::from_hours(1);

/// How often the concerns of a hive have failed since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HousekeepingCounts {
    /// Turns that ended with an error.
    pub failures: u64,
    /// Turns that panicked.
    pub panics: u64,
    /// Rows that could not be read when they were last looked at.
    pub unreadable_rows: u64,
}

/// One thing that is done again and again.
pub(crate) struct Concern {
    name: &'static str,
    interval: Duration,
    runs_at_shutdown: bool,
    /// Begins a turn; `None` where the service is gone, and the hive with it.
    begin: Box<dyn Fn() -> Option<BoxFuture<'static, Result<()>>> + Send>,
}

impl Concern {
    /// A concern of a service. The service is held weakly: housekeeping does not keep a hive alive.
    pub(crate) fn new<S, F>(
        name: &'static str,
        interval: Duration,
        service: &Arc<S>,
        turn: impl Fn(Arc<S>) -> F + Send + 'static,
    ) -> Self
    where
        S: Send + Sync + 'static,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let service = Arc::downgrade(service);
        let begin = move || service.upgrade().map(|service| turn(service).boxed());
        Self { name, interval, runs_at_shutdown: false, begin: Box::new(begin) }
    }

    /// The same, with one more turn when the hive stops.
    pub(crate) fn also_at_shutdown(self) -> Self {
        Self { runs_at_shutdown: true, ..self }
    }
}

/// The concerns of a hive.
#[derive(Default)]
pub(crate) struct Housekeeping {
    failures: AtomicU64,
    panics: AtomicU64,
}

impl Housekeeping {
    /// Starts a task for each concern. They end with the hive, or with the service that they are of.
    pub(crate) fn start(context: &ServiceContext, concerns: impl IntoIterator<Item = Concern>) -> Arc<Self> {
        let housekeeping = Arc::new(Self::default());
        for concern in concerns {
            context.spawn(housekeeping.clone().run(concern, context.clone()));
        }
        housekeeping
    }

    pub(crate) fn counts(&self, context: &ServiceContext) -> HousekeepingCounts {
        HousekeepingCounts {
            failures: self.failures.load(Ordering::Relaxed),
            panics: self.panics.load(Ordering::Relaxed),
            unreadable_rows: context.unreadable_rows().count(),
        }
    }

    async fn run(self: Arc<Self>, concern: Concern, context: ServiceContext) {
        let mut ticks = interval(concern.interval);
        // After a slow turn the next one comes a whole interval later, so that a slow store gets no burst of turns.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // A failure is logged again only when it changes: a database that is gone is one line, and not one for every turn.
        let mut logged = None;
        loop {
            let is_last = tokio::select! {
                _ = ticks.tick() => false,
                () = context.shutdown().cancelled() => true,
            };
            if is_last && !concern.runs_at_shutdown {
                return;
            }
            let Some(turn) = (concern.begin)() else { return };
            // Unwind safe: a turn shares state with others only through locks and the store.
            let failure = match AssertUnwindSafe(turn).catch_unwind().await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    Some(error.to_string())
                }
                Err(panic) => {
                    self.panics.fetch_add(1, Ordering::Relaxed);
                    error!(concern = concern.name, panic = text_of(panic.as_ref()), "housekeeping panicked");
                    None
                }
            };
            if let Some(failure) = failure.as_ref().filter(|failure| logged.as_ref() != Some(*failure)) {
                warn!(concern = concern.name, error = %failure, "housekeeping failed, and tries again");
            }
            logged = failure;
            if is_last {
                return;
            }
        }
    }
}

/// The message of a panic.
fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::time::timeout;

    use super::*;
    use crate::Error;
    use crate::clock::ClockAndRng;
    use crate::settings::Settings;

    const TICK: Duration = Duration::from_millis(10);

    fn context() -> ServiceContext {
        let source = ClockAndRng::default();
        ServiceContext::new(hive_wire::HiveId::new(source.seed()), source, Settings::default(), None)
    }

    /// A service whose turns are counted.
    #[derive(Default)]
    struct Turns(AtomicUsize);

    impl Turns {
        async fn wait_for(&self, count: usize) {
            let reached = async {
                while self.0.load(Ordering::SeqCst) < count {
                    tokio::time::sleep(TICK).await;
                }
            };
            timeout(Duration::from_mins(1), reached).await.expect("the concern goes on");
        }
    }

    #[tokio::test]
    async fn a_concern_that_fails_or_panics_stops_neither_itself_nor_another() {
        let context = context();
        let [failing, panicking, healthy] = [(); 3].map(|()| Arc::new(Turns::default()));
        let count = |turns: Arc<Turns>| turns.0.fetch_add(1, Ordering::SeqCst);
        let concerns = [
            Concern::new("failing", TICK, &failing, move |turns| async move {
                count(turns);
                Err(Error::internal("it cannot be done"))
            }),
            Concern::new("panicking", TICK, &panicking, move |turns| async move {
                count(turns);
                panic!("it was not expected")
            }),
            Concern::new("healthy", TICK, &healthy, move |turns| async move {
                count(turns);
                Ok(())
            }),
        ];
        let housekeeping = Housekeeping::start(&context, concerns);
        for turns in [&failing, &panicking, &healthy] {
            turns.wait_for(3).await;
        }
        let counts = housekeeping.counts(&context);
        assert!(counts.failures >= 2 && counts.panics >= 2, "{counts:?}");
        context.shutdown().cancel();
        context.wait_for_tasks().await;
    }

    #[tokio::test]
    async fn a_concern_ends_with_its_service_and_may_have_a_last_turn() {
        let context = context();
        let [gone, last] = [(); 2].map(|()| Arc::new(Turns::default()));
        let turn = |turns: Arc<Turns>| async move {
            turns.0.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        let concerns = [
            Concern::new("gone", TICK, &gone, turn),
            Concern::new("last", Duration::from_hours(1), &last, turn).also_at_shutdown(),
        ];
        Housekeeping::start(&context, concerns);
        gone.wait_for(1).await;
        last.wait_for(1).await;
        drop(gone);
        context.shutdown().cancel();
        context.wait_for_tasks().await;
        assert_eq!(last.0.load(Ordering::SeqCst), 2);
    }
}
