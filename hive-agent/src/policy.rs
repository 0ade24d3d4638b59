//! What the owner of a machine lets the hive do on it.
//!
//! The server cannot change it. It is a guard rail, not a sandbox: it compares the beginning of a command's text. It
//! stops mistakes, but a user who may run `ls` through a shell may also run `ls; anything`. Whatever must not happen
//! has to be impossible for the user under which the agent runs.

mod program;

use std::collections::BTreeMap;

use hive_wire::ErrorCode;
use hive_wire::agent::{ErrorBody, ExecSpec, Payload};

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

/// Compares the command with and without the program's directory.
fn is_blocked_by(text: &str, prefix: &str) -> bool {
    let ends_word = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'));
    let program_end = text.find(ends_word).unwrap_or(text.len());
    // `/bin/rm` must be blocked by `rm`, and by `/bin/rm` as well.
    let without_directory = text[..program_end].rfind('/').map_or(text, |slash| &text[slash + 1..]);
    begins_with(text, prefix, ends_word) || begins_with(without_directory, prefix, ends_word)
}

/// Whether the text begins with the prefix, and the prefix ends with a whole word.
fn begins_with(text: &str, prefix: &str, ends_word: impl Fn(char) -> bool) -> bool {
    let prefix = prefix.trim_start();
    let Some(rest) = text.strip_prefix(prefix) else { return false };
    let prefix_ends_word = prefix.ends_with(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.')));
    // An empty prefix would match every command.
    !prefix.is_empty() && (prefix_ends_word || rest.chars().next().is_none_or(ends_word))
}

fn blocked(message: &str) -> ErrorBody {
    ErrorBody { code: ErrorCode::CommandBlocked, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::agent::PowerSpec;
    use hive_wire::api::PowerAction;

    fn shell(line: &str) -> Payload {
        Payload::Exec(ExecSpec { command: line.into(), ..ExecSpec::default() })
    }

    fn argv(program: &str, args: &[&str]) -> Payload {
        Payload::Exec(ExecSpec {
            command: program.into(),
            args: Some(args.iter().map(ToString::to_string).collect()),
            ..ExecSpec::default()
        })
    }

    fn check(policy: &Policy, payload: Payload, is_allowed: bool) {
        assert_eq!(policy.check(&payload).is_ok(), is_allowed, "{payload:?}");
    }

    #[test]
    fn everything_is_allowed_by_default() {
        check(&Policy::default(), shell("rm -rf /"), true);
    }

    #[test]
    fn a_block_covers_whole_words() {
        let policy = Policy { blocked_commands: vec!["rm".into(), "apt remove".into()], ..Policy::default() };
        check(&policy, shell("rm -rf /"), false);
        check(&policy, shell("  rm -rf /"), false);
        check(&policy, shell("rm;ls"), false);
        check(&policy, shell("/bin/rm -rf /"), false);
        check(&policy, argv("rm", &["-rf", "/"]), false);
        check(&policy, argv("apt", &["remove", "x"]), false);
        check(&policy, shell("rmdir x"), true);
        check(&policy, shell("rm-safely x"), true);
        check(&policy, shell("ls /bin/rm"), true);
        check(&policy, argv("apt", &["install", "x"]), true);
    }

    #[test]
    fn an_allow_list_admits_nothing_else() {
        let policy = Policy {
            allowed_commands: vec!["systemctl status".into(), "/opt/app/".into()],
            blocked_commands: vec!["/opt/app/drop".into()],
            ..Policy::default()
        };
        check(&policy, shell("systemctl status nginx"), true);
        check(&policy, shell("systemctl status"), true);
        check(&policy, shell("systemctl statusx"), false);
        check(&policy, shell("systemctl status;reboot"), false);
        check(&policy, shell("systemctl stop nginx"), false);
        check(&policy, argv("/opt/app/run", &["now"]), true);
        check(&policy, argv("/opt/app/drop", &[]), false);
        check(&policy, shell(""), false);
    }

    #[test]
    fn a_session_is_judged_by_its_shell() {
        let check = |policy: &Policy, shell: &str, is_allowed: bool| {
            assert_eq!(policy.check_session(shell, &BTreeMap::new()).is_ok(), is_allowed, "{shell}");
        };
        check(&Policy::default(), "/bin/bash", true);
        check(&Policy { allow_shell: false, ..Policy::default() }, "/bin/bash", false);
        let blocking = Policy { blocked_commands: vec!["bash".into()], ..Policy::default() };
        check(&blocking, "/bin/bash", false);
        check(&blocking, "/bin/dash", true);
        let listing =
            Policy { allowed_commands: vec!["systemctl".into(), "/usr/bin/rbash".into()], ..Policy::default() };
        check(&listing, "/bin/bash", false);
        check(&listing, "/usr/bin/rbash", true);
        let env = BTreeMap::from([("BASH_ENV".to_owned(), "/tmp/x".to_owned())]);
        assert!(listing.check_session("/usr/bin/rbash", &env).is_err());
        assert!(Policy::default().check_session("/bin/bash", &env).is_ok());
    }

    #[test]
    fn a_request_does_not_decide_which_program_a_listed_name_is() {
        let policy =
            Policy { allowed_commands: vec!["echo".into(), "./run".into(), "/opt/app/".into()], ..Policy::default() };
        let spec = |command: &str, cwd: Option<&str>, variable: Option<&str>| ExecSpec {
            command: command.into(),
            args: Some(Vec::new()),
            cwd: cwd.map(Into::into),
            env: variable.map(|name| (name.to_owned(), "/tmp/x".to_owned())).into_iter().collect(),
            ..ExecSpec::default()
        };
        for (spec, is_allowed) in [
            (spec("echo", Some("/tmp"), Some("GREETING")), true),
            (spec("./run", None, None), true),
            (spec("/opt/app/run", Some("/tmp"), None), true),
            (spec("echo", None, Some("PATH")), false),
            (spec("echo", None, Some("LD_PRELOAD")), false),
            (spec("./run", Some("/tmp"), None), false),
            (spec("/opt/app/../../tmp/x", None, None), false),
        ] {
            let line = ExecSpec { args: None, ..spec.clone() };
            for spec in [spec, line] {
                let refusal = policy.check(&Payload::Exec(spec.clone())).err();
                assert_eq!(refusal.is_none(), is_allowed, "{spec:?}");
                assert!(refusal.is_none_or(|refusal| refusal.code == ErrorCode::CommandBlocked));
                check(&Policy::default(), Payload::Exec(spec), true);
            }
        }
    }

    #[test]
    fn switches_turn_whole_kinds_off() {
        let policy = Policy { allow_shell: false, allow_power_commands: false, ..Policy::default() };
        check(&policy, shell("true"), false);
        check(&policy, argv("true", &[]), false);
        let reboot = Payload::Power(PowerSpec { action: PowerAction::Reboot, delay_seconds: 0, message: None });
        check(&Policy::default(), reboot.clone(), true);
        let refusal = policy.check(&reboot).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::CommandBlocked);
    }
}
