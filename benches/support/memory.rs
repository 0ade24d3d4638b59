//! How much memory a process holds, by the kernel's account.

use anyhow::Context;

/// Memory of one process, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Resident pages.
    pub(crate) resident: u64,
    /// Resident pages, shared ones divided among those who share them.
    pub(crate) proportional: u64,
}

impl Memory {
    /// Reads `/proc/<pid>/smaps_rollup`.
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let bytes_of = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
            Some(kibibytes * 1024)
        };
        Ok(Self { resident: bytes_of("Rss:").context("no Rss")?, proportional: bytes_of("Pss:").context("no Pss")? })
    }
}
