//! How running commands are shown while they run.

use std::collections::BTreeMap;

use hive_core::wire::SatelliteId;
use hive_core::wire::agent::Channel;
use hive_core::wire::api::{CommandStatus, ExecResult, TargetStatus};

use super::prefix::Prefixer;
use crate::failure::Result;
use crate::output;

/// Where output goes.
pub(crate) enum View {
    /// Nowhere yet: it is collected for one JSON document.
    Collected,
    /// To ours, byte by byte: there is one target.
    Raw,
    /// To ours, line by line behind the satellites' names.
    Prefixed(Prefixed),
}

/// The lines of several satellites.
pub(crate) struct Prefixed {
    names: BTreeMap<SatelliteId, String>,
    lines: BTreeMap<(SatelliteId, bool), Prefixer>,
}

impl View {
    pub(crate) fn prefixed(names: BTreeMap<SatelliteId, String>) -> Self {
        Self::Prefixed(Prefixed { names, lines: BTreeMap::new() })
    }

    pub(crate) fn is_collected(&self) -> bool {
        matches!(self, Self::Collected)
    }

    pub(crate) fn on_output(&mut self, satellite: SatelliteId, channel: Channel, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Collected => Ok(()),
            Self::Raw => output::raw(channel, bytes),
            Self::Prefixed(prefixed) => prefixed.push(satellite, channel, bytes),
        }
    }

    /// Says how a target ended, where its output does not say it.
    pub(crate) fn on_end(&mut self, result: &ExecResult) -> Result<()> {
        match self {
            Self::Collected => Ok(()),
            Self::Raw => {
                // The exit code is ours: nothing to add, as with ssh.
                let is_told = result.error.is_none()
                    && !result.truncated
                    && result.exit_code.is_some()
                    && is_plain(result.status);
                if !is_told {
                    output::note(&ending(result));
                }
                Ok(())
            }
            Self::Prefixed(prefixed) => {
                prefixed.end(result.satellite_id)?;
                if result.status != TargetStatus::Command(CommandStatus::Succeeded) || result.truncated {
                    output::note(&ending(result));
                }
                Ok(())
            }
        }
    }
}

impl Prefixed {
    fn push(&mut self, satellite: SatelliteId, channel: Channel, bytes: &[u8]) -> Result<()> {
        let names = &self.names;
        let new = || Prefixer::new(names.get(&satellite).map_or(&satellite.to_string(), |name| name));
        let text = self.lines.entry((satellite, channel == Channel::Stdout)).or_insert_with(new).push(bytes);
        output::raw(channel, text.as_bytes())
    }

    fn end(&mut self, satellite: SatelliteId) -> Result<()> {
        for channel in [Channel::Stdout, Channel::Stderr] {
            if let Some(mut lines) = self.lines.remove(&(satellite, channel == Channel::Stdout)) {
                output::raw(channel, lines.take_rest().as_bytes())?;
            }
        }
        Ok(())
    }
}

fn is_plain(status: TargetStatus) -> bool {
    matches!(status, TargetStatus::Command(CommandStatus::Succeeded | CommandStatus::Failed))
}

/// One sentence on how a target ended.
pub(crate) fn ending(result: &ExecResult) -> String {
    let word = status_word(result.status);
    let code = result.exit_code.map(|code| format!(", exit code {code}")).unwrap_or_default();
    let cut = if result.truncated { ", output cut" } else { "" };
    let why = result.error.as_ref().map(|error| format!(": {}", error.message)).unwrap_or_default();
    format!("{}: {word}{code}{cut}{why}", result.satellite_name)
}

pub(crate) fn status_word(status: TargetStatus) -> &'static str {
    match status {
        TargetStatus::NotRun => "not_run",
        TargetStatus::Command(status) => status.as_str(),
    }
}
