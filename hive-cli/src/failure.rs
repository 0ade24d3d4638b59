//! Why a command of ours failed, and what it ends with.

use std::borrow::Cow;
use std::error::Error as _;
use std::io;
use std::path::PathBuf;

use crate::exit;
use crate::hints::{self, unreachable};
use crate::keyring::KeyringError;

/// A failure, as it is told on stderr.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The arguments make no sense.
    #[error("{0}")]
    Usage(String),
    /// Nobody said which hive is meant, or there is no key to it.
    #[error("{0}")]
    NoHive(String),
    /// The hive refused or cannot be reached.
    #[error("{}", described(.0))]
    Hive(#[from] hive_core::Error),
    /// A file cannot be read or written.
    #[error("cannot {verb} {}: {source}", path.display())]
    File { verb: &'static str, path: PathBuf, source: io::Error },
    /// A key cannot be had from the keyring.
    #[error("{0}")]
    Keyring(#[from] KeyringError),
    /// There is nobody who reads our output.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
    /// The operating system gives us no threads or signals.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// The hive or satellite of `hive up` did not start or broke off.
    #[cfg(feature = "up")]
    #[error("{0}")]
    Up(String),
    /// The user's terminal cannot be opened or changed.
    #[error("cannot use the terminal: {0}")]
    Terminal(io::Error),
    /// Ctrl-C, or another signal of this number.
    #[error("interrupted")]
    Interrupted(i32),
    /// A failure with a hint for this case.
    #[error("{failure}")]
    Hinted { failure: Box<Failure>, hint: String },
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    pub(crate) fn file(verb: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { verb, path, source }
    }

    /// Returns the error of a call that gives something a name. `list` is the command that shows who has a name that is taken.
    pub(crate) fn of_naming(list: &str) -> impl FnOnce(hive_core::Error) -> Self {
        let hint = format!(
            "See who has it with `{list}`, as far as you may see them; take another name, or rename or remove the other first"
        );
        move |error| match error {
            hive_core::Error::Conflict(_) => Self::from(error).with_hint(hint),
            other => other.into(),
        }
    }

    /// Replaces the hint by one for this case.
    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        let failure = match self {
            Self::Hinted { failure, .. } => failure,
            plain => Box::new(plain),
        };
        Self::Hinted { failure, hint: hint.into() }
    }

    /// Returns what the user can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Hive(error) => hints::for_error(error),
            Self::Hinted { hint, .. } => Some(hint.clone()),
            _ => None,
        }
    }

    /// The stable word for it.
    pub(crate) fn code(&self) -> Cow<'static, str> {
        let word = match self {
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
            Self::Hinted { failure, .. } => return failure.code(),
        };
        word.into()
    }

    /// What `hive` exits with. The numbers are those of `sysexits.h`: a program behind `hive exec` hardly uses them.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Hive(error) => exit_code_of(error),
            Self::File { .. } | Self::Keyring(_) => 74,
            Self::NoHive(_) => 78,
            Self::Interrupted(signal) => exit::of_signal(*signal),
            Self::Hinted { failure, .. } => failure.exit_code(),
            _ => 1,
        }
    }

    /// Whether it goes without saying: who closed the pipe knows.
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
            Some(Certificate | NoHttp | NoTls) => 76,
            _ => 69,
        },
        E::SatelliteOffline(_)
        | E::SatelliteInactive { .. }
        | E::SessionLimit { .. }
        | E::RateLimited { .. }
        | E::QueueFull { .. } => 75,
        E::NotFound { what: "path", .. } | E::Other(_) => 76,
        E::NotFound { .. } | E::SatelliteNotFound(_) | E::SessionNotFound(_) => 68,
        E::Forbidden(_) | E::CommandBlocked(_) => 77,
        E::CommandTimeout { .. } => 124,
        E::Conflict(_) => 73,
        _ => 1,
    }
}

/// An unreachable hive is best described by the cause.
fn described(error: &hive_core::Error) -> String {
    match (error, error.source()) {
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
        let check = |failure: Failure, code| assert_eq!(failure.exit_code(), code, "{failure}");
        let unreachable = |obstacle| {
            let unreachable = Unreachable { url: "http://hive".into(), obstacle, cause: "x".into() };
            Failure::from(Error::Unavailable(Box::new(unreachable)))
        };
        check(Failure::usage("x"), 2);
        check(Error::invalid("timeout_seconds", "too long").into(), 2);
        check(Error::AuthInvalid.into(), 67);
        check(Error::SatelliteNotFound("web".into()).into(), 68);
        check(unreachable(Obstacle::Refused), 69);
        check(Error::Unavailable("stopping".into()).into(), 69);
        check(Error::SatelliteOffline("web".into()).into(), 75);
        check(unreachable(Obstacle::Certificate), 76);
        check(Error::NotFound { what: "path", id: "/api/v2".into() }.into(), 76);
        check(Error::Forbidden("x".into()).into(), 77);
        check(Failure::NoHive("x".into()), 78);
        check(Failure::NoHive("x".into()).with_hint("y"), 78);
        check(Failure::Interrupted(exit::SIGINT), 130);
        check(Failure::Interrupted(15), 143);
        check(Error::Conflict("the name is taken".into()).into(), 73);
    }

    #[test]
    fn the_last_hint_counts() {
        let failure = Failure::from(Error::AuthInvalid).with_hint("first").with_hint("second");
        assert_eq!(failure.hint().as_deref(), Some("second"));
        assert_eq!(failure.code(), "AUTH_INVALID");
    }

    #[test]
    fn a_name_that_is_taken_comes_with_who_may_have_it() {
        let taken = Failure::of_naming("hive satellites get web")(Error::Conflict("the name is taken".into()));
        assert!(taken.hint().unwrap().contains("`hive satellites get web`"));
        assert_eq!(Failure::of_naming("x")(Error::AuthInvalid).code(), "AUTH_INVALID");
    }

    #[test]
    fn an_unreachable_hive_is_named_with_the_cause() {
        let failure = Failure::from(Error::Unavailable("cannot reach http://hive: connection refused".into()));
        assert_eq!(failure.to_string(), "cannot reach http://hive: connection refused");
        assert_eq!(failure.code(), "UNAVAILABLE");
    }
}
