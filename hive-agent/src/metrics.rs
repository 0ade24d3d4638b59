//! The counters of an agent, and their Prometheus format.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hive_wire::api::CommandStatus;
use tokio::time::Instant;

/// All final statuses, in the order of their counters.
const STATUSES: [CommandStatus; 6] = [
    CommandStatus::Succeeded,
    CommandStatus::Failed,
    CommandStatus::TimedOut,
    CommandStatus::Cancelled,
    CommandStatus::Expired,
    CommandStatus::OutcomeUnknown,
];
/// The upper bounds of the histogram's buckets, in milliseconds.
const BUCKETS: [u64; 8] = [5, 25, 100, 500, 2_500, 10_000, 60_000, 600_000];

/// The counters of one agent.
#[derive(Debug)]
pub(crate) struct Counters {
    started: Instant,
    is_online: AtomicBool,
    reconnects: AtomicU64,
    commands: [AtomicU64; STATUSES.len()],
    durations: [AtomicU64; BUCKETS.len()],
    duration_micros: AtomicU64,
    heartbeat_micros: AtomicU64,
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            is_online: AtomicBool::new(false),
            reconnects: AtomicU64::new(0),
            commands: std::array::from_fn(|_| AtomicU64::new(0)),
            durations: std::array::from_fn(|_| AtomicU64::new(0)),
            duration_micros: AtomicU64::new(0),
            heartbeat_micros: AtomicU64::new(0),
        }
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn set_online(&self, is_online: bool) {
        self.is_online.store(is_online, Relaxed);
    }

    pub(crate) fn is_online(&self) -> bool {
        self.is_online.load(Relaxed)
    }

    /// Counts a reconnect.
    pub(crate) fn reconnected(&self) {
        self.reconnects.fetch_add(1, Relaxed);
    }

    pub(crate) fn reconnects(&self) -> u64 {
        self.reconnects.load(Relaxed)
    }

    pub(crate) fn command_ended(&self, status: &CommandStatus, duration: Duration) {
        // A status of a later version has no counter.
        if let Some(n) = STATUSES.iter().position(|known| known == status) {
            self.commands[n].fetch_add(1, Relaxed);
        }
        self.duration_micros.fetch_add(duration.as_micros() as u64, Relaxed);
        // A longer duration than the last bound counts only in the total.
        if let Some(n) = BUCKETS.iter().position(|bound| duration <= Duration::from_millis(*bound)) {
            self.durations[n].fetch_add(1, Relaxed);
        }
    }

    /// Sets the latency of the link.
    pub(crate) fn heartbeat_took(&self, latency: Duration) {
        self.heartbeat_micros.store(latency.as_micros() as u64, Relaxed);
    }

    /// The counters in the text format of Prometheus.
    pub(crate) fn to_prometheus(&self, open_sessions: usize) -> String {
        let mut text = String::new();
        self.write(&mut text, open_sessions).expect("writing to a string cannot fail");
        text
    }

    fn write(&self, out: &mut String, open_sessions: usize) -> std::fmt::Result {
        let seconds = |micros: &AtomicU64| micros.load(Relaxed) as f64 / 1e6;
        writeln!(out, "# TYPE satellite_uptime_seconds gauge")?;
        writeln!(out, "satellite_uptime_seconds {:.3}", self.uptime().as_secs_f64())?;
        writeln!(out, "# TYPE satellite_connection_status gauge")?;
        writeln!(out, "satellite_connection_status {}", u8::from(self.is_online()))?;
        writeln!(out, "# TYPE satellite_reconnect_total counter")?;
        writeln!(out, "satellite_reconnect_total {}", self.reconnects())?;
        writeln!(out, "# TYPE satellite_heartbeat_latency_ms gauge")?;
        writeln!(out, "satellite_heartbeat_latency_ms {:.3}", seconds(&self.heartbeat_micros) * 1e3)?;
        writeln!(out, "# TYPE satellite_pty_sessions_active gauge")?;
        writeln!(out, "satellite_pty_sessions_active {open_sessions}")?;
        writeln!(out, "# TYPE satellite_commands_total counter")?;
        let mut total = 0;
        for (status, count) in STATUSES.iter().zip(&self.commands) {
            let count = count.load(Relaxed);
            total += count;
            writeln!(out, "satellite_commands_total{{status=\"{}\"}} {count}", status.as_str())?;
        }
        writeln!(out, "# TYPE satellite_command_duration_seconds histogram")?;
        // Prometheus buckets are cumulative.
        let mut below = 0;
        for (bound, count) in BUCKETS.iter().zip(&self.durations) {
            below += count.load(Relaxed);
            let bound = *bound as f64 / 1e3;
            writeln!(out, "satellite_command_duration_seconds_bucket{{le=\"{bound}\"}} {below}")?;
        }
        writeln!(out, "satellite_command_duration_seconds_bucket{{le=\"+Inf\"}} {total}")?;
        writeln!(out, "satellite_command_duration_seconds_sum {}", seconds(&self.duration_micros))?;
        writeln!(out, "satellite_command_duration_seconds_count {total}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_counted_by_end_and_duration() {
        let counters = Counters::new();
        counters.command_ended(&CommandStatus::Succeeded, Duration::from_millis(1));
        counters.command_ended(&CommandStatus::TimedOut, Duration::from_hours(1));
        let text = counters.to_prometheus(2);
        for line in [
            "satellite_connection_status 0",
            "satellite_pty_sessions_active 2",
            "satellite_commands_total{status=\"succeeded\"} 1",
            "satellite_commands_total{status=\"timed_out\"} 1",
            "satellite_command_duration_seconds_bucket{le=\"0.005\"} 1",
            "satellite_command_duration_seconds_bucket{le=\"600\"} 1",
            "satellite_command_duration_seconds_bucket{le=\"+Inf\"} 2",
            "satellite_command_duration_seconds_sum 3600.001",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is missing in\n{text}");
        }
    }
}
