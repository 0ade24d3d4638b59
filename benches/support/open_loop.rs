//! Callers who do not wait for each other: calls begin at a fixed rate, however long the ones before them take.
//!
//! A call counts from the moment at which it was due. A server that hangs for a second therefore shows as the delay of all calls
//! of that second, and not as one slow call.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::support::http::KeepAlive;

/// Open connections. At 300 calls a second, a call may take 200 ms before one has to wait for a connection.
const CONNECTIONS: usize = 64;
/// Calls that are due and were not begun.
const WAITING: usize = 4096;

/// A call: a name for its figure, a method, a path and a body.
pub(crate) type ScheduledCall = (&'static str, &'static str, String, String);

/// What a call took, in milliseconds.
pub(crate) type CallTime = (&'static str, f64);

/// Makes `calls`, by turns, `rate` of them a second, for some time. It has a thread of its own, so that what else the bench does
/// slows the callers down no more than the server.
pub(crate) async fn run(
    (url, key): (String, String),
    calls: Vec<ScheduledCall>,
    rate: u32,
    time: Duration,
) -> anyhow::Result<Vec<CallTime>> {
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(drive(&url, &key, calls, rate, time))
    });
    tokio::task::spawn_blocking(|| thread.join().ok().context("the callers panicked")?).await?
}

async fn drive(
    url: &str,
    key: &str,
    calls: Vec<ScheduledCall>,
    rate: u32,
    time: Duration,
) -> anyhow::Result<Vec<CallTime>> {
    let (due, waiting) = mpsc::channel::<(Instant, ScheduledCall)>(WAITING);
    let waiting = Arc::new(Mutex::new(waiting));
    let mut callers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let connection = KeepAlive::open(url, key).await?;
        callers.spawn(call_all(connection, Arc::clone(&waiting)));
    }
    let (start, interval) = (Instant::now(), Duration::from_secs(1) / rate);
    let count = (time.as_secs_f64() * f64::from(rate)) as u32;
    for (index, call) in (0..count).zip(calls.iter().cycle()) {
        let at = start + interval * index;
        sleep_until(at).await;
        due.try_send((at, call.clone())).context("the server does not keep up with the rate")?;
    }
    drop(due);
    let mut timed = Vec::new();
    while let Some(calls) = callers.join_next().await {
        timed.extend(calls??);
    }
    Ok(timed)
}

async fn call_all(
    mut connection: KeepAlive,
    waiting: Arc<Mutex<mpsc::Receiver<(Instant, ScheduledCall)>>>,
) -> anyhow::Result<Vec<CallTime>> {
    let mut timed = Vec::new();
    loop {
        let next = waiting.lock().await.recv().await;
        let Some((at, (name, method, path, body))) = next else { return Ok(timed) };
        let (status, answer) = connection.call(method, &path, &body).await?;
        timed.push((name, at.elapsed().as_secs_f64() * 1000.0));
        ensure!((200..300).contains(&status), "{method} {path}: {status} {}", String::from_utf8_lossy(&answer));
    }
}
