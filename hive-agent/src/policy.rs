//! What the owner of a machine lets the hive do on it.
//!
//! The server cannot change it. It is a guard rail, not a sandbox: it compares the beginning of a command's text. It
//! stops mistakes, but a user who may run `ls` through a shell may also run `ls; anything`. Whatever must not happen
//! has to be impossible for the user under which the agent runs.

mod prefix;
mod program;

use std::collections::BTreeMap;

use hive_wire::ErrorCode;
use hive_wire::agent::{ErrorBody, ExecSpec, Payload};

use prefix::{begins_with, is_blocked_by};

/// The rules. The default allows everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Whether commands and sessions are allowed at all.
    pub allow_shell: bool,
    /// Whether power commands are allowed.
    pub allow_power_commands: bool,
    /// Unless empty, a command must begin with one of these, followed by a blank or nothing. A request may then not
    /// change which program that is, by variables such as `PATH` and `LD_PRELOAD`, or by a relative path and a
    /// directory.
    pub allowed_commands: Vec<String>,
    /// A command must not begin with one of these. `rm` blocks `rm -rf /` and `/bin/rm`, but not `rmdir`.
    pub blocked_commands: Vec<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            allow_shell: true,
            allow_power_commands: true,
            allowed_commands: Vec::new(),
            blocked_commands: Vec::new(),
        }
    }
}

impl Policy {
    /// Checks a command.
    pub fn check(&self, payload: &Payload) -> Result<(), ErrorBody> {
        match payload {
            Payload::Exec(spec) => self.check_exec(spec),
            Payload::Power(_) if !self.allow_power_commands => {
                Err(blocked("power commands are not allowed on this satellite"))
            }
            Payload::Power(_) | Payload::Unknown { .. } => Ok(()),
        }
    }

    /// Checks the program of a session. Input is not checked.
    pub fn check_session(&self, shell: &str, env: &BTreeMap<String, String>) -> Result<(), ErrorBody> {
        if !self.allow_shell {
            return Err(blocked("sessions are not allowed on this satellite"));
        }
        // Only the program: whoever may type into a shell may run anything in it.
        self.check_text(shell)?;
        self.check_program(shell, false, env)
    }

    /// Whether only listed commands may run.
    pub(crate) fn has_list(&self) -> bool {
        !self.allowed_commands.is_empty()
    }

    fn check_exec(&self, spec: &ExecSpec) -> Result<(), ErrorBody> {
        if !self.allow_shell {
            return Err(blocked("commands are not allowed on this satellite"));
        }
        // Blocked prefixes are checked first: their message is the more helpful one.
        self.check_text(&text_of(spec))?;
        self.check_program(program_of(spec), spec.cwd.is_some(), &spec.env)
    }

    /// If commands are listed, refuses a request that decides which program a name means.
    fn check_program(
        &self,
        program: &str,
        has_directory: bool,
        env: &BTreeMap<String, String>,
    ) -> Result<(), ErrorBody> {
        if !self.has_list() {
            return Ok(());
        }
        if let Some(variable) = env.keys().find(|variable| program::selects_program(variable)) {
            return Err(blocked(&format!("the satellite's policy lists commands; {variable:?} must not be set")));
        }
        if program::depends_on_directory(program, has_directory) {
            return Err(blocked(
                "the satellite's policy lists commands; a program must be named by itself or by an absolute path without '..'",
            ));
        }
        Ok(())
    }

    fn check_text(&self, text: &str) -> Result<(), ErrorBody> {
        if self.blocked_commands.iter().any(|prefix| is_blocked_by(text, prefix)) {
            return Err(blocked("the satellite's policy blocks this command"));
        }
        let is_listed = self.allowed_commands.iter().any(|prefix| begins_with(text, prefix, char::is_whitespace));
        if self.has_list() && !is_listed {
            return Err(blocked("the satellite's policy does not list this command"));
        }
        Ok(())
    }
}

fn text_of(spec: &ExecSpec) -> String {
    let arguments = spec.args.iter().flatten().map(String::as_str);
    let words: Vec<_> = std::iter::once(spec.command.trim_start()).chain(arguments).collect();
    words.join(" ")
}

/// The program of a command; for a shell line, its first word.
fn program_of(spec: &ExecSpec) -> &str {
    match spec.args {
        Some(_) => &spec.command,
        None => spec.command.split_whitespace().next().unwrap_or_default(),
    }
}

fn blocked(message: &str) -> ErrorBody {
    ErrorBody { code: ErrorCode::CommandBlocked, message: message.to_owned() }
}

#[cfg(test)]
mod tests;
