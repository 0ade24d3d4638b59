//! Facts and metrics of the machine.

use std::time::Duration;

use hive_wire::agent::{Metrics, SystemInfo};
use sysinfo::{Networks, System};
use tokio::time::Instant;

use crate::policy::Policy;

const MIB: u64 = 1024 * 1024;
/// The shortest interval between two samples of the CPU usage that gives a meaningful difference.
const CPU_INTERVAL: Duration = sysinfo::MINIMUM_CPU_UPDATE_INTERVAL;

/// The capabilities that this agent reports to its hive.
pub(crate) fn capabilities(policy: &Policy) -> Vec<String> {
    let offers = [
        ("shell", policy.allow_shell),
        ("pty", policy.allow_shell),
        ("power", policy.allow_power_commands),
        ("metrics", true),
    ];
    let offered = offers.into_iter().filter(|(_, is_offered)| *is_offered);
    offered.map(|(word, _)| word.to_owned()).collect()
}

/// The facts that are sent in a handshake.
pub(crate) fn system_info() -> SystemInfo {
    // The memory is read alone: a full refresh would list all processes.
    let memory = System::new().map(|mut system| {
        system.refresh_memory();
        (system.total_memory() / MIB, system.available_memory() / MIB)
    });
    let (memory_total_mb, memory_available_mb) = memory.unwrap_or_default();
    SystemInfo {
        hostname: System::host_name().unwrap_or_default(),
        os: if cfg!(target_os = "macos") { "darwin" } else { std::env::consts::OS }.into(),
        os_version: System::long_os_version().unwrap_or_default(),
        arch: std::env::consts::ARCH.into(),
        kernel: System::kernel_version().unwrap_or_default(),
        uptime_seconds: System::uptime().unwrap_or_default(),
        cpu_cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32),
        memory_total_mb,
        memory_available_mb,
    }
}

/// The id of the current boot, if the kernel has one.
pub(crate) fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

/// Samples the metrics of the machine. It never lists processes, which would be expensive.
pub(crate) struct MetricsSampler {
    system: Option<System>,
    networks: Option<Networks>,
    last_sample: Option<(Instant, Metrics)>,
}

impl MetricsSampler {
    pub(crate) fn new() -> Self {
        let mut system = System::new().ok();
        if let Some(system) = &mut system {
            // The CPU usage is a difference, so the first sample only starts the interval.
            system.refresh_cpu_usage();
        }
        Self { system, networks: Networks::new().ok(), last_sample: None }
    }

    /// Returns the metrics. Within [`CPU_INTERVAL`] it returns the last ones again.
    pub(crate) fn metrics(&mut self) -> Metrics {
        match &self.last_sample {
            Some((time, metrics)) if time.elapsed() < CPU_INTERVAL => metrics.clone(),
            _ => {
                let metrics = self.sample();
                self.last_sample = Some((Instant::now(), metrics.clone()));
                metrics
            }
        }
    }

    fn sample(&mut self) -> Metrics {
        let mut metrics = Metrics {
            disk_percent: root_disk_percent(),
            load_average: System::load_average().map_or([0.0; 3], |load| [load.one, load.five, load.fifteen]),
            ..Metrics::default()
        };
        if let Some(system) = &mut self.system {
            system.refresh_cpu_usage();
            system.refresh_memory();
            // Some containers hide the memory.
            let total = system.total_memory().max(1);
            let used = total.saturating_sub(system.available_memory());
            metrics.cpu_percent = system.global_cpu_usage();
            metrics.memory_percent = (used as f64 / total as f64 * 100.0) as f32;
        }
        if let Some(networks) = &mut self.networks {
            // `true` drops interfaces that are gone, such as those of ended containers.
            networks.refresh(true);
            metrics.network_rx_bytes = networks.values().map(sysinfo::NetworkData::total_received).sum();
            metrics.network_tx_bytes = networks.values().map(sysinfo::NetworkData::total_transmitted).sum();
        }
        metrics
    }
}

/// Only the root disk is read: a dead network mount would block forever.
fn root_disk_percent() -> f32 {
    let Ok(disk) = nix::sys::statvfs::statvfs("/") else { return 0.0 };
    let total = disk.blocks().max(1) as f64;
    let free = disk.blocks_available() as f64;
    ((total - free) / total * 100.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_knows_itself() {
        let system = system_info();
        assert!(!system.hostname.is_empty() && system.cpu_cores > 0 && system.memory_total_mb > 0);
        let metrics = MetricsSampler::new().metrics();
        assert!((0.0..=100.0).contains(&metrics.memory_percent));
        assert!((0.0..=100.0).contains(&metrics.disk_percent));
    }

    #[test]
    fn what_the_policy_forbids_is_not_offered() {
        let policy = Policy { allow_power_commands: false, ..Policy::default() };
        assert_eq!(capabilities(&policy), ["shell", "pty", "metrics"]);
    }
}
