//! Somebody who uses the API while other things happen: on a thread of their own, so that a crowd in the bench does not
//! slow them down more than it slows down the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, ensure};
use hive_testkit::TestHive;
use tokio::time::{Instant, sleep};

use crate::support::http::KeepAlive;

/// How long they pause between calls.
const PAUSE: Duration = Duration::from_millis(5);

/// A caller at work.
pub(crate) struct Prober {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Vec<f64>>>,
}

impl Prober {
    /// Begins to read the list of satellites, to read one of them, and to queue a command for it, by turns.
    pub(crate) fn start(hive: &TestHive, satellite: &str) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (url, key) = (hive.url().to_owned(), hive.api_key().to_owned());
        let (satellite, over) = (satellite.to_owned(), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(call_until(&over, &url, &key, &satellite))
        });
        Self { is_over, thread }
    }

    /// Ends it; the milliseconds that each call took.
    pub(crate) fn finish(self) -> anyhow::Result<Vec<f64>> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("the prober panicked")?
    }
}

async fn call_until(over: &AtomicBool, url: &str, key: &str, satellite: &str) -> anyhow::Result<Vec<f64>> {
    // One open connection: a handshake with each call would be measured instead.
    let mut connection = KeepAlive::open(url, key).await?;
    let calls = [
        ("GET", "/api/v1/satellites?per_page=50".to_owned(), ""),
        ("GET", format!("/api/v1/satellites/{satellite}"), ""),
        ("POST", format!("/api/v1/satellites/{satellite}/exec?wait=false"), r#"{"command":"true"}"#),
    ];
    let mut milliseconds = Vec::new();
    for (method, path, body) in calls.iter().cycle() {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let began = Instant::now();
        let (status, answer) = connection.call(method, path, body).await?;
        milliseconds.push(began.elapsed().as_secs_f64() * 1000.0);
        ensure!((200..300).contains(&status), "{method} {path}: {status} {}", String::from_utf8_lossy(&answer));
        sleep(PAUSE).await;
    }
    Ok(milliseconds)
}
