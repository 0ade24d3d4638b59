//! Why an agent cannot start or go on.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use hive_wire::InvalidName;
use hive_wire::satellite_api::ErrorResponse;

/// What ends an agent. A server that cannot be reached is none of these: it is tried again.
///
/// [`explain`](crate::messages::explain) says each of them to a person, with what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name breaks the rule.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Another setting is wrong.
    #[error("invalid {setting}: {reason}")]
    Setting {
        /// The flag.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// There is neither a stored key nor a token.
    #[error("no registration token")]
    TokenMissing,
    /// The token is the text of an example.
    #[error("registration token is a placeholder")]
    TokenPlaceholder,
    /// The token has not the shape of one.
    #[error("malformed registration token")]
    TokenMalformed,
    /// The file of the token cannot be read.
    #[error("cannot read registration token {}", path.display())]
    TokenFile {
        /// The file; `-` is standard input.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The data directory cannot be written.
    #[error("cannot write data directory {}", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another agent runs with the same data directory.
    #[error("data directory {} is in use", .0.display())]
    DataDirInUse(PathBuf),
    /// The stored key is there and cannot be read.
    #[error("cannot read stored key {}", path.display())]
    StoredKey {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The server said no to the registration.
    #[error("registration refused: {}", .0.error)]
    Refused(Box<ErrorResponse>),
    /// What answers is no hive.
    #[error("no hive at {server}: it answered with status {status}")]
    NotAHive {
        /// The address.
        server: String,
        /// What it answered with.
        status: u16,
    },
    /// The server accepts none of the stored keys, and there is no token.
    #[error("no stored key is accepted")]
    KeyRejected,
    /// The local status pages cannot be served.
    #[error("cannot listen on {address}")]
    LocalApi {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The system's root certificates cannot be used.
    #[error("cannot load root certificates")]
    Certificates(#[source] io::Error),
}

impl Error {
    /// The exit code of the binary: 2 for settings to correct here, 3 for a refusal of the server, 1 for the rest.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Name(_)
            | Self::Setting { .. }
            | Self::TokenMissing
            | Self::TokenPlaceholder
            | Self::TokenMalformed
            | Self::TokenFile { .. }
            | Self::DataDir { .. }
            | Self::DataDirInUse(_)
            | Self::StoredKey { .. }
            | Self::LocalApi { .. } => 2,
            Self::Refused(_) | Self::NotAHive { .. } | Self::KeyRejected => 3,
            Self::Certificates(_) => 1,
        }
    }
}
