//! `hive exec`, `jobs`, `commands` and `power`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use hive_core::wire::api::{MAX_IN_FLIGHT, PowerAction, Priority};
use hive_core::wire::{CommandId, JobId};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["argv", "shell"]))]
#[command(override_usage = EXEC_USAGE, after_help = EXEC_HELP)]
pub(crate) struct ExecArgs {
    /// Where: names, ids, tag:x or all
    #[arg(required = true, value_name = "TARGET", add = crate::completion::targets())]
    pub(crate) targets: Vec<String>,
    /// The program and its arguments, run without a shell
    #[arg(last = true, value_name = "CMD")]
    pub(crate) argv: Vec<String>,
    /// A line for the satellite's shell instead
    #[arg(long, value_name = "LINE")]
    pub(crate) shell: Option<String>,
    /// When it is ended by force [default: 60]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u32>,
    /// Add to its environment; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = parse_variable)]
    pub(crate) env: Vec<Variable>,
    /// Where it runs [default: the agent user's home]
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<String>,
    /// A file for its standard input, or - for ours
    #[arg(long, value_name = "FILE")]
    pub(crate) stdin: Option<PathBuf>,
    /// The most satellites that run it at the same time [default: 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_IN_FLIGHT)))]
    pub(crate) concurrency: Option<u32>,
    /// Queue it, also for satellites that are offline, and do not wait
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Begin a job and print its id; it goes on without us
    #[arg(long, conflicts_with = "no_wait")]
    pub(crate) detach: bool,
    /// How long it may wait for its satellite [default: 300]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) expires_in: Option<u32>,
    /// What goes first on a busy satellite: immediate, high, normal or low [default: immediate, or normal for several
    /// and with --no-wait]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "LEVEL")]
    pub(crate) priority: Option<Urgency>,
    /// The same key and command within 24 hours run once
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
}

/// How urgent a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Urgency {
    Immediate,
    High,
    Normal,
    Low,
}

impl From<Urgency> for Priority {
    fn from(urgency: Urgency) -> Self {
        match urgency {
            Urgency::Immediate => Self::Immediate,
            Urgency::High => Self::High,
            Urgency::Normal => Self::Normal,
            Urgency::Low => Self::Low,
        }
    }
}

const EXEC_USAGE: &str = "\
hive exec [OPTIONS] <TARGET>... -- <CMD>...
       hive exec [OPTIONS] <TARGET>... --shell <LINE>";

const EXEC_HELP: &str = "\
On one satellite output and exit status are the program's, as with ssh. On several it is a job of the hive: those that \
ended alike are shown together, and the exit status is the worst. Ctrl-C cancels, as SIGTERM and SIGHUP do and a reader that goes (`| head -1`); a second one \
leaves it to the hive.

With -o json the results are one list, with -o jsonl one line each, written when it ended.

Exit status:
  0          succeeded
  1..255     the program's own, 128 + N where signal N ended it
  65         succeeded, but its output was cut: 10 MiB of each stream are kept
  124        timed out
  126        refused by the satellite, or could not be started
  130        cancelled; 128 + N where `hive` was asked to end by signal N
  255        not run, expired, or of unknown outcome
  2, 67..78  `hive` itself failed, see `hive --help`

Examples:
  hive exec web-server-01 -- systemctl status nginx
  hive exec tag:web tag:db --shell 'df -h / | tail -1'
  hive exec all --concurrency 10 --timeout 600 -e STAGE=blue -- ./deploy.sh
  hive exec web-server-01 --stdin nginx.conf --shell 'cat > /etc/nginx/nginx.conf'";

/// A variable of an environment. The value may be a secret.
#[derive(Clone)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}=…", self.name)
    }
}

pub(super) fn parse_variable(text: &str) -> Result<Variable, &'static str> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(Variable { name: name.to_owned(), value: value.to_owned() }),
        _ => Err("must look like KEY=VALUE"),
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
It asks before it does harm; without a terminal it wants --yes. `cancel` takes a delayed one back. The exit status is as \
with `hive exec`.

Examples:
  hive power web-server-01 --action reboot --delay 300 --message 'New kernel; back in a minute'
  hive power web-server-01 --action cancel")]
pub(crate) struct PowerArgs {
    /// The satellite's name or id
    #[arg(add = crate::completion::satellites())]
    pub(crate) satellite: String,
    /// What to do
    #[arg(long, value_enum)]
    pub(crate) action: Action,
    /// How long from now
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub(crate) delay: u32,
    /// Shown to those who are logged in there
    #[arg(long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// What to do to a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Action {
    Shutdown,
    Reboot,
    Sleep,
    Hibernate,
    Cancel,
}

impl From<Action> for PowerAction {
    fn from(action: Action) -> Self {
        match action {
            Action::Shutdown => Self::Shutdown,
            Action::Reboot => Self::Reboot,
            Action::Sleep => Self::Sleep,
            Action::Hibernate => Self::Hibernate,
            Action::Cancel => Self::Cancel,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// List jobs, newest first
    #[command(after_help = "Example:\n  hive jobs list --limit 5")]
    List {
        /// The most jobs
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
    },
    /// Show a job and what became of each satellite
    #[command(visible_alias = "get")]
    #[command(after_help = "Example:\n  hive jobs show job_01m7zr6n3tf0mb0g8n9t2k5c1d --output")]
    Show {
        /// Its id
        id: JobId,
        /// What they said, instead of a table of them
        #[arg(long)]
        output: bool,
    },
    /// Tell of each satellite's end until the job has ended
    #[command(after_help = "\
Ctrl-C leaves the job alone.

Example:
  hive jobs watch job_01m7zr6n3tf0mb0g8n9t2k5c1d")]
    Watch {
        /// Its id
        id: JobId,
    },
    /// Cancel a job: what waits ends at once, what runs with its whole process tree
    #[command(after_help = "Example:\n  hive jobs cancel job_01m7zr6n3tf0mb0g8n9t2k5c1d")]
    Cancel {
        /// Its id
        id: JobId,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CommandsCommand {
    /// List a satellite's commands, newest first
    #[command(after_help = "Example:\n  hive commands list web-server-01 --limit 5")]
    List {
        /// The satellite's name or id
        #[arg(add = crate::completion::satellites())]
        satellite: String,
        /// The most commands
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
    },
    /// Show a command with its output so far
    #[command(visible_alias = "show")]
    #[command(after_help = "Example:\n  hive commands get cmd_01m7zr6n3tf0mb0g8n9t2k5c1d")]
    Get {
        /// Its id
        id: CommandId,
    },
    /// Cancel a command: with its whole process tree where it runs
    #[command(after_help = "Example:\n  hive commands cancel cmd_01m7zr6n3tf0mb0g8n9t2k5c1d")]
    Cancel {
        /// Its id
        id: CommandId,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, &str)>) {
        let got = parse_variable(text).ok();
        assert_eq!(got.as_ref().map(|v| (v.name.as_str(), v.value.as_str())), expected, "{text:?}");
    }

    #[test]
    fn a_variable_is_a_name_and_a_value() {
        check("A=b", Some(("A", "b")));
        check("A=b=c", Some(("A", "b=c")));
        check("A=", Some(("A", "")));
        check("=b", None);
        check("A", None);
    }

    #[test]
    fn a_value_is_not_shown() {
        assert!(!format!("{:?}", parse_variable("TOKEN=hunter2").unwrap()).contains("hunter2"));
    }
}
