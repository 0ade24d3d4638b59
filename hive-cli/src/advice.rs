//! What to do next, for whoever meets a failure for the first time.
//!
//! [`on`] knows the failure alone; [`on_call`] also knows which hive was called with whose key, and may ask it.

use hive_core::Error;
use hive_core::client::{Obstacle, Unreachable};
use hive_core::wire::ErrorCode;
use hive_core::wire::api::ExecResult;

use crate::args::ExecArgs;
use crate::failure::{Failure, unreachable};
use crate::find;
use crate::settings::{Access, Origin};
use hive_core::HiveApi;

/// What helps against an error wherever it comes from.
pub(crate) fn on(error: &Error) -> Option<String> {
    let advice = match error {
        Error::Unavailable(_) => match unreachable(error) {
            Some(unreachable) => on_obstacle(unreachable),
            None if is_of_disk(error) => {
                "Make room on the disk of its server, or mend it; it need not be restarted".into()
            }
            None => "It stops, or its database is away; try again in a moment".into(),
        },
        Error::AuthRequired | Error::AuthInvalid => "Log in with `hive login URL`, or set HIVE_API_KEY".into(),
        Error::Forbidden(_) => "`hive whoami` says who you are; an admin can give you the right".into(),
        Error::NotFound { what, .. } => return on_missing(what),
        Error::SatelliteNotFound(_) => "See them with `hive satellites list`".into(),
        Error::SessionNotFound(_) => "See yours with `hive sessions list --ended`".into(),
        Error::Conflict(what) if what.contains("name") && what.contains("taken") => {
            "Choose another name; those you may see are in `hive satellites list`, and other teams have theirs".into()
        }
        Error::SessionLimit { .. } => "See them with `hive sessions list`, end one with `hive sessions kill ID`".into(),
        Error::SatelliteOffline(name) => {
            format!(
                "See when it was last here with `hive satellites get {name}`; `hive exec --no-wait` queues a command for it"
            )
        }
        Error::SatelliteInactive { name, .. } => on_inactive(name),
        Error::CommandBlocked(_) => {
            "The policy of its agent decides that: --allowed-command, --blocked-command, --allow-shell".into()
        }
        Error::CommandTimeout { command, .. } => format!("See what became of it with `hive commands get {command}`"),
        Error::Internal(_) | Error::Damaged(_) => "That is a fault of the hive; its log says more".into(),
        Error::Other(_) => not_ours(),
        _ => return None,
    };
    Some(advice)
}

/// Whether the disk of the hive's server is the trouble.
fn is_of_disk(error: &Error) -> bool {
    error.to_wire().details.is_some_and(|details| details.get("disk").is_some())
}

fn on_inactive(name: &str) -> String {
    format!("Activate it with `hive satellites update {name} --status active`")
}

fn on_obstacle(unreachable: &Unreachable) -> String {
    let url = &unreachable.url;
    let other = |from: &str, to: &str| format!("{to}{}", url.strip_prefix(from).unwrap_or(url));
    match unreachable.obstacle {
        Obstacle::UnknownHost => "No such host; is the address right? `hive profiles list` shows those that are kept".into(),
        Obstacle::Refused => "Nothing listens there; start a hive with `hive up`, or name another with --url or --profile".into(),
        Obstacle::Timeout => "Is the address right, and is no firewall in between?".into(),
        Obstacle::Certificate => {
            "This machine does not trust its certificate; install the authority that signed it, or name its file in SSL_CERT_FILE".into()
        }
        Obstacle::NoTls => format!("It does not speak TLS; try {}", other("https://", "http://")),
        Obstacle::NoHttp => format!("It does not speak HTTP; try {}", other("http://", "https://")),
        _ => format!("Is {url} the address of a hive?"),
    }
}

fn on_missing(what: &str) -> Option<String> {
    let list = match what {
        "path" => return Some(not_ours()),
        "job" => "hive jobs list",
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

/// Something answered, and not as our hive does.
fn not_ours() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "Is that the address of a hive, and of about the same version as this `hive` ({version})? The older one wants an update"
    )
}

/// What helps where a command was not run, or was refused.
pub(crate) fn on_result(result: &ExecResult) -> Option<String> {
    let name = result.satellite_name.to_string();
    match result.error.as_ref()?.code {
        ErrorCode::SatelliteOffline => on(&Error::SatelliteOffline(name)),
        ErrorCode::SatelliteInactive => Some(on_inactive(&name)),
        ErrorCode::CommandBlocked => on(&Error::CommandBlocked(name)),
        _ => None,
    }
}

/// What helps where a program could not be started whose name looks like a line for a shell.
pub(crate) fn on_line(args: &ExecArgs) -> Option<String> {
    let [line] = args.argv.as_slice() else { return None };
    let is_line = line.contains(|c: char| c.is_whitespace() || "|&;<>()$`*?~".contains(c));
    let (target, quoted) = (args.targets.join(" "), line.replace('\'', r"'\''"));
    is_line.then(|| {
        format!(
            "Behind -- the program and each of its arguments are words of their own; give a line for the shell so: \
             hive exec {target} --shell '{quoted}'"
        )
    })
}

/// The failure of giving a name that may be taken, with where to see who has it.
pub(crate) fn on_name(list: &str) -> impl FnOnce(Error) -> Failure {
    let advice = format!(
        "See who has it with `{list}`, as far as you may see them; take another name, or rename or remove the other first"
    );
    move |error| match error {
        Error::Conflict(_) => Failure::from(error).advised(advice),
        other => other.into(),
    }
}

/// The failure of a call, with advice that fits the hive that was called.
pub(crate) async fn on_call(api: &dyn HiveApi, access: &Access, failure: Failure) -> Failure {
    let advice = match &failure {
        Failure::Hive(Error::AuthRequired | Error::AuthInvalid) => on_key(access),
        Failure::Hive(Error::SatelliteNotFound(word)) => match find::similar(api, word).await {
            Some(name) => format!("Did you mean {name}? `hive satellites list` shows all"),
            None => return failure,
        },
        _ => return failure,
    };
    failure.advised(advice)
}

fn on_key(Access { url, origin, .. }: &Access) -> String {
    match origin {
        Origin::Given => {
            format!("{url} does not take the key of --api-key or HIVE_API_KEY; `hive login {url}` makes one")
        }
        Origin::Profile(name) => {
            format!(
                "{url} does not take the key of the profile {name}; log in again with `hive login {url} --profile {name}`"
            )
        }
        Origin::Here => {
            format!(
                "{url} does not take the key in ./hive-data; does the hive that was started here still run? Start it with `hive up`"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_core::wire::api::SatelliteStatus;

    fn check(error: Error, expected: &str) {
        let advice = on(&error).unwrap_or_default();
        assert!(advice.contains(expected), "{error}: {advice:?}");
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
    fn a_hive_that_is_out_of_reach_is_told_by_what_is_in_the_way() {
        check_obstacle("http://hive", Obstacle::Refused, "`hive up`");
        check_obstacle("https://hive:3000", Obstacle::NoTls, "try http://hive:3000");
        check_obstacle("http://hive:3000", Obstacle::NoHttp, "try https://hive:3000");
        check_obstacle("https://hive", Obstacle::Certificate, "SSL_CERT_FILE");
        check_obstacle("https://hive", Obstacle::UnknownHost, "hive profiles list");
    }

    #[test]
    fn a_line_behind_the_dashes_is_told_from_a_program() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: ExecArgs,
        }
        let check = |argv: &[&str], expected: Option<&str>| {
            let words = ["exec", "web", "--"].iter().chain(argv);
            let advice = on_line(&<Line as clap::Parser>::parse_from(words).args);
            let end = advice.as_deref().and_then(|advice| advice.split_once("so: "));
            assert_eq!(end.map(|(_, line)| line), expected, "{argv:?}");
        };
        check(&["ls -la /"], Some("hive exec web --shell 'ls -la /'"));
        check(&["it's"], None);
        check(&["echo it's"], Some(r"hive exec web --shell 'echo it'\''s'"));
        check(&["ls|wc"], Some("hive exec web --shell 'ls|wc'"));
        check(&["ls", "-la", "/"], None);
        check(&["/opt/tool"], None);
    }

    #[test]
    fn a_name_that_is_taken_comes_with_who_may_have_it() {
        let taken = on_name("hive satellites get web")(Error::Conflict("the name is taken".into()));
        assert!(taken.advice().unwrap().contains("`hive satellites get web`"));
        assert_eq!(on_name("x")(Error::AuthInvalid).code(), "AUTH_INVALID");
    }

    #[test]
    fn a_key_that_is_not_taken_is_named_by_its_place() {
        let check = |origin, expected: &str| {
            let access = Access { url: "http://hive".into(), api_key: "k".into(), origin };
            assert!(on_key(&access).contains(expected), "{}", on_key(&access));
        };
        check(Origin::Given, "HIVE_API_KEY");
        check(Origin::Profile("prod".into()), "--profile prod");
        check(Origin::Here, "`hive up`");
    }
}
