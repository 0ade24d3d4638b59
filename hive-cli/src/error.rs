//! The errors of this program: their messages, their stable codes, their hints and their exit codes.

use std::borrow::Cow;
use std::error::Error as _;
use std::io;
use std::path::PathBuf;

use crate::exit;
use crate::hints::{self, unreachable};
use crate::keyring::KeyringError;

/// An error of a command of `hive`. Its display is the message on standard error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The arguments are wrong.
    #[error("{0}")]
    Usage(String),
    /// No hive is selected, or there is no key for it.
    #[error("{0}")]
    NoHive(String),
    /// The hive returned an error, or cannot be reached.
    #[error("{}", message(.0))]
    Hive(#[from] hive_core::Error),
    /// A file cannot be read or written.
    #[error("cannot {verb} {}: {source}", path.display())]
    File { verb: &'static str, path: PathBuf, source: io::Error },
    /// The keyring has no key, or cannot be used.
    #[error("{0}")]
    Keyring(#[from] KeyringError),
    /// Standard output cannot be written, such as after its reader closed the pipe.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
    /// The operating system refuses a thread or a signal handler.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// The hive or the satellite of `hive up` did not start, or ended.
    #[cfg(feature = "up")]
    #[error("{0}")]
    Up(String),
    /// The user's terminal cannot be opened, or its modes cannot be set.
    #[error("cannot use the terminal: {0}")]
    Terminal(io::Error),
    /// Ended by the signal with this number, such as that of Ctrl-C.
    #[error("interrupted")]
    Interrupted(i32),
    /// An error with a hint for this case.
    #[error("{error}")]
    Hinted { error: Box<CliError>, hint: String },
}

pub(crate) type Result<T, E = CliError> = std::result::Result<T, E>;

impl CliError {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    pub(crate) fn file(verb: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { verb, path, source }
    }

    /// Returns the error of a call that gives something a name. `list` is the command that shows who has a name that is
    /// taken.
    pub(crate) fn of_naming(list: &str) -> impl FnOnce(hive_core::Error) -> Self {
        let hint = format!(
            "See who has it with `{list}`, if you may see it; choose another name, or rename or remove the other first"
        );
        move |error| match error {
            hive_core::Error::Conflict(_) => Self::from(error).with_hint(hint),
            other => other.into(),
        }
    }

    /// Replaces the hint by one for this case.
    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        // Hints do not nest: the last one replaces those before.
        let error = match self {
            Self::Hinted { error, .. } => error,
            plain => Box::new(plain),
        };
        Self::Hinted { error, hint: hint.into() }
    }

    /// Returns what the user can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Hive(error) => hints::for_error(error),
            Self::Hinted { hint, .. } => Some(hint.clone()),
            _ => None,
        }
    }

    /// Returns the stable code that programs can match.
    pub(crate) fn code(&self) -> Cow<'static, str> {
        let code = match self {
            Self::Usage(_) => "USAGE",
            Self::NoHive(_) => "NO_HIVE",
            Self::Hive(error) => return error.code().to_string().into(),
            Self::File { .. } => "FILE",
            Self::Keyring(_) => "KEYRING",
            Self::Output(_) => "OUTPUT",
            Self::Runtime(_) => "RUNTIME",
            #[cfg(feature = "up")]
            Self::Up(_) => "UP",
            Self::Terminal(_) => "TERMINAL",
            Self::Interrupted(_) => "INTERRUPTED",
            Self::Hinted { error, .. } => return error.code(),
        };
        code.into()
    }

    /// Returns the exit code of `hive`.
    pub(crate) fn exit_code(&self) -> u8 {
        // The numbers are those of sysexits.h. Programs rarely use them, so a script can tell an error of `hive exec`
        // itself from the exit code of the program it ran.
        match self {
            Self::Usage(_) => 2,
            Self::Hive(error) => exit_code_of(error),
            Self::File { .. } | Self::Keyring(_) => 74,
            Self::NoHive(_) => 78,
            Self::Interrupted(signal) => exit::of_signal(*signal),
            Self::Hinted { error, .. } => error.exit_code(),
            _ => 1,
        }
    }

    /// Whether no message is written: the reader that closed the pipe needs none.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn exit_code_of(error: &hive_core::Error) -> u8 {
    use hive_core::Error as E;
    use hive_core::client::Obstacle::{Certificate, NoHttp, NoTls};
    match error {
        E::InvalidInput { .. } => 2,
        E::AuthRequired | E::AuthInvalid => 67,
        E::Unavailable(_) => match unreachable(error).map(|unreachable| unreachable.obstacle) {
            // Something answers, but not with this protocol: EX_PROTOCOL instead of EX_UNAVAILABLE.
            Some(Certificate | NoHttp | NoTls) => 76,
            _ => 69,
        },
        E::SatelliteOffline(_)
        | E::SatelliteInactive { .. }
        | E::SessionLimit { .. }
        | E::RateLimited { .. }
        | E::QueueFull { .. } => 75,
        // No such path: the server is no hive, or one of another version. EX_PROTOCOL, not "no such thing".
        E::NotFound { what: "path", .. } | E::Other(_) => 76,
        E::NotFound { .. } | E::SatelliteNotFound(_) | E::SessionNotFound(_) => 68,
        E::Forbidden(_) | E::CommandBlocked(_) => 77,
        E::CommandTimeout { .. } => 124,
        E::Conflict(_) | E::KeyConflict(_) | E::Unconfirmed { .. } => 73,
        _ => 1,
    }
}

/// Returns the message for an error of a hive.
fn message(error: &hive_core::Error) -> String {
    match (error, error.source()) {
        // The cause names the URL and the obstacle; the error itself says only that the hive is unavailable.
        (hive_core::Error::Unavailable(_), Some(cause)) => cause.to_string(),
        (hive_core::Error::NotFound { what: "path", id }, _) => format!("this hive knows no {id}"),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_core::Error;
    use hive_core::client::{Obstacle, Unreachable};

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let check = |error: CliError, code| assert_eq!(error.exit_code(), code, "{error}");
        let unreachable = |obstacle| {
            let unreachable = Unreachable { url: "http://hive".into(), obstacle, cause: "x".into() };
            CliError::from(Error::Unavailable(Box::new(unreachable)))
        };
        check(CliError::usage("x"), 2);
        check(Error::invalid("timeout_seconds", "too long").into(), 2);
        check(Error::AuthInvalid.into(), 67);
        check(Error::SatelliteNotFound("web".into()).into(), 68);
        check(unreachable(Obstacle::Refused), 69);
        check(Error::Unavailable("stopping".into()).into(), 69);
        check(Error::SatelliteOffline("web".into()).into(), 75);
        check(unreachable(Obstacle::Certificate), 76);
        check(Error::NotFound { what: "path", id: "/api/v2".into() }.into(), 76);
        check(Error::Forbidden("x".into()).into(), 77);
        check(CliError::NoHive("x".into()), 78);
        check(CliError::NoHive("x".into()).with_hint("y"), 78);
        check(CliError::Interrupted(exit::SIGINT), 130);
        check(CliError::Interrupted(15), 143);
        check(Error::Conflict("the name is taken".into()).into(), 73);
    }

    #[test]
    fn the_last_hint_counts() {
        let error = CliError::from(Error::AuthInvalid).with_hint("first").with_hint("second");
        assert_eq!(error.hint().as_deref(), Some("second"));
        assert_eq!(error.code(), "AUTH_INVALID");
    }

    #[test]
    fn a_name_that_is_taken_comes_with_who_may_have_it() {
        let error = CliError::of_naming("hive satellites get web")(Error::Conflict("the name is taken".into()));
        assert!(error.hint().unwrap().contains("`hive satellites get web`"));
        assert_eq!(CliError::of_naming("x")(Error::AuthInvalid).code(), "AUTH_INVALID");
    }

    #[test]
    fn an_unreachable_hive_is_named_with_the_cause() {
        let error = CliError::from(Error::Unavailable("cannot reach http://hive: connection refused".into()));
        assert_eq!(error.to_string(), "cannot reach http://hive: connection refused");
        assert_eq!(error.code(), "UNAVAILABLE");
    }
}
