//! Shutdown, reboot, sleep: selects the program that changes the machine's power state.
//!
//! With a helper it is the helper, with the arguments `action delay_seconds message`, otherwise the tools of a Linux
//! system. Tests always set a helper.

use std::path::Path;

use hive_wire::ErrorCode;
use hive_wire::agent::{ErrorBody, ExecSpec, PowerSpec};
use hive_wire::api::PowerAction;

/// The timeout of the program, in seconds.
const TIMEOUT_SECONDS: u32 = 60;

/// The program for a power command.
pub(crate) fn program(spec: &PowerSpec, helper: Option<&Path>) -> Result<ExecSpec, ErrorBody> {
    // Checked here and not only by the tools: a helper would get a word that its author never saw.
    if !spec.action.is_known() {
        let message = format!("this satellite does not know the power action {:?}", spec.action.as_str());
        return Err(ErrorBody { code: ErrorCode::Unsupported, message });
    }
    let message = shown_message(spec);
    let mut words = match helper {
        Some(helper) => vec![
            helper.to_string_lossy().into_owned(),
            spec.action.as_str().to_owned(),
            spec.delay_seconds.to_string(),
            message,
        ],
        None if cfg!(target_os = "linux") => system_tool(spec, message)?,
        None => return Err(refused("this satellite has no --power-helper")),
    };
    let command = words.remove(0);
    Ok(ExecSpec { command, args: Some(words), timeout_seconds: TIMEOUT_SECONDS, ..ExecSpec::default() })
}

fn system_tool(spec: &PowerSpec, message: String) -> Result<Vec<String>, ErrorBody> {
    let words = match &spec.action {
        PowerAction::Shutdown => shutdown("-h", spec, message),
        PowerAction::Reboot => shutdown("-r", spec, message),
        PowerAction::Cancel => vec!["shutdown".into(), "-c".into()],
        // `systemctl` has no delay, and a command that sleeps would report success too late.
        PowerAction::Sleep | PowerAction::Hibernate if spec.delay_seconds > 0 => {
            return Err(refused("sleep and hibernate cannot be delayed on this satellite"));
        }
        PowerAction::Sleep => vec!["systemctl".into(), "suspend".into()],
        PowerAction::Hibernate => vec!["systemctl".into(), "hibernate".into()],
        PowerAction::Unknown(_) => return Err(refused("this satellite does not know this power action")),
    };
    Ok(words)
}

/// `shutdown` counts in minutes, so a delay is rounded up. The message stands behind `--`, so that it is never parsed
/// as an option.
fn shutdown(flag: &str, spec: &PowerSpec, message: String) -> Vec<String> {
    // Rounded up: the machine must not go down before the time that users were told.
    let minutes = spec.delay_seconds.div_ceil(60);
    let mut words = vec!["shutdown".into(), flag.into(), "--".into(), format!("+{minutes}")];
    if !message.is_empty() {
        words.push(message);
    }
    words
}

/// The message without control characters, because `shutdown` writes it to terminals.
fn shown_message(spec: &PowerSpec) -> String {
    let message = spec.message.as_deref().unwrap_or_default();
    // `shutdown` writes the message to every terminal of the machine, so it must contain no escape sequences.
    message.chars().filter(|c| !c.is_control()).take(500).collect()
}

fn refused(message: &str) -> ErrorBody {
    ErrorBody { code: ErrorCode::InvalidInput, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(action: PowerAction, delay_seconds: u32, helper: Option<&str>, expected: Option<&str>) {
        let spec = PowerSpec { action, delay_seconds, message: Some("back \u{1b}[2Jsoon".into()) };
        let words = program(&spec, helper.map(Path::new)).ok().map(|program| {
            let args = program.args.unwrap_or_default();
            [vec![program.command], args].concat().join(" ")
        });
        assert_eq!(words.as_deref(), expected);
    }

    #[test]
    fn the_helper_gets_it_all() {
        check(PowerAction::Reboot, 5, Some("/opt/power"), Some("/opt/power reboot 5 back [2Jsoon"));
        check(PowerAction::Cancel, 0, Some("/opt/power"), Some("/opt/power cancel 0 back [2Jsoon"));
    }

    #[test]
    fn an_action_of_a_later_version_is_not_given_to_the_helper() {
        let spec = PowerSpec { action: "defrost".into(), delay_seconds: 0, message: None };
        assert_eq!(program(&spec, Some(Path::new("/opt/power"))).unwrap_err().code, ErrorCode::Unsupported);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn without_a_helper_the_system_does_it() {
        check(PowerAction::Reboot, 0, None, Some("shutdown -r -- +0 back [2Jsoon"));
        check(PowerAction::Shutdown, 61, None, Some("shutdown -h -- +2 back [2Jsoon"));
        check(PowerAction::Sleep, 0, None, Some("systemctl suspend"));
        check(PowerAction::Hibernate, 3, None, None);
        check(PowerAction::Cancel, 0, None, Some("shutdown -c"));
    }
}
