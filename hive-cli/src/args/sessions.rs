//! `hive shell` and `hive sessions`.

use clap::{Args, Subcommand};
use hive_core::wire::SessionId;
use hive_core::wire::session::ViewMode;

use super::exec::{Variable, parse_variable};
use crate::completion;
use crate::shell::escapes::HELP;

#[derive(Debug, Args)]
#[command(after_help = help(
    "\
The hive keeps the session: after a broken connection it continues without a missing byte, and when you detach it goes on. \
The exit status is that of the program, 0 after a detach with ~., 255 if the session is lost.",
    "hive shell web-server-01\n  hive shell web-server-01 --shell /bin/zsh -e EDITOR=vim"
))]
pub(crate) struct ShellArgs {
    /// The satellite's name or id
    #[arg(add = completion::satellites())]
    pub(crate) satellite: String,
    #[command(flatten)]
    pub(crate) view: ViewArgs,
    /// The program to run as a login shell [default: that of the agent's user]
    #[arg(long, value_name = "PATH")]
    pub(crate) shell: Option<String>,
    /// Set an environment variable; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = parse_variable)]
    pub(crate) env: Vec<Variable>,
}

/// How a session is viewed.
#[derive(Debug, Args)]
pub(crate) struct ViewArgs {
    /// Watch only; typed keys are not sent
    #[arg(long, conflicts_with = "take")]
    read_only: bool,
    /// Take the keyboard from the viewer that has it
    #[arg(long)]
    take: bool,
}

impl ViewArgs {
    pub(crate) fn mode(&self) -> ViewMode {
        match self {
            Self { read_only: true, .. } => ViewMode::ReadOnly,
            Self { take: true, .. } => ViewMode::Take,
            _ => ViewMode::Control,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum SessionsCommand {
    /// List sessions, newest first
    #[command(after_help = "Examples:\n  hive sessions list\n  hive sessions list web-server-01 --ended")]
    List {
        /// Only sessions on this satellite, by name or id
        #[arg(add = completion::satellites())]
        satellite: Option<String>,
        /// Also list sessions that have ended
        #[arg(long)]
        ended: bool,
    },
    /// Attach to a session, also to one that was opened elsewhere
    #[command(after_help = help(
        "The size of the session is that of the viewer with the keyboard.",
        "hive sessions attach sess_01m7zf3q2yezybcjcax9t2g0rk --read-only"
    ))]
    Attach {
        /// Its id
        #[arg(add = completion::sessions())]
        id: SessionId,
        #[command(flatten)]
        view: ViewArgs,
    },
    /// End sessions and all their processes
    #[command(after_help = "Example:\n  hive sessions kill sess_01m7zf3q2yezybcjcax9t2g0rk")]
    Kill {
        /// Their ids
        #[arg(required = true, value_name = "ID", add = completion::sessions())]
        ids: Vec<SessionId>,
    },
}

// The escape commands are taken from the parser's module, so that `~?` and this page agree.
fn help(about: &str, examples: &str) -> String {
    format!("{about}\n\nEscape commands:\n  {}\n\nExamples:\n  {examples}", HELP.replace('\n', "\n  "))
}
