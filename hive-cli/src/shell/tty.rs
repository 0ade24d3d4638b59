//! Opens the user's terminal and reads its size.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use hive_core::wire::api::{MAX_SCREEN, Size};
use nix::fcntl::OFlag;
use nix::unistd::ttyname;

/// Opens the terminal behind a descriptor once more, non-blocking.
///
/// `O_NONBLOCK` belongs to the open file description, which stdin shares with the user's shell. Set there, it would
/// stay after this program has ended, and break the shell.
pub(super) fn open(shared: impl AsFd) -> io::Result<File> {
    let own = ttyname(shared).map_err(io::Error::from).and_then(|path| open_path(&path));
    // The name cannot be opened where the terminal belongs to another user, as after `su`, or to another mount
    // namespace.
    own.or_else(|_| open_path(Path::new("/dev/tty")))
}

fn open_path(path: &Path) -> io::Result<File> {
    // Without O_NOCTTY, a process without a controlling terminal would get this one, and its signals.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    OpenOptions::new().read(true).write(true).custom_flags(flags.bits()).open(path)
}

/// Returns the size of a terminal; `None` where it is none, or reports no size.
pub(super) fn size(terminal: impl AsFd) -> Option<Size> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    let is_known = size.ws_col > 0 && size.ws_row > 0;
    // The hive refuses sizes beyond MAX_SCREEN.
    is_known.then(|| Size { cols: size.ws_col.min(MAX_SCREEN), rows: size.ws_row.min(MAX_SCREEN) })
}

/// Returns the size of the user's terminal, if there is one.
pub(crate) fn user_size() -> Option<Size> {
    size(io::stdout()).or_else(|| size(io::stdin()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_terminal_has_no_size() {
        assert_eq!(size(File::open("/dev/null").unwrap()), None);
    }
}
