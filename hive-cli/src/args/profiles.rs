//! Logins and their profiles.

use clap::{Args, Subcommand};

use crate::completion;

#[derive(Debug, Args)]
#[command(after_help = "\
The password is asked for, or is the first line of standard input. It is exchanged for an API key, which lies in the \
keyring of this machine where there is one, and in a file that only you may read otherwise.

Examples:
  hive login https://hive.example.com
  hive login https://staging.example.com --username anna --profile staging
  hive login https://hive.example.com --with-key < key.txt")]
pub(crate) struct LoginArgs {
    /// The hive, such as https://hive.example.com
    #[arg(value_name = "URL")]
    pub(crate) hive: String,
    /// Who you are there [default: is asked for]
    #[arg(long, short, value_name = "NAME", conflicts_with = "with_key")]
    pub(crate) username: Option<String>,
    /// Keep an API key that you have; it is the first line of standard input
    #[arg(long)]
    pub(crate) with_key: bool,
    /// Keep the key in a file, also where there is a keyring
    #[arg(long)]
    pub(crate) no_keyring: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Without a word it is the login that is used now. `hive profiles remove` forgets one of a hive that cannot be reached.

Examples:
  hive logout
  hive logout staging")]
pub(crate) struct LogoutArgs {
    /// The login's profile [default: the one in use]
    #[arg(value_name = "NAME", add = completion::profiles())]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProfilesCommand {
    /// List the logins that are kept
    #[command(after_help = "Example:\n  hive profiles list")]
    List,
    /// Use this one from now on
    #[command(after_help = "Example:\n  hive profiles use staging")]
    Use {
        /// Its name
        #[arg(add = completion::profiles())]
        name: String,
    },
    /// Forget one here; its key stays valid at the hive, unlike with `hive logout`
    #[command(alias = "rm", after_help = "Example:\n  hive profiles remove staging")]
    Remove {
        /// Its name
        #[arg(add = completion::profiles())]
        name: String,
    },
}
