//! Names that are in use. A name is the one thing that tells a caller of another team that something exists: it is `Conflict`, without
//! saying where. Each attempt is recorded.

use super::Satellites;
use crate::audit::AuditDraft;
use crate::{Error, Result};

impl Satellites {
    /// Records an attempt at a name that is in use, and returns the error of it. The server limits how many a caller
    /// may find.
    pub(super) async fn name_taken(&self, refused: AuditDraft, message: String) -> Result<Error> {
        self.audit.audit_append(refused).await?;
        Ok(Error::Conflict(message))
    }
}
