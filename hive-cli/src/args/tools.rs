//! `hive up`, completions and man pages.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[cfg(feature = "up")]
#[derive(Debug, Args)]
#[command(after_help = "\
Everything is kept in the data directory: a second start finds the satellites, users and keys of the first. It runs until \
Ctrl-C. Other commands in the same directory find it by themselves.

Examples:
  hive up
  hive up --listen 0.0.0.0:3000 --data-dir /var/lib/hive")]
pub(crate) struct UpArgs {
    /// Where everything is kept
    #[arg(long, default_value = crate::settings::UP_DIR, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Where the hive listens; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:3000", value_name = "ADDRESS")]
    pub(crate) listen: std::net::SocketAddr,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  source <(hive completions bash)      # in ~/.bashrc
  source <(hive completions zsh)       # in ~/.zshrc, behind compinit
  hive completions fish > ~/.config/fish/completions/hive.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// A shell that can complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hive man /usr/local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Where they are written to
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}
