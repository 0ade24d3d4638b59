//! The runtime of everything in this library: started by the first object, ended with the last.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::HiveError;

/// Threads that do the work. The languages' own threads only wait.
const THREADS: usize = 2;

/// How long [`shut_down`] waits for work that does not end.
const PATIENCE: Duration = Duration::from_secs(3);

/// How many threads of engines there are, and who waits for their end.
static ALIVE: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// The one that runs, while there is one.
static RUNNING: Mutex<Weak<Engine>> = Mutex::new(Weak::new());

/// A runtime, for as long as somebody holds it.
#[derive(Debug)]
pub(crate) struct Engine {
    /// Taken when it ends.
    runtime: Mutex<Option<Runtime>>,
    tasks: Tasks,
}

/// Where tasks are started. It does not keep the engine: a task may hold it.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    handle: Handle,
    tracker: TaskTracker,
}

impl Engine {
    /// The engine that runs, or a new one.
    pub(crate) fn get() -> Result<Arc<Self>, HiveError> {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = running.upgrade() {
            return Ok(engine);
        }
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(THREADS).thread_name("hive").enable_all();
        let runtime = builder.on_thread_start(|| count(|alive| alive + 1)).on_thread_stop(|| count(|alive| alive - 1));
        let runtime = runtime.build();
        let runtime = runtime.map_err(|error| HiveError::unavailable(format!("cannot start threads: {error}")))?;
        let tasks = Tasks { handle: runtime.handle().clone(), tracker: TaskTracker::new() };
        let engine = Arc::new(Self { runtime: Mutex::new(Some(runtime)), tasks });
        *running = Arc::downgrade(&engine);
        Ok(engine)
    }

    fn take_runtime(&self) -> Option<Runtime> {
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Does some work on the engine's threads, and gives it up when whoever waits for it goes away.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T, HiveError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, HiveError>> + Send + 'static,
    {
        let running = AbortOnDropHandle::new(self.tasks.start(work));
        running.await.unwrap_or_else(|error| Err(HiveError::internal(format!("the call was broken off: {error}"))))
    }
}

impl Tasks {
    /// Starts a task, which ends by itself or with the engine.
    pub(crate) fn start<T, F>(&self, task: F) -> tokio::task::JoinHandle<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.tracker.spawn_on(task, &self.handle)
    }
}

impl Drop for Engine {
    /// Waits for nothing: the last object may be dropped by a thread that must not, such as an event loop's.
    fn drop(&mut self) {
        if let Some(runtime) = self.take_runtime() {
            runtime.shutdown_background();
        }
    }
}

fn count(change: impl FnOnce(usize) -> usize) {
    let (alive, ended) = &ALIVE;
    let mut alive = alive.lock().unwrap_or_else(PoisonError::into_inner);
    *alive = change(*alive);
    ended.notify_all();
}

/// Ends whatever this library does in this process, and waits for its threads, a few seconds at most. For a language that is
/// about to end: its interpreter cannot be called any more then, and a thread that does takes the process down.
///
/// Not from a thread that was called by this library.
#[uniffi::export]
pub fn shut_down() {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
    if let Some(runtime) = running.and_then(|engine| engine.take_runtime()) {
        runtime.shutdown_timeout(PATIENCE);
    }
    let (alive, ended) = &ALIVE;
    let alive = alive.lock().unwrap_or_else(PoisonError::into_inner);
    drop(ended.wait_timeout_while(alive, PATIENCE, |alive| *alive > 0));
}

/// Returns how many calls and terminals are under way in this process, for whoever looks for one that was forgotten.
#[uniffi::export]
pub fn tasks_under_way() -> u64 {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
    running.map_or(0, |engine| engine.tasks.tracker.len() as u64)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Says when it is dropped.
    struct Guard(mpsc::Sender<()>);

    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.send(()).ok();
        }
    }

    async fn for_ever(guard: Guard) -> Result<(), HiveError> {
        std::future::pending::<()>().await;
        drop(guard);
        Ok(())
    }

    #[tokio::test]
    async fn work_is_given_up_with_whoever_waits_for_it() {
        let engine = Engine::get().unwrap();
        let (sender, dropped) = mpsc::channel();
        let mut call = Box::pin(engine.run(for_ever(Guard(sender))));
        assert!(futures_util::poll!(&mut call).is_pending());
        drop(call);
        tokio::task::spawn_blocking(move || dropped.recv()).await.unwrap().unwrap();
    }

    #[test]
    fn tasks_end_with_the_last_who_holds_the_engine() {
        let engine = Arc::new(Engine {
            tasks: Engine::get().unwrap().tasks.clone(),
            runtime: Mutex::new(Some(Builder::new_multi_thread().worker_threads(1).build().unwrap())),
        });
        let (sender, dropped) = mpsc::channel();
        let handle = engine.runtime.lock().unwrap().as_ref().unwrap().handle().clone();
        let tasks = Tasks { handle, tracker: TaskTracker::new() };
        drop(tasks.start(for_ever(Guard(sender))));
        drop(engine);
        dropped.recv().unwrap();
    }
}
