//! The user's terminal, lent to a session and given back as it was: at the end, after an error and after a panic.
//!
//! What there is to give back is known to the whole process, because a panic hook has nothing else to go by.

use std::fs::File;
use std::io::{self, Write as _};
use std::panic;
use std::sync::{Mutex, Once, PoisonError, TryLockError};

use nix::sys::termios::{self, SetArg, Termios};

/// What has been lent.
static LENT: Mutex<Option<Lent>> = Mutex::new(None);

struct Lent {
    /// The terminal that is typed on, and its modes as they were.
    keyboard: Option<(File, Termios)>,
    /// The terminal that is written to.
    screen: Option<File>,
    /// What brings it out of the modes the session has brought it into.
    undo: String,
}

/// The terminal is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Loan(());

impl Loan {
    /// Takes the terminal. What is typed comes byte by byte and unchanged from here on; a screen alone stays as it is.
    pub(super) fn take(keyboard: Option<File>, screen: Option<File>) -> io::Result<Self> {
        give_back_on_panic();
        let keyboard = match keyboard {
            Some(terminal) => {
                let before = termios::tcgetattr(&terminal)?;
                make_raw(&terminal, &before)?;
                Some((terminal, before))
            }
            None => None,
        };
        *LENT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Lent { keyboard, screen, undo: String::new() });
        Ok(Self(()))
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let lent = LENT.lock().unwrap_or_else(PoisonError::into_inner).take();
        give_back(lent);
    }
}

/// Takes what is lent once more: who stopped and continued us has given it back.
pub(super) fn renew() -> io::Result<()> {
    let lent = LENT.lock().unwrap_or_else(PoisonError::into_inner);
    match lent.as_ref().and_then(|lent| lent.keyboard.as_ref()) {
        Some((terminal, before)) => make_raw(terminal, before),
        None => Ok(()),
    }
}

/// Notes what brings the screen back.
pub(super) fn undo_with(undo: String) {
    if let Some(lent) = LENT.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        lent.undo = undo;
    }
}

fn make_raw(terminal: &File, before: &Termios) -> io::Result<()> {
    let mut raw = before.clone();
    termios::cfmakeraw(&mut raw);
    Ok(termios::tcsetattr(terminal, SetArg::TCSANOW, &raw)?)
}

/// Gives back what was lent. A terminal that reads nothing is not waited for.
fn give_back(lent: Option<Lent>) {
    let Some(Lent { keyboard, screen, undo }) = lent else { return };
    if let Some(mut screen) = screen {
        screen.write_all(undo.as_bytes()).ok();
    }
    if let Some((terminal, before)) = keyboard {
        termios::tcsetattr(&terminal, SetArg::TCSANOW, &before).ok();
    }
}

/// Sees to it that a panic is told on a terminal that can be read.
fn give_back_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            // Who panicked may hold the lock.
            let lent = match LENT.try_lock() {
                Ok(mut lent) => lent.take(),
                Err(TryLockError::Poisoned(lent)) => lent.into_inner().take(),
                Err(TryLockError::WouldBlock) => None,
            };
            give_back(lent);
            tell(panic);
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::pty::openpty;
    use std::io::Read as _;
    use std::sync::MutexGuard;

    /// The loan is the process's: one test at a time.
    fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn a_terminal_is_given_back_as_it_was() {
        let _alone = alone();
        let (terminal, mut reader) = terminal();
        let before = modes(&terminal);
        let loan = Loan::take(Some(terminal.try_clone().unwrap()), Some(terminal.try_clone().unwrap())).unwrap();
        assert_ne!(modes(&terminal), before);
        undo_with("\x1b[?1049l".into());
        drop(loan);
        assert_eq!(modes(&terminal), before);
        let mut undone = [0; 8];
        reader.read_exact(&mut undone).unwrap();
        assert_eq!(&undone, b"\x1b[?1049l");
    }

    #[test]
    fn a_panic_gives_the_terminal_back_before_it_is_told() {
        let _alone = alone();
        let (terminal, _reader) = terminal();
        let before = modes(&terminal);
        let loan = Loan::take(Some(terminal.try_clone().unwrap()), None).unwrap();
        assert_ne!(modes(&terminal), before);
        panic::catch_unwind(|| panic!("as it may happen")).unwrap_err();
        assert_eq!(modes(&terminal), before);
        drop(loan);
        assert_eq!(modes(&terminal), before);
    }

    #[test]
    fn a_terminal_that_was_given_back_meanwhile_is_taken_again() {
        let _alone = alone();
        let (terminal, _reader) = terminal();
        let before = termios::tcgetattr(&terminal).unwrap();
        let _loan = Loan::take(Some(terminal.try_clone().unwrap()), None).unwrap();
        let raw = modes(&terminal);
        termios::tcsetattr(&terminal, SetArg::TCSANOW, &before).unwrap();
        renew().unwrap();
        assert_eq!(modes(&terminal), raw);
    }
}
