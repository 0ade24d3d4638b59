//! The source of the registration token: a setting, a file, or standard input.
//!
//! A file is read each time the token is needed, so that a token can be placed there while the agent runs.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use hive_wire::credential;
use secrecy::{ExposeSecret as _, SecretString};

use crate::config::AgentConfig;
use crate::error::Error;

/// Placeholders of examples and templates.
const PLACEHOLDERS: [&str; 8] =
    ["your-token-here", "your_token_here", "your-token", "changeme", "change-me", "placeholder", "token", "xxx"];
/// The file name for standard input.
const STANDARD_INPUT: &str = "-";
/// The largest file that is read. A token has a few hundred bytes.
const MAX_FILE: u64 = 64 * 1024;

/// Where the token comes from.
#[derive(Debug)]
pub(crate) enum TokenSource {
    /// There is no token.
    Absent,
    /// The token itself.
    Literal(SecretString),
    /// A file that contains nothing else.
    File(PathBuf),
    /// Standard input, which is read once.
    StandardInput(OnceLock<SecretString>),
}

impl TokenSource {
    pub(crate) fn of(config: &AgentConfig) -> Self {
        match (&config.registration_token, &config.registration_token_file) {
            (Some(token), _) => Self::Literal(token.clone()),
            (None, Some(path)) if path == Path::new(STANDARD_INPUT) => Self::StandardInput(OnceLock::new()),
            (None, Some(path)) => Self::File(path.clone()),
            (None, None) => Self::Absent,
        }
    }

    /// Returns the current token; `None` if there is none.
    ///
    /// # Errors
    /// `TokenFile` if it cannot be read, other variants if it cannot be a token.
    pub(crate) async fn get(&self) -> Result<Option<SecretString>, Error> {
        let token = match self {
            Self::Absent => return Ok(None),
            Self::Literal(token) => token.clone(),
            Self::File(path) => {
                let file = path.clone();
                reading(path, move || File::open(file).and_then(read)).await?
            }
            Self::StandardInput(once) => {
                if let Some(token) = once.get() {
                    token.clone()
                } else {
                    let token = reading(Path::new(STANDARD_INPUT), || read(io::stdin())).await?;
                    once.get_or_init(|| token).clone()
                }
            }
        };
        check(&token).map(|()| Some(token))
    }
}

/// Reads on a blocking thread: standard input may take any time.
async fn reading(
    path: &Path,
    read: impl FnOnce() -> io::Result<SecretString> + Send + 'static,
) -> Result<SecretString, Error> {
    let done = tokio::task::spawn_blocking(read).await.map_err(io::Error::other);
    done.flatten().map_err(|source| Error::TokenFile { path: path.to_owned(), source })
}

fn read(input: impl Read) -> io::Result<SecretString> {
    let mut text = String::new();
    // The path may be wrong and name a device or a large file.
    input.take(MAX_FILE).read_to_string(&mut text)?;
    // Editors and `echo` end the file with a line break.
    Ok(text.trim().into())
}

/// Checks the format of a token before it is sent.
fn check(token: &SecretString) -> Result<(), Error> {
    let token = token.expose_secret().trim();
    // Placeholders are often put in quotes or brackets, as in `"<token>"`.
    let bare = token.trim_matches(['<', '>', '"', '\'', '{', '}', '$', ' ']);
    let is_placeholder = PLACEHOLDERS.iter().any(|text| bare.eq_ignore_ascii_case(text)) || token.starts_with('<');
    if token.is_empty() {
        return Err(Error::TokenMissing);
    }
    if is_placeholder {
        return Err(Error::TokenPlaceholder);
    }
    // Only the format is checked: the key that proves the signature is at the hive.
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    match credential::registration_jwt(token) {
        Some(jwt) if jwt.split('.').count() == 3 && jwt.split('.').all(is_part) => Ok(()),
        Some(rest) if rest.starts_with('<') || rest.starts_with("...") || rest.starts_with('…') => {
            Err(Error::TokenPlaceholder)
        }
        _ => Err(Error::TokenMalformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &Path) -> TokenSource {
        let name = hive_wire::SatelliteName::try_from("web-server-01").unwrap();
        let mut config = AgentConfig::new("http://localhost".parse().unwrap(), name, "data");
        config.registration_token_file = Some(path.to_owned());
        TokenSource::of(&config)
    }

    #[tokio::test]
    async fn a_file_is_read_when_the_token_is_needed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let source = source(&path);
        assert!(matches!(source.get().await, Err(Error::TokenFile { .. })));
        for token in ["hive_satellite_global_aaa.bbb.ccc", "hive_satellite_team_ddd.eee.fff"] {
            std::fs::write(&path, format!(" {token}\n")).unwrap();
            assert_eq!(source.get().await.unwrap().unwrap().expose_secret(), token);
        }
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(source.get().await, Err(Error::TokenMissing)));
        std::fs::write(&path, "your-token-here").unwrap();
        assert!(matches!(source.get().await, Err(Error::TokenPlaceholder)));
    }

    #[test]
    fn a_dash_is_standard_input() {
        assert!(matches!(source(Path::new("-")), TokenSource::StandardInput(_)));
        assert!(matches!(source(Path::new("./-")), TokenSource::File(_)));
    }
}
