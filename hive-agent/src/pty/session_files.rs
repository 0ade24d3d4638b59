//! Which terminals are open, on disk: an agent that starts after one that was killed ends what is left of its terminals.

use std::fs;
use std::path::PathBuf;

use hive_wire::SessionId;
use tracing::warn;

use crate::storage::files;

/// A directory with an empty file for each open terminal, named by its id.
#[derive(Debug)]
pub(super) struct OpenList {
    dir: PathBuf,
}

impl OpenList {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Notes a terminal. A disk that takes no file does not keep it from opening: it may be opened to make room there.
    pub(super) fn insert(&self, id: SessionId) {
        let noted = files::create_private_dir(&self.dir)
            .and_then(|()| files::private_file().write(true).open(self.dir.join(id.to_string())));
        if let Err(error) = noted {
            warn!(session.id = %id, %error, "cannot note an open terminal; should this agent be killed, its processes are not found");
        }
    }

    /// Removes a terminal that has ended.
    pub(super) fn remove(&self, id: SessionId) {
        // It is not there where it could not be noted.
        fs::remove_file(self.dir.join(id.to_string())).ok();
    }

    /// Lists those that are noted.
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
    fn a_terminal_is_listed_while_it_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let open = OpenList::new(dir.path().join("sessions"));
        assert_eq!(open.list(), []);
        open.insert(session_id(1));
        open.insert(session_id(1));
        open.insert(session_id(2));
        open.remove(session_id(1));
        open.remove(session_id(3));
        assert_eq!(OpenList::new(dir.path().join("sessions")).list(), [session_id(2)]);
    }
}
