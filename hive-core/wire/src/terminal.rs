//! The size and the end of a terminal, which the REST interface and the link share.

use serde::{Deserialize, Serialize};

use crate::code::ErrorBody;
use crate::open_enum;

/// The most columns or rows of a terminal.
pub const MAX_SCREEN: u16 = 1000;

open_enum! {
    /// Why a terminal ended.
    pub enum EndReason {
        /// Its program exited.
        Exited = "exited",
        /// A caller ended it, or its satellite stopped.
        Killed = "killed",
        /// It was idle for too long, or its satellite was without a link for too long.
        Timeout = "timeout",
        /// It could not be opened.
        Error = "error",
        /// Its satellite does not know of it any more.
        Lost = "lost",
    }
}

/// How a terminal ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionEnd {
    /// Why.
    pub reason: EndReason,
    /// The program's exit code, 128 + the number where a signal ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// What went wrong, where it could not be opened or was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
}

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Size {
    /// Columns, 1 to [`MAX_SCREEN`].
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1000))]
    pub cols: u16,
    /// Rows, 1 to [`MAX_SCREEN`].
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1000))]
    pub rows: u16,
}

impl Default for Size {
    fn default() -> Self {
        Self { cols: 80, rows: 24 }
    }
}
