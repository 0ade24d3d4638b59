//! Why a command of ours failed, and what it ends with.

use std::error::Error as _;
use std::io;
use std::path::PathBuf;

/// A failure, as it is told on stderr.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The arguments make no sense.
    #[error("{0}")]
    Usage(String),
    /// The hive refused or cannot be reached.
    #[error("{}", described(.0))]
    Hive(#[from] hive_core::Error),
    /// A file cannot be read or written.
    #[error("cannot {verb} {}: {source}", path.display())]
    File { verb: &'static str, path: PathBuf, source: io::Error },
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
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
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

    /// The stable word for it.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Usage(_) => "USAGE",
            Self::Hive(error) => error.code().as_str(),
            Self::File { .. } => "FILE",
            Self::Output(_) => "OUTPUT",
            Self::Runtime(_) => "RUNTIME",
            #[cfg(feature = "up")]
            Self::Up(_) => "UP",
            Self::Terminal(_) => "TERMINAL",
            Self::Interrupted => "INTERRUPTED",
        }
    }

    /// What `hive` exits with.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Interrupted => 130,
            _ => 1,
        }
    }

    /// Whether it goes without saying: who closed the pipe knows.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// An unreachable hive is best described by the cause, and what a command of ours helps against by the command.
fn described(error: &hive_core::Error) -> String {
    match (error, error.source()) {
        (hive_core::Error::Unavailable(_), Some(cause)) => cause.to_string(),
        (hive_core::Error::SessionLimit { .. }, _) => {
            format!("{error}\nSee them with `hive sessions list`, end one with `hive sessions kill ID`")
        }
        (hive_core::Error::SessionNotFound(_), _) => {
            format!("{error}\nSee yours with `hive sessions list --ended`")
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let check = |failure: Failure, code| assert_eq!(failure.exit_code(), code, "{failure}");
        check(Failure::usage("x"), 2);
        check(hive_core::Error::AuthInvalid.into(), 1);
        check(Failure::Interrupted, 130);
    }

    #[test]
    fn a_failure_says_what_to_do_about_it() {
        let check = |error: hive_core::Error, hint| {
            let text = Failure::from(error).to_string();
            assert!(text.contains(hint), "{text}");
        };
        check(hive_core::Error::SessionLimit { limit: 10 }, "`hive sessions list`");
        check(hive_core::Error::SessionLimit { limit: 10 }, "10 terminals");
        check(hive_core::Error::SessionNotFound("sess_x".into()), "`hive sessions list --ended`");
    }

    #[test]
    fn an_unreachable_hive_is_named_with_the_cause() {
        let failure =
            Failure::from(hive_core::Error::Unavailable("cannot reach http://hive: connection refused".into()));
        assert_eq!(failure.to_string(), "cannot reach http://hive: connection refused");
        assert_eq!(failure.code(), "UNAVAILABLE");
    }
}
