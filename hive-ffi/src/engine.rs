//! The runtime of this library. The first object starts it, and it ends with the last one.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::HiveError;

/// Threads that do the work. The threads of the languages only wait.
const THREADS: usize = 2;

/// How long [`shut_down`] waits for work that does not end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// The number of threads of all engines, and a signal for each that ends.
static LIVE_THREADS: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// The engine of all objects, while there is one.
static CURRENT: Mutex<Weak<Engine>> = Mutex::new(Weak::new());

/// A runtime, shared by all objects.
#[derive(Debug)]
pub(crate) struct Engine {
    /// Taken by the end of the engine.
    runtime: Mutex<Option<Runtime>>,
    tasks: Tasks,
}

/// A handle for starting tasks. It does not keep the engine alive, so that a task may hold it.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    handle: Handle,
    tracker: TaskTracker,
}

impl Engine {
    /// Returns the current engine, or starts one.
    pub(crate) fn get() -> Result<Arc<Self>, HiveError> {
        // The lock is held while a runtime starts: two first objects on two threads share one engine.
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = current.upgrade() {
            return Ok(engine);
        }
        // A fixed number of threads: the default is one per core, in a process that has threads of its own.
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(THREADS).thread_name("hive").enable_all();
        // Threads of `spawn_blocking` count as well. They run code of this library at the end of the process, too.
        let runtime = builder.on_thread_start(|| count(|alive| alive + 1)).on_thread_stop(|| count(|alive| alive - 1));
        let runtime = runtime.build();
        let runtime = runtime.map_err(|error| HiveError::unavailable(format!("cannot start threads: {error}")))?;
        let tasks = Tasks { handle: runtime.handle().clone(), tracker: TaskTracker::new() };
        let engine = Arc::new(Self { runtime: Mutex::new(Some(runtime)), tasks });
        // A weak reference: the engine ends with the last object.
        *current = Arc::downgrade(&engine);
        Ok(engine)
    }

    fn take_runtime(&self) -> Option<Runtime> {
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Runs work on the threads of the engine. It is cancelled when the caller stops waiting.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T, HiveError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, HiveError>> + Send + 'static,
    {
        // The languages poll the future on their own threads. A task runs on the threads of the engine, where tokio needs it.
        let running = AbortOnDropHandle::new(self.tasks.start(work));
        running.await.unwrap_or_else(|error| Err(HiveError::internal(format!("the call was aborted: {error}"))))
    }
}

impl Tasks {
    /// Starts a task. It ends by itself, or with the engine.
    pub(crate) fn start<T, F>(&self, task: F) -> tokio::task::JoinHandle<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        // Tracked for `tasks_under_way`, which tests use to find tasks that were left behind.
        self.tracker.spawn_on(task, &self.handle)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The last object may be dropped on the thread of an event loop, which must not wait.
        if let Some(runtime) = self.take_runtime() {
            runtime.shutdown_background();
        }
    }
}

// A poisoned lock is used on: no panic leaves a half-written value behind any of these locks.
fn count(change: impl FnOnce(usize) -> usize) {
    let (alive, ended) = &LIVE_THREADS;
    let mut alive = alive.lock().unwrap_or_else(PoisonError::into_inner);
    *alive = change(*alive);
    ended.notify_all();
}

/// Ends all work of this library in this process, and waits at most a few seconds for its threads. It is for the end of an
/// interpreter: a thread of the library that calls into an interpreter after its end crashes the process.
///
/// It must not be called on a thread of the library.
#[uniffi::export]
pub fn shut_down() {
    // Objects may still hold the engine. Without its runtime, their calls fail.
    let running = CURRENT.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
    if let Some(runtime) = running.and_then(|engine| engine.take_runtime()) {
        runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    }
    // Engines that were dropped before may still end their threads in the background.
    let (alive, ended) = &LIVE_THREADS;
    let alive = alive.lock().unwrap_or_else(PoisonError::into_inner);
    drop(ended.wait_timeout_while(alive, SHUTDOWN_TIMEOUT, |alive| *alive > 0));
}

/// Returns the number of calls and terminals that are open in this process. It helps to find a forgotten one.
#[uniffi::export]
pub fn tasks_under_way() -> u64 {
    let running = CURRENT.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
    running.map_or(0, |engine| engine.tasks.tracker.len() as u64)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Reports that it was dropped.
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
    async fn work_is_cancelled_with_its_caller() {
        let engine = Engine::get().unwrap();
        let (sender, dropped) = mpsc::channel();
        let mut call = Box::pin(engine.run(for_ever(Guard(sender))));
        assert!(futures_util::poll!(&mut call).is_pending());
        drop(call);
        tokio::task::spawn_blocking(move || dropped.recv()).await.unwrap().unwrap();
    }

    #[test]
    fn tasks_end_with_the_last_reference_to_the_engine() {
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
