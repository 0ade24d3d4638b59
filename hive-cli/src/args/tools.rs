//! `hive up`, completions and man pages.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[cfg(feature = "up")]
#[derive(Debug, Args)]
#[command(after_help = "\
All data is in the data directory: a second start has the satellites, users and keys of the first. The hive runs until \
Ctrl-C. Other commands in the same directory find it without options.

Examples:
  hive up
  hive up --listen 0.0.0.0:3000 --data-dir /var/lib/hive")]
pub(crate) struct UpArgs {
    /// The data directory
    #[arg(long, default_value = crate::settings::UP_DIR, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// The address to listen on; port 0 selects a free port
    #[arg(long, default_value = "127.0.0.1:3000", value_name = "ADDRESS")]
    pub(crate) listen: std::net::SocketAddr,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  source <(hive completions bash)      # in ~/.bashrc
  source <(hive completions zsh)       # in ~/.zshrc, after compinit
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
    /// The directory to write to
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}
