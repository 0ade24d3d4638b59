//! Terminals: the request to open one, and the report that it runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::frame::StreamId;
use crate::terminal::Size;
use crate::{SessionId, ViewerId};

/// A terminal to open.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PtySpec {
    /// The terminal.
    pub session_id: SessionId,
    /// The path of a program to run as a login shell; the user's own unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// Its size.
    #[serde(flatten)]
    pub size: Size,
    /// Added to its environment. Values may be secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Seconds without input and output after which it is ended; unlimited unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_seconds: Option<u64>,
    /// Seconds for which it outlives the link.
    pub linger_seconds: u64,
}

impl std::fmt::Debug for PtySpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PtySpec")
            .field("session_id", &self.session_id)
            .field("shell", &self.shell)
            .field("size", &self.size)
            // The names alone: values may be secrets.
            .field("env", &self.env.keys())
            .finish_non_exhaustive()
    }
}

/// A running terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PtyStarted {
    /// The terminal.
    pub session_id: SessionId,
    /// The stream of its output, and of its input the other way; odd.
    pub stream: StreamId,
    /// The offset of the first byte of output that will be sent.
    pub output: u64,
    /// How many bytes of input the satellite has: the offset of the next.
    pub input: u64,
    /// The first byte of output that a viewer still needed when the last link broke, if that is not long ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<u64>,
    /// The viewer whose input came last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer: Option<ViewerId>,
    /// Its size.
    #[serde(flatten)]
    pub size: Size,
}
