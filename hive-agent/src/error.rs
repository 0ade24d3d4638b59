//! The errors that end an agent.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use hive_wire::InvalidName;
use hive_wire::satellite_api::ErrorResponse;

/// An error that ends an agent. A server that cannot be reached is not one: it is retried.
///
/// [`explain`](crate::messages::explain) turns each into a message for people, with what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The satellite's name is invalid.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Another setting is invalid.
    #[error("invalid {setting}: {reason}")]
    Setting {
        /// The flag.
        setting: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// There is neither a stored key nor a token.
    #[error("no registration token")]
    TokenMissing,
    /// The token is a placeholder from an example.
    #[error("registration token is a placeholder")]
    TokenPlaceholder,
    /// The token does not have the format of a token.
    #[error("malformed registration token")]
    TokenMalformed,
    /// The token file cannot be read.
    #[error("cannot read registration token {}", path.display())]
    TokenFile {
        /// The file; `-` is standard input.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The data directory cannot be written.
    #[error("cannot write data directory {}", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another agent uses the same data directory.
    #[error("data directory {} is in use", .0.display())]
    DataDirInUse(PathBuf),
    /// The stored key exists and cannot be read.
    #[error("cannot read stored key {}", path.display())]
    StoredKey {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The server refused the registration.
    #[error("registration refused: {}", .0.error)]
    Refused(Box<ErrorResponse>),
    /// The server is not a hive.
    #[error("no hive at {server}: it answered with status {status}")]
    NotAHive {
        /// The address of the server.
        server: String,
        /// The status of its answer.
        status: u16,
    },
    /// The server accepts none of the stored keys, and there is no token.
    #[error("no stored key is accepted")]
    KeyRejected,
    /// The local status pages cannot be served.
    #[error("cannot listen on {address}")]
    LocalApi {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The system's root certificates cannot be loaded.
    #[error("cannot load root certificates")]
    Certificates(#[source] io::Error),
}

impl Error {
    /// The exit code of the binary: 2 for a wrong setting, 3 for a refusal by the server, 1 for anything else.
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
