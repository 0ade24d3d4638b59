//! Logins and their profiles.

use clap::{Args, Subcommand};

use crate::completion;

#[derive(Debug, Args)]
#[command(after_help = "\
The password is asked for, or is the first line of standard input. It is exchanged for an API key. The key is stored in the \
keyring of this machine if there is one, else in a file that only you can read.

Examples:
  hive login https://hive.example.com
  hive login https://staging.example.com --username anna --profile staging
  hive login https://hive.example.com --with-key < key.txt")]
pub(crate) struct LoginArgs {
    /// The URL of the hive, such as https://hive.example.com
    #[arg(value_name = "URL")]
    pub(crate) hive: String,
    /// Your username there [default: asked for]
    #[arg(long, short, value_name = "NAME", conflicts_with = "with_key")]
    pub(crate) username: Option<String>,
    /// Save an API key that you have; it is the first line of standard input
    #[arg(long)]
    pub(crate) with_key: bool,
    /// Store the key in a file, even if there is a keyring
    #[arg(long)]
    pub(crate) no_keyring: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Without a name, it logs out of the current profile. If the hive cannot be reached, `hive profiles remove` removes the profile \
alone.

Examples:
  hive logout
  hive logout staging")]
pub(crate) struct LogoutArgs {
    /// The profile [default: the current one]
    #[arg(value_name = "NAME", add = completion::profiles())]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProfilesCommand {
    /// List the saved logins
    #[command(after_help = "Example:\n  hive profiles list")]
    List,
    /// Make a profile the current one
    #[command(after_help = "Example:\n  hive profiles use staging")]
    Use {
        /// Its name
        #[arg(add = completion::profiles())]
        name: String,
    },
    /// Remove a profile; unlike with `hive logout`, its key stays valid at the hive
    #[command(alias = "rm", after_help = "Example:\n  hive profiles remove staging")]
    Remove {
        /// Its name
        #[arg(add = completion::profiles())]
        name: String,
    },
}
