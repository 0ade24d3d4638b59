//! Hints: what a user can do next after an error.
//!
//! This module takes errors of the hive and plain data. It uses no other module of this program: an error shows the
//! hint of its cause, and a caller that knows more replaces it.

use std::error::Error as _;

use hive_core::Error;
use hive_core::client::{Obstacle, Unreachable};
use hive_core::wire::ErrorCode;
use hive_core::wire::api::ExecResult;

/// Returns the hint for an error of a hive, wherever it happened.
pub(crate) fn for_error(error: &Error) -> Option<String> {
    let hint = match error {
        Error::Unavailable(_) => match unreachable(error) {
            Some(unreachable) => for_obstacle(unreachable),
            None if is_disk_full(error) => {
                "Free space on the disk of its server, or repair the disk; no restart is needed".into()
            }
            None => "It is stopping, or its database cannot be reached; try again in a moment".into(),
        },
        Error::AuthRequired | Error::AuthInvalid => "Log in with `hive login URL`, or set HIVE_API_KEY".into(),
        Error::Forbidden(_) => "`hive whoami` shows your user; an admin can grant the permission".into(),
        Error::NotFound { what, .. } => return for_missing(what),
        Error::SatelliteNotFound(_) => "See them with `hive satellites list`".into(),
        Error::SessionNotFound(_) => "See yours with `hive sessions list --ended`".into(),
        // All conflicts have one code: only the message tells this one apart.
        Error::Conflict(what) if what.contains("name") && what.contains("taken") => {
            "Choose another name; `hive satellites list` shows the names that you may see, and other teams have more"
                .into()
        }
        Error::Unconfirmed { confirmed: None, .. } => {
            "Give --yes, or run it at a terminal and answer the question".into()
        }
        Error::SessionLimit { .. } => "See them with `hive sessions list`, end one with `hive sessions kill ID`".into(),
        Error::SatelliteOffline(name) => {
            format!(
                "See when it was last online with `hive satellites get {name}`; `hive exec --no-wait` queues a command for it"
            )
        }
        Error::SatelliteInactive { name, .. } => for_inactive(name),
        Error::CommandBlocked(_) => {
            "The policy of its agent forbids it: --allowed-command, --blocked-command, --allow-shell".into()
        }
        Error::CommandTimeout { command, .. } => format!("See its result with `hive commands get {command}`"),
        Error::Internal(_) | Error::Corrupt(_) => "This is a fault of the hive; see its log".into(),
        Error::Other(_) => other_version(),
        _ => return None,
    };
    Some(hint)
}

/// Returns the details of an unreachable hive, where that is the error.
pub(crate) fn unreachable(error: &Error) -> Option<&Unreachable> {
    error.source()?.downcast_ref()
}

/// Whether the disk of the hive's server caused the error.
fn is_disk_full(error: &Error) -> bool {
    // The server marks it in the details. The code is UNAVAILABLE, as for every other cause.
    error.to_wire().details.is_some_and(|details| details.get("disk").is_some())
}

fn for_inactive(name: &str) -> String {
    format!("Activate it with `hive satellites update {name} --status active`")
}

fn for_obstacle(unreachable: &Unreachable) -> String {
    let url = &unreachable.url;
    let other = |from: &str, to: &str| format!("{to}{}", url.strip_prefix(from).unwrap_or(url));
    match unreachable.obstacle {
        Obstacle::UnknownHost => "No such host; check the address. `hive profiles list` shows the saved ones".into(),
        Obstacle::Refused => "Nothing listens there; start a hive with `hive up`, or name another with --url or --profile".into(),
        Obstacle::Timeout => "Check the address, and whether a firewall is in between".into(),
        Obstacle::Certificate => {
            "This machine does not trust its certificate; install the authority that signed it, or name its file in SSL_CERT_FILE".into()
        }
        Obstacle::NoTls => format!("It does not speak TLS; try {}", other("https://", "http://")),
        Obstacle::NoHttp => format!("It does not speak HTTP; try {}", other("http://", "https://")),
        _ => format!("Is {url} the address of a hive?"),
    }
}

fn for_missing(what: &str) -> Option<String> {
    let list = match what {
        "path" => return Some(other_version()),
        "job" => "hive jobs list",
        "group" => "hive groups list",
        "command" => "hive commands list SATELLITE",
        "team" => "hive teams list",
        "user" => "hive users list",
        "API key" => "hive api-keys list",
        "registration token" => "hive tokens list",
        "audit record" => "hive audit list",
        _ => return None,
    };
    Some(format!("See them with `{list}`"))
}

/// The hint where the answer does not have the form of this version's API.
fn other_version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "Check that this is the address of a hive, and update the older of the two: this `hive` has version {version}"
    )
}

/// Returns the hint for a command that was not run, or was refused.
pub(crate) fn for_result(result: &ExecResult) -> Option<String> {
    let name = result.satellite_name.to_string();
    match result.error.as_ref()?.code {
        ErrorCode::SatelliteOffline => for_error(&Error::SatelliteOffline(name)),
        ErrorCode::SatelliteInactive => Some(for_inactive(&name)),
        ErrorCode::CommandBlocked => for_error(&Error::CommandBlocked(name)),
        _ => None,
    }
}

/// Returns the hint for a command whose program could not be started, and whose only word looks like a line for a
/// shell.
pub(crate) fn for_shell_line(targets: &[String], argv: &[String]) -> Option<String> {
    let [line] = argv else { return None };
    let is_line = line.contains(|c: char| c.is_whitespace() || "|&;<>()$`*?~".contains(c));
    // Within single quotes a shell knows no escapes: a quote ends the string, is added escaped, and begins a new one.
    let (target, quoted) = (targets.join(" "), line.replace('\'', r"'\''"));
    is_line.then(|| {
        format!(
            "After --, the program and each of its arguments are separate words; give a line for the shell with: \
             hive exec {target} --shell '{quoted}'"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_core::wire::api::SatelliteStatus;

    fn check(error: Error, expected: &str) {
        let hint = for_error(&error).unwrap_or_default();
        assert!(hint.contains(expected), "{error}: {hint:?}");
    }

    fn check_obstacle(url: &str, obstacle: Obstacle, expected: &str) {
        let unreachable = Unreachable { url: url.into(), obstacle, cause: "x".into() };
        check(Error::Unavailable(Box::new(unreachable)), expected);
    }

    #[test]
    fn an_error_comes_with_what_to_do_about_it() {
        check(Error::AuthInvalid, "`hive login URL`");
        check(Error::Forbidden("x".into()), "`hive whoami`");
        check(Error::SatelliteOffline("web".into()), "`hive satellites get web`");
        check(
            Error::SatelliteInactive { name: "web".into(), status: SatelliteStatus::Maintenance },
            "`hive satellites update web --status active`",
        );
        check(Error::SessionLimit { limit: 10 }, "`hive sessions list`");
        check(Error::Conflict("the name is taken".into()), "`hive satellites list`");
        check(Error::SessionNotFound("sess_x".into()), "`hive sessions list --ended`");
        check(Error::NotFound { what: "job", id: "job_x".into() }, "`hive jobs list`");
        check(Error::NotFound { what: "path", id: "/api/v2".into() }, "update");
        check(Error::Unavailable("stopping".into()), "again");
    }

    #[test]
    fn the_hint_for_an_unreachable_hive_fits_the_obstacle() {
        check_obstacle("http://hive", Obstacle::Refused, "`hive up`");
        check_obstacle("https://hive:3000", Obstacle::NoTls, "try http://hive:3000");
        check_obstacle("http://hive:3000", Obstacle::NoHttp, "try https://hive:3000");
        check_obstacle("https://hive", Obstacle::Certificate, "SSL_CERT_FILE");
        check_obstacle("https://hive", Obstacle::UnknownHost, "hive profiles list");
    }

    #[test]
    fn a_shell_line_after_the_dashes_is_told_from_a_program() {
        let check = |argv: &[&str], expected: Option<&str>| {
            let argv: Vec<_> = argv.iter().map(|&word| word.to_owned()).collect();
            let hint = for_shell_line(&["web".to_owned()], &argv);
            let end = hint.as_deref().and_then(|hint| hint.split_once("with: "));
            assert_eq!(end.map(|(_, line)| line), expected, "{argv:?}");
        };
        check(&["ls -la /"], Some("hive exec web --shell 'ls -la /'"));
        check(&["it's"], None);
        check(&["echo it's"], Some(r"hive exec web --shell 'echo it'\''s'"));
        check(&["ls|wc"], Some("hive exec web --shell 'ls|wc'"));
        check(&["ls", "-la", "/"], None);
        check(&["/opt/tool"], None);
    }
}
