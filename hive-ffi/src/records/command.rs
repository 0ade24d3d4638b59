//! A command to run, and a change of power.

use std::collections::HashMap;

use data_encoding::BASE64;
use hive_core::wire::api;

/// A program to run.
#[derive(Clone, Default, PartialEq, Eq, uniffi::Record)]
pub struct Command {
    /// A line for the shell of the satellite, or the program if there are `args`.
    pub command: String,
    /// The arguments of the program, which then runs without a shell.
    #[uniffi(default = None)]
    pub args: Option<Vec<String>>,
    /// Added to its environment. Values may be secrets.
    #[uniffi(default)]
    pub env: HashMap<String, String>,
    /// Its working directory; the home of the agent's user unless given.
    #[uniffi(default = None)]
    pub cwd: Option<String>,
    /// Its standard input, at most 512 KiB.
    #[uniffi(default = None)]
    pub stdin: Option<Vec<u8>>,
    /// Seconds until it is killed; 60 unless given.
    #[uniffi(default = None)]
    pub timeout_seconds: Option<u32>,
    /// Seconds that it may wait for its satellite; 300 unless given.
    #[uniffi(default = None)]
    pub expires_in_seconds: Option<u32>,
    /// Whether running it twice does no harm.
    #[uniffi(default = false)]
    pub idempotent: bool,
    /// Its place in the queue of a busy satellite; `Immediate` if the caller waits and `Normal` otherwise, unless given.
    #[uniffi(default = None)]
    pub priority: Option<Priority>,
    /// A command with the same key within 24 hours runs once.
    #[uniffi(default = None)]
    pub idempotency_key: Option<String>,
}

impl Command {
    /// Returns the command and its idempotency key, which the wire sends beside it.
    pub(crate) fn into_parts(self) -> (api::ExecCommand, Option<String>) {
        let Self { command, args, env, cwd, stdin, .. } = self;
        let exec = api::ExecCommand {
            command,
            args,
            env: env.into_iter().collect(),
            cwd,
            // JSON has no bytes.
            stdin: stdin.map(|bytes| BASE64.encode(&bytes)),
            timeout_seconds: self.timeout_seconds,
            expires_in_seconds: self.expires_in_seconds,
            idempotent: self.idempotent,
            priority: self.priority.map(Into::into),
        };
        (exec, self.idempotency_key)
    }
}

/// How urgent a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Priority {
    /// Before all others, with slots of its own.
    Immediate,
    /// Before `Normal` ones.
    High,
    /// The usual priority.
    Normal,
    /// After all others.
    Low,
}

impl From<Priority> for api::Priority {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::Immediate => Self::Immediate,
            Priority::High => Self::High,
            Priority::Normal => Self::Normal,
            Priority::Low => Self::Low,
        }
    }
}

/// A change of a machine's power state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum PowerAction {
    /// Turns it off.
    Shutdown,
    /// Starts it again.
    Reboot,
    /// Suspends it to memory.
    Sleep,
    /// Suspends it to disk.
    Hibernate,
    /// Cancels a delayed change.
    Cancel,
}

impl From<PowerAction> for api::PowerAction {
    fn from(action: PowerAction) -> Self {
        match action {
            PowerAction::Shutdown => Self::Shutdown,
            PowerAction::Reboot => Self::Reboot,
            PowerAction::Sleep => Self::Sleep,
            PowerAction::Hibernate => Self::Hibernate,
            PowerAction::Cancel => Self::Cancel,
        }
    }
}
