//! Raw mode of the user's terminal. The terminal is restored at the end, after an error and after a panic.
//!
//! The saved state is a static, because the panic hook has no other access to it.

use std::fs::File;
use std::io::{self, Write as _};
use std::panic;
use std::sync::{Mutex, Once, PoisonError, TryLockError};

use nix::sys::termios::{self, SetArg, Termios};

/// What restores the terminal, while it is in raw mode.
static SAVED: Mutex<Option<SavedTermios>> = Mutex::new(None);

struct SavedTermios {
    /// The terminal that is typed on, and its original modes.
    keyboard: Option<(File, Termios)>,
    /// The terminal that is written to.
    screen: Option<File>,
    /// The escape sequences that undo the modes that the session has set.
    restore_sequence: String,
}

/// Restores the terminal when it is dropped.
#[derive(Debug)]
pub(super) struct RawModeGuard(());

impl RawModeGuard {
    /// Puts the terminal that is typed on into raw mode: keys come byte by byte and unchanged. The modes of `screen`
    /// stay.
    pub(super) fn enable(keyboard: Option<File>, screen: Option<File>) -> io::Result<Self> {
        // The hook is there before the modes change, and stays: it finds nothing saved once the guard is dropped.
        restore_on_panic();
        let keyboard = match keyboard {
            Some(terminal) => {
                let before = termios::tcgetattr(&terminal)?;
                make_raw(&terminal, &before)?;
                Some((terminal, before))
            }
            None => None,
        };
        *SAVED.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(SavedTermios { keyboard, screen, restore_sequence: String::new() });
        Ok(Self(()))
    }
}

impl Drop for RawModeGuard {
    fn drop(&mut self) {
        let saved = SAVED.lock().unwrap_or_else(PoisonError::into_inner).take();
        restore(saved);
    }
}

/// Puts the terminal into raw mode again. A shell that stopped this process has set its own modes.
pub(super) fn reapply() -> io::Result<()> {
    let saved = SAVED.lock().unwrap_or_else(PoisonError::into_inner);
    match saved.as_ref().and_then(|saved| saved.keyboard.as_ref()) {
        Some((terminal, before)) => make_raw(terminal, before),
        None => Ok(()),
    }
}

/// Sets the escape sequences that are written when the terminal is restored.
pub(super) fn set_restore_sequence(restore_sequence: String) {
    if let Some(saved) = SAVED.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        saved.restore_sequence = restore_sequence;
    }
}

fn make_raw(terminal: &File, before: &Termios) -> io::Result<()> {
    let mut raw = before.clone();
    termios::cfmakeraw(&mut raw);
    Ok(termios::tcsetattr(terminal, SetArg::TCSANOW, &raw)?)
}

/// Restores the terminal. Errors are ignored: the terminal may be gone.
fn restore(saved: Option<SavedTermios>) {
    let Some(SavedTermios { keyboard, screen, restore_sequence }) = saved else { return };
    if let Some(mut screen) = screen {
        // The file is non-blocking: a terminal that reads nothing loses the sequences, and does not block the exit.
        screen.write_all(restore_sequence.as_bytes()).ok();
    }
    if let Some((terminal, before)) = keyboard {
        termios::tcsetattr(&terminal, SetArg::TCSANOW, &before).ok();
    }
}

/// Restores the terminal before a panic is reported, so that the report is readable.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            // The thread that panics may hold the lock: to wait for it here would be a deadlock.
            let saved = match SAVED.try_lock() {
                Ok(mut saved) => saved.take(),
                Err(TryLockError::Poisoned(saved)) => saved.into_inner().take(),
                Err(TryLockError::WouldBlock) => None,
            };
            restore(saved);
            report(panic);
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::pty::openpty;
    use std::io::Read as _;
    use std::sync::MutexGuard;

    /// The saved state is one for the process: one test at a time.
    fn exclusive() -> MutexGuard<'static, ()> {
        static EXCLUSIVE: Mutex<()> = Mutex::new(());
        EXCLUSIVE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A terminal, and what reads its screen.
    fn terminal() -> (File, File) {
        let pty = openpty(None, None).unwrap();
        (pty.slave.into(), pty.master.into())
    }

    fn modes(terminal: &File) -> String {
        format!("{:?}", termios::tcgetattr(terminal).unwrap())
    }

    #[test]
    fn a_terminal_is_restored() {
        let _alone = exclusive();
        let (terminal, mut reader) = terminal();
        let before = modes(&terminal);
        let raw_mode =
            RawModeGuard::enable(Some(terminal.try_clone().unwrap()), Some(terminal.try_clone().unwrap())).unwrap();
        assert_ne!(modes(&terminal), before);
        set_restore_sequence("\x1b[?1049l".into());
        drop(raw_mode);
        assert_eq!(modes(&terminal), before);
        let mut undone = [0; 8];
        reader.read_exact(&mut undone).unwrap();
        assert_eq!(&undone, b"\x1b[?1049l");
    }

    #[test]
    fn a_panic_restores_the_terminal_before_it_is_reported() {
        let _alone = exclusive();
        let (terminal, _reader) = terminal();
        let before = modes(&terminal);
        let raw_mode = RawModeGuard::enable(Some(terminal.try_clone().unwrap()), None).unwrap();
        assert_ne!(modes(&terminal), before);
        panic::catch_unwind(|| panic!("as it may happen")).unwrap_err();
        assert_eq!(modes(&terminal), before);
        drop(raw_mode);
        assert_eq!(modes(&terminal), before);
    }

    #[test]
    fn raw_mode_is_applied_again_after_a_stop() {
        let _alone = exclusive();
        let (terminal, _reader) = terminal();
        let before = termios::tcgetattr(&terminal).unwrap();
        let _loan = RawModeGuard::enable(Some(terminal.try_clone().unwrap()), None).unwrap();
        let raw = modes(&terminal);
        termios::tcsetattr(&terminal, SetArg::TCSANOW, &before).unwrap();
        reapply().unwrap();
        assert_eq!(modes(&terminal), raw);
    }
}
