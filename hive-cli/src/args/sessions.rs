//! Terminals.

use clap::{Args, Subcommand};
use hive_core::wire::SessionId;
use hive_core::wire::session::ViewMode;

use super::exec::{Variable, parse_variable};
use crate::shell::escapes::HELP;

#[derive(Debug, Args)]
#[command(after_help = orders())]
pub(crate) struct ShellArgs {
    /// Where: a name or id
    #[arg(value_name = "TARGET")]
    pub(crate) satellite: String,
    #[command(flatten)]
    pub(crate) view: ViewArgs,
    /// The program to run as a login shell [default: the agent user's own]
    #[arg(long, value_name = "PATH")]
    pub(crate) shell: Option<String>,
    /// Add to its environment; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = parse_variable)]
    pub(crate) env: Vec<Variable>,
}

/// How a session is looked at.
#[derive(Debug, Args)]
pub(crate) struct ViewArgs {
    /// Read along, and never type
    #[arg(long, conflicts_with = "take")]
    read_only: bool,
    /// Take the keyboard from whoever has it
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
    List {
        /// Only those on this satellite, by name or id
        #[arg(value_name = "TARGET")]
        satellite: Option<String>,
        /// Also those that have ended
        #[arg(long)]
        ended: bool,
    },
    /// Come back to a session, also to one that was opened elsewhere
    #[command(after_help = orders())]
    Attach {
        /// Its id
        id: SessionId,
        #[command(flatten)]
        view: ViewArgs,
    },
    /// End sessions with all their processes
    Kill {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<SessionId>,
    },
}

fn orders() -> String {
    format!("On the terminal:\n  {}", HELP.replace('\n', "\n  "))
}
