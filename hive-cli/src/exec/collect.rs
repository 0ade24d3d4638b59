//! Collects the events of running commands into results.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use hive_core::wire::agent::Channel;
use hive_core::wire::api::{ExecEvent, ExecResult};
use hive_core::wire::{CommandId, SatelliteId};

/// What an event changed, with the output that is new.
#[derive(Debug, PartialEq)]
pub(crate) enum ExecUpdate {
    Accepted(CommandId),
    Output { satellite: SatelliteId, channel: Channel, bytes: Vec<u8> },
    Link { is_online: bool, seconds_left: Option<u64> },
    Done(SatelliteId),
}

/// The targets of one `exec` call.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    targets: BTreeMap<SatelliteId, CollectedTarget>,
    /// Whether output is kept for the results. Otherwise it is shown as it comes, and dropped.
    keeps_output: bool,
}

#[derive(Debug, Default)]
struct CollectedTarget {
    command: Option<CommandId>,
    stdout: StreamBuffer,
    stderr: StreamBuffer,
    result: Option<ExecResult>,
}

#[derive(Debug, Default)]
struct StreamBuffer {
    kept: Vec<u8>,
    received: u64,
}

impl StreamBuffer {
    /// Takes a chunk and returns its bytes that are new.
    fn accept(&mut self, offset: u64, mut bytes: Vec<u8>) -> Vec<u8> {
        let end = offset + bytes.len() as u64;
        // A stream that was resumed, or the final read of the output, repeats bytes: offsets tell what is known. Where
        // output was cut, the next chunk begins beyond `received`, and the gap is left out.
        let known = self.received.saturating_sub(offset).min(bytes.len() as u64);
        bytes.drain(..known as usize);
        self.received = self.received.max(end);
        bytes
    }
}

impl Collector {
    pub(crate) fn new(keeps_output: bool) -> Self {
        Self { keeps_output, ..Self::default() }
    }

    /// Takes an event. An unknown or damaged one changes nothing.
    pub(crate) fn on_event(&mut self, event: ExecEvent) -> Option<ExecUpdate> {
        match event {
            ExecEvent::Accepted { satellite_id, command_id } => {
                self.targets.entry(satellite_id).or_default().command = Some(command_id);
                Some(ExecUpdate::Accepted(command_id))
            }
            ExecEvent::Output { satellite_id, channel, offset, data } => {
                let bytes = BASE64.decode(data.as_bytes()).ok()?;
                let target = self.targets.entry(satellite_id).or_default();
                let output = match channel {
                    Channel::Stdout => &mut target.stdout,
                    Channel::Stderr => &mut target.stderr,
                    Channel::Unknown(_) => return None,
                };
                let bytes = output.accept(offset, bytes);
                if self.keeps_output {
                    output.kept.extend_from_slice(&bytes);
                }
                Some(ExecUpdate::Output { satellite: satellite_id, channel, bytes })
            }
            ExecEvent::Link { online, seconds_left, .. } => Some(ExecUpdate::Link { is_online: online, seconds_left }),
            ExecEvent::Exit(result) => {
                let satellite = result.satellite_id;
                self.finish(*result);
                Some(ExecUpdate::Done(satellite))
            }
            ExecEvent::Unknown(_) => None,
        }
    }

    /// Stores a target's result. The first one counts: the end may be heard from the stream and from a poll.
    fn finish(&mut self, result: ExecResult) {
        self.targets.entry(result.satellite_id).or_default().result.get_or_insert(result);
    }

    /// Returns the commands whose end was not heard of yet.
    pub(crate) fn open(&self) -> Vec<(SatelliteId, CommandId)> {
        let is_open = |target: &&CollectedTarget| target.result.is_none();
        let open = |(id, target): (&SatelliteId, &CollectedTarget)| Some((*id, Some(target).filter(is_open)?.command?));
        self.targets.iter().filter_map(open).collect()
    }

    /// Returns the result of a target that has ended.
    pub(crate) fn result(&self, satellite: SatelliteId) -> Option<&ExecResult> {
        self.targets.get(&satellite)?.result.as_ref()
    }

    /// Returns the results of the targets that have ended, ordered by name, with the output that was kept.
    pub(crate) fn into_results(self) -> Vec<ExecResult> {
        let mut results: Vec<_> = self.targets.into_values().filter_map(CollectedTarget::into_result).collect();
        results.sort_by(|a, b| a.satellite_name.cmp(&b.satellite_name));
        results
    }
}

impl CollectedTarget {
    fn into_result(self) -> Option<ExecResult> {
        let mut result = self.result?;
        for (text, output) in [(&mut result.stdout, self.stdout), (&mut result.stderr, self.stderr)] {
            // The result in a stream has no output: that came in chunks before it.
            if text.is_empty() {
                *text = String::from_utf8_lossy(&output.kept).into_owned();
            }
        }
        Some(result)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use hive_core::wire::api::{CommandStatus, TargetStatus};
    use hive_core::wire::id::Seed;

    pub(crate) fn satellite(n: u8) -> SatelliteId {
        SatelliteId::new(Seed { unix_millis: 1, random: [n; 10] })
    }

    fn command(n: u8) -> CommandId {
        CommandId::new(Seed { unix_millis: 1, random: [n; 10] })
    }

    fn accepted(n: u8) -> ExecEvent {
        ExecEvent::Accepted { satellite_id: satellite(n), command_id: command(n) }
    }

    fn output(n: u8, offset: u64, text: &str) -> ExecEvent {
        let data = BASE64.encode(text.as_bytes());
        ExecEvent::Output { satellite_id: satellite(n), channel: Channel::Stdout, offset, data }
    }

    pub(crate) fn exit(n: u8, name: &str) -> ExecEvent {
        ExecEvent::Exit(Box::new(ExecResult {
            satellite_id: satellite(n),
            satellite_name: name.try_into().unwrap(),
            command_id: Some(command(n)),
            status: TargetStatus::Command(CommandStatus::Succeeded),
            exit_code: Some(0),
            stdout: String::new(),
            stderr: String::new(),
            duration_ms: 1,
            truncated: false,
            error: None,
        }))
    }

    #[test]
    fn pieces_add_up_to_results_in_the_order_of_names() {
        let mut collector = Collector::new(true);
        for event in [accepted(1), accepted(2), output(1, 0, "a"), output(2, 0, "x"), output(1, 1, "b")] {
            collector.on_event(event);
        }
        for event in [exit(1, "web-server-02"), exit(2, "web-server-01")] {
            collector.on_event(event);
        }
        let got: Vec<_> =
            collector.into_results().into_iter().map(|r| (r.satellite_name.to_string(), r.stdout)).collect();
        assert_eq!(got, [("web-server-01".to_owned(), "x".to_owned()), ("web-server-02".to_owned(), "ab".to_owned())]);
    }

    #[test]
    fn bytes_that_come_twice_count_once() {
        let mut collector = Collector::new(true);
        let mut check = |offset, text: &str, expected: &str| {
            let Some(ExecUpdate::Output { bytes, .. }) = collector.on_event(output(1, offset, text)) else {
                panic!("no output")
            };
            assert_eq!(String::from_utf8(bytes).unwrap(), expected, "{text:?} at {offset}");
        };
        check(0, "abc", "abc");
        check(0, "abc", "");
        check(2, "cde", "de");
        check(9, "z", "z");
    }

    #[test]
    fn a_target_is_open_until_its_end() {
        let mut collector = Collector::new(false);
        collector.on_event(accepted(1));
        collector.on_event(accepted(2));
        collector.on_event(exit(1, "web-server-01"));
        assert_eq!(collector.open(), [(satellite(2), command(2))]);
        assert!(collector.result(satellite(1)).is_some());
    }

    #[test]
    fn a_piece_that_cannot_be_read_is_skipped() {
        let event = ExecEvent::Output {
            satellite_id: satellite(1),
            channel: Channel::Stderr,
            offset: 0,
            data: "not base64!".into(),
        };
        assert_eq!(Collector::new(true).on_event(event), None);
    }
}
