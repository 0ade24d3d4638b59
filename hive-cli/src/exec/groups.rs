//! Groups satellites whose commands ended alike, so that the same output of a thousand of them is shown once.

use std::collections::HashMap;

use hive_core::wire::api::{CommandStatus, JobTarget, TargetStatus};
use hive_core::wire::{CommandId, ErrorCode};
use sha2::{Digest, Sha256};

use super::display::{exit_code, status_word};

/// The most names of a group that are listed.
const MAX_NAMES: usize = 16;

/// The digest by which two outputs are compared.
pub(crate) type Fingerprint = [u8; 32];

/// Computes the fingerprint of a satellite's output: all of its standard output, then all of its standard error.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fingerprinter(Sha256);

impl Fingerprinter {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Fingerprint {
        self.0.finalize().into()
    }
}

/// Satellites whose commands ended alike.
#[derive(Debug, PartialEq)]
pub(crate) struct ResultGroup {
    pub(crate) names: Vec<String>,
    pub(crate) status: TargetStatus,
    pub(crate) exit_code: Option<i32>,
    pub(crate) truncated: bool,
    error: Option<(ErrorCode, String)>,
    /// One of their commands, whose output is shown for all.
    pub(crate) sample: Option<CommandId>,
    pub(crate) stdout_bytes: u64,
    pub(crate) stderr_bytes: u64,
}

/// What satellites of one group have in common. Of an error only the code counts, because its message may name the
/// satellite.
type GroupKey = (TargetStatus, Option<i32>, bool, Option<ErrorCode>, u64, Fingerprint);

/// All satellites of a job.
#[derive(Debug, Default)]
pub(crate) struct ResultGroups {
    groups: Vec<ResultGroup>,
    index_by_key: HashMap<GroupKey, usize>,
}

impl ResultGroups {
    pub(crate) fn add(&mut self, target: JobTarget, output: Fingerprint) {
        let code = target.error.as_ref().map(|error| error.code.clone());
        let status = target.status.clone();
        // The length of standard output is part of the key: the fingerprint alone does not tell where standard error
        // begins.
        let key =
            (status, exit_code(&target.status, target.exit_code), target.truncated, code, target.stdout_bytes, output);
        let name = target.satellite_name.to_string();
        if let Some(index) = self.index_by_key.get(&key) {
            self.groups[*index].add(name, target);
        } else {
            self.index_by_key.insert(key, self.groups.len());
            self.groups.push(ResultGroup::new(name, target));
        }
    }

    /// The groups, the largest first.
    pub(crate) fn sorted(mut self) -> Vec<ResultGroup> {
        // Names break ties, so that two runs have the same order.
        self.groups.sort_by(|a, b| b.names.len().cmp(&a.names.len()).then_with(|| a.names.cmp(&b.names)));
        self.groups
    }
}

impl ResultGroup {
    fn new(name: String, target: JobTarget) -> Self {
        Self {
            names: vec![name],
            exit_code: exit_code(&target.status, target.exit_code),
            status: target.status,
            truncated: target.truncated,
            error: target.error.map(|error| (error.code, error.message)),
            sample: target.command_id,
            stdout_bytes: target.stdout_bytes,
            stderr_bytes: target.stderr_bytes,
        }
    }

    fn add(&mut self, name: String, target: JobTarget) {
        self.names.push(name);
        if let (Some((code, message)), Some(other)) = (&mut self.error, target.error)
            && *message != other.message
        {
            // Two messages that differ cannot both stand in the heading: the code replaces them.
            code.as_str().clone_into(message);
        }
    }

    /// Returns their names and how they ended, in one line.
    pub(crate) fn heading(&self) -> String {
        let mut ending = Vec::new();
        if self.status != TargetStatus::Command(CommandStatus::Succeeded) {
            ending.push(status_word(&self.status).to_owned());
            ending.extend(self.exit_code.map(|code| format!("exit code {code}")));
        }
        if self.truncated {
            ending.push("output cut".into());
        }
        if self.stdout_bytes + self.stderr_bytes == 0 && ending.is_empty() {
            ending.push("no output".into());
        }
        let mut heading = format!("{}:", self.listed_names());
        if !ending.is_empty() {
            heading = format!("{heading} {}", ending.join(", "));
        }
        match &self.error {
            Some((_, message)) => format!("{heading}: {message}"),
            None => heading,
        }
    }

    /// Returns their names and their number.
    pub(crate) fn listed_names(&self) -> String {
        let count = self.names.len();
        let listed = self.names.iter().take(MAX_NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
        match count {
            1 => listed,
            _ if count > MAX_NAMES => format!("{listed}, … ({count})"),
            _ => format!("{listed} ({count})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_core::wire::SatelliteId;
    use hive_core::wire::agent::ErrorBody;
    use hive_core::wire::id::Seed;

    fn target(n: u8, status: CommandStatus, exit_code: i32, output: &str) -> JobTarget {
        let seed = Seed { unix_millis: 1, random: [n; 10] };
        JobTarget {
            satellite_id: SatelliteId::new(seed),
            satellite_name: format!("web-server-{n:02}").try_into().unwrap(),
            command_id: Some(CommandId::new(seed)),
            status: TargetStatus::Command(status),
            exit_code: Some(exit_code),
            duration_ms: Some(u64::from(n)),
            stdout_bytes: output.len() as u64,
            stderr_bytes: 0,
            truncated: false,
            error: None,
            finished_at: None,
        }
    }

    fn not_run(n: u8) -> JobTarget {
        let message = format!("satellite web-server-{n:02} is offline");
        let error = Some(ErrorBody { code: ErrorCode::SatelliteOffline, message });
        JobTarget {
            command_id: None,
            status: TargetStatus::NotRun,
            exit_code: None,
            error,
            ..target(n, CommandStatus::Queued, 0, "")
        }
    }

    fn fingerprint(output: &str) -> Fingerprint {
        let mut fingerprint = Fingerprinter::default();
        fingerprint.push(output.as_bytes());
        fingerprint.finish()
    }

    fn headings(of: Vec<(JobTarget, &str)>) -> Vec<String> {
        let mut groups = ResultGroups::default();
        for (target, output) in of {
            groups.add(target, fingerprint(output));
        }
        groups.sorted().iter().map(ResultGroup::heading).collect()
    }

    #[test]
    fn satellites_with_the_same_output_are_one_group_and_the_largest_is_first() {
        use CommandStatus::*;
        let succeeded = |n, text| (target(n, Succeeded, 0, text), text);
        let headings_shown = headings(vec![
            succeeded(1, "a"),
            succeeded(2, "b"),
            succeeded(3, "b"),
            succeeded(4, "c"),
            (target(5, Failed, 3, "b"), "b"),
        ]);
        let expected = [
            "web-server-02, web-server-03 (2):",
            "web-server-01:",
            "web-server-04:",
            "web-server-05: failed, exit code 3",
        ];
        assert_eq!(headings_shown, expected);
    }

    #[test]
    fn satellites_that_were_not_run_for_the_same_reason_are_one_group() {
        assert_eq!(headings(vec![(not_run(1), "")]), ["web-server-01: not_run: satellite web-server-01 is offline"]);
        let headings_shown = headings(vec![(not_run(1), ""), (not_run(2), "")]);
        assert_eq!(headings_shown, ["web-server-01, web-server-02 (2): not_run: SATELLITE_OFFLINE"]);
    }

    #[test]
    fn a_success_without_output_is_marked() {
        let silent = |n| (target(n, CommandStatus::Succeeded, 0, ""), "");
        assert_eq!(headings(vec![silent(1), silent(2)]), ["web-server-01, web-server-02 (2): no output"]);
    }

    #[test]
    fn output_on_stdout_differs_from_the_same_output_on_stderr() {
        let out = target(1, CommandStatus::Succeeded, 0, "x");
        let err = JobTarget { stdout_bytes: 0, stderr_bytes: 1, ..target(2, CommandStatus::Succeeded, 0, "") };
        assert_eq!(headings(vec![(out, "x"), (err, "x")]).len(), 2);
    }

    #[test]
    fn a_long_list_of_names_is_cut() {
        let many = (1..=20).map(|n| (target(n, CommandStatus::Succeeded, 0, "x"), "x")).collect();
        let headings_shown = headings(many);
        assert!(headings_shown[0].ends_with("web-server-16, … (20):"), "{headings_shown:?}");
    }
}
