//! Files that name the open sessions, so that an agent that starts after a kill finds the processes that were left.

use std::fs;
use std::path::PathBuf;

use hive_wire::SessionId;
use tracing::warn;

use crate::storage::files;
use crate::system_error;

/// A directory with one empty file per open session, named by its id.
#[derive(Debug)]
pub(super) struct SessionFiles {
    dir: PathBuf,
}

impl SessionFiles {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Adds a session. If the disk is full the session opens all the same: somebody may need it to free space.
    pub(super) fn insert(&self, id: SessionId) {
        let written = files::create_private_dir(&self.dir)
            .and_then(|()| files::private_file().write(true).open(self.dir.join(id.to_string())));
        if let Err(error) = written {
            let cause = system_error::text(&error);
            warn!(session.id = %id, "the file of an open session cannot be written, so its processes are not found if this agent is killed: {cause}");
        }
    }

    /// Removes a session that has ended.
    pub(super) fn remove(&self, id: SessionId) {
        // There is no file if the disk was full.
        fs::remove_file(self.dir.join(id.to_string())).ok();
    }

    /// Lists the sessions.
    pub(super) fn list(&self) -> Vec<SessionId> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pty::tests::session_id;

    #[test]
    fn a_session_is_listed_while_it_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let open = SessionFiles::new(dir.path().join("sessions"));
        assert_eq!(open.list(), []);
        open.insert(session_id(1));
        open.insert(session_id(1));
        open.insert(session_id(2));
        open.remove(session_id(1));
        open.remove(session_id(3));
        assert_eq!(SessionFiles::new(dir.path().join("sessions")).list(), [session_id(2)]);
    }
}
