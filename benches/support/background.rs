//! Work on a thread of its own while a bench measures something else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::Context;
use tokio::time::Instant;

/// Running work.
pub(crate) struct Background {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Done>>,
}

/// How much work was done.
pub(crate) struct Done {
    pub(crate) count: u64,
    pub(crate) seconds: f64,
}

impl Done {
    pub(crate) fn per_second(&self) -> u64 {
        (self.count as f64 / self.seconds) as u64
    }
}

impl Background {
    /// Starts work. It has to end soon after the flag is set, and returns its count.
    pub(crate) fn start<F: Future<Output = anyhow::Result<u64>>>(
        work: impl FnOnce(Arc<AtomicBool>) -> F + Send + 'static,
    ) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            // A runtime of its own: work on the runtime of the bench would delay what is measured.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let began = Instant::now();
            let count = runtime.block_on(work(over))?;
            Ok(Done { count, seconds: began.elapsed().as_secs_f64() })
        });
        Self { is_over, thread }
    }

    /// Sets the flag and waits for the end.
    pub(crate) fn finish(self) -> anyhow::Result<Done> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("the work in the background panicked")?
    }
}
