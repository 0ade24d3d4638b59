//! The user's terminal, opened anew.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use hive_core::wire::api::{MAX_SCREEN, Size};
use nix::fcntl::OFlag;
use nix::unistd::ttyname;

/// Opens the terminal behind a descriptor once more, never to be waited for.
///
/// It must be a description of our own: one with `O_NONBLOCK` on a shared stdin would not wait for the user's shell
/// either, once we are gone.
pub(super) fn open(shared: impl AsFd) -> io::Result<File> {
    let own = ttyname(shared).map_err(io::Error::from).and_then(|path| open_path(&path));
    // A terminal of another user, as after `su`, or of another mount namespace cannot be opened by its name.
    own.or_else(|_| open_path(Path::new("/dev/tty")))
}

fn open_path(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    OpenOptions::new().read(true).write(true).custom_flags(flags.bits()).open(path)
}

/// How large a terminal is; `None` where it is none, or does not know.
pub(super) fn size(terminal: impl AsFd) -> Option<Size> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    let is_known = size.ws_col > 0 && size.ws_row > 0;
    is_known.then(|| Size { cols: size.ws_col.min(MAX_SCREEN), rows: size.ws_row.min(MAX_SCREEN) })
}

/// How large the user's terminal is, where there is one.
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
