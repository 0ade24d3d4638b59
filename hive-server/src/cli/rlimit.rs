//! How many files this process may have open.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Takes as many open files as this process may have: each link is one, and 1,024 is what a shell usually starts with.
pub(super) fn allow_open_files() {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it was");
    }
}
