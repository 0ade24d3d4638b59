//! `hive exec`, `jobs`, `commands` and `power`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use hive_core::wire::api::{CommandSort, JobSort, MAX_IN_FLIGHT, PowerAction, Priority};
use hive_core::wire::{CommandId, JobId};

use super::sorting::SortArgs;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["argv", "shell"]))]
#[command(override_usage = EXEC_USAGE, after_help = EXEC_HELP)]
pub(crate) struct ExecArgs {
    /// Satellites: names, ids, tag:x, group:x, query:… or all
    #[arg(required = true, value_name = "TARGET", add = crate::completion::targets())]
    pub(crate) targets: Vec<String>,
    /// The program and its arguments, started without a shell
    // Only after `--`: options of the program must not be taken for those of `hive`.
    #[arg(last = true, value_name = "CMD")]
    pub(crate) argv: Vec<String>,
    /// Run this line in the satellite's shell instead
    #[arg(long, value_name = "LINE")]
    pub(crate) shell: Option<String>,
    /// Kill it after this time [default: 60]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u32>,
    /// Set an environment variable; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = parse_variable)]
    pub(crate) env: Vec<Variable>,
    /// Its working directory [default: the home of the agent's user]
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<String>,
    /// Read its standard input from a file, or - for that of `hive`
    #[arg(long, value_name = "FILE")]
    pub(crate) stdin: Option<PathBuf>,
    /// Run it on at most this many satellites at the same time [default: 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_IN_FLIGHT)))]
    pub(crate) concurrency: Option<u32>,
    /// Queue it, also for offline satellites, and do not wait
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Start a job, print its id and do not wait
    #[arg(long, conflicts_with = "no_wait")]
    pub(crate) detach: bool,
    /// Let it expire if its satellite does not take it in this time [default: 300]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) expires_in: Option<u32>,
    /// Its priority on a busy satellite: immediate, high, normal or low [default: immediate, or normal for several
    /// satellites and with --no-wait]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "LEVEL")]
    pub(crate) priority: Option<Urgency>,
    /// Run the command once, however often it is sent with the same key within 24 hours
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    /// Do not ask before it runs on more than 100 satellites
    #[arg(long, short)]
    pub(crate) yes: bool,
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
On one satellite, output and exit status are those of the program, as with ssh. On several satellites it is a job of the \
hive: satellites with the same result are shown together, and the exit status is the worst one. Ctrl-C, SIGTERM, SIGHUP and \
a closed pipe (`| head -1`) cancel the commands. A second signal does not wait for that.

Before a command runs on more than 100 satellites, it asks for confirmation at a terminal, unless there is --yes.

With -o json the results are one list, with -o jsonl each result is a line, written when its command has ended.

Exit status:
  0          succeeded
  1..255     that of the program, 128 + N if signal N ended it
  65         succeeded, but its output was cut: 10 MiB of each stream are kept
  124        timed out
  126        refused by the satellite, or not started
  130        cancelled; 128 + N if signal N ended `hive`
  255        not run, expired, or outcome unknown
  2, 67..78  `hive` itself failed, see `hive --help`

Examples:
  hive exec web-server-01 -- systemctl status nginx
  hive exec tag:web tag:db --shell 'df -h / | tail -1'
  hive exec group:web -- uptime
  hive exec 'query:production AND NOT canary' -- uptime
  hive exec all --concurrency 10 --timeout 600 -e STAGE=blue -- ./deploy.sh
  hive exec web-server-01 --stdin nginx.conf --shell 'cat > /etc/nginx/nginx.conf'";

/// An environment variable. Its value may be a secret.
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
It asks for confirmation; without a terminal it needs --yes. `cancel` cancels a delayed action. The exit status is that of \
`hive exec`.

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
    /// Do it after this time
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub(crate) delay: u32,
    /// Show this message to the users who are logged in there
    #[arg(long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// Do not ask for confirmation
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
        #[command(flatten)]
        order: SortArgs<JobSort>,
        /// List at most this many jobs
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
    },
    /// Show a job and the result of each satellite
    #[command(visible_alias = "get")]
    #[command(after_help = "Example:\n  hive jobs show job_01m7zr6n3tf0mb0g8n9t2k5c1d --output")]
    Show {
        /// Its id
        id: JobId,
        /// Show the outputs instead of a table
        #[arg(long)]
        output: bool,
    },
    /// Print each result until the job has ended
    #[command(after_help = "\
Ctrl-C does not cancel the job.

Example:
  hive jobs watch job_01m7zr6n3tf0mb0g8n9t2k5c1d")]
    Watch {
        /// Its id
        id: JobId,
    },
    /// Cancel a job: its waiting commands, and the running ones with their process trees
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
        #[command(flatten)]
        order: SortArgs<CommandSort>,
        /// List at most this many commands
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
    /// Cancel a command; if it runs, with its process tree
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
