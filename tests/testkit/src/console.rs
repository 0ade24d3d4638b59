//! A program on a terminal of its own, as a person in front of it would use it.
//!
//! Keys are typed, the screen is read off an emulator, and every byte the program wrote is kept beside it. The terminal
//! outlives the program, so that what a program left it in can be looked at.

use std::num::NonZeroU16;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, Termios, tcgetattr};
use nix::unistd::Pid;
use pty_process::{OwnedReadPty, OwnedWritePty, Pts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

use hive_test_peers::PATIENCE;

/// How long a program that has ended may still be heard: what it wrote last is on its way.
const ECHO: Duration = Duration::from_millis(200);

/// A program on a terminal. It ends with its value.
pub struct Console {
    keys: OwnedWritePty,
    terminal: Pts,
    child: Child,
    modes_before: Termios,
    seen: Arc<Mutex<Seen>>,
    changes: watch::Receiver<u64>,
    is_reading: watch::Sender<bool>,
    _reader: JoinSet<()>,
}

/// What the program has written.
struct Seen {
    emulator: vt100::Parser,
    bytes: Vec<u8>,
}

impl Console {
    /// Starts a program on a terminal of this size.
    pub fn start(command: Command, cols: u16, rows: u16) -> Self {
        let (pty, terminal) = pty_process::open().unwrap();
        pty.resize(pty_process::Size::new(rows, cols)).unwrap();
        let modes_before = tcgetattr(terminal.as_fd()).unwrap();
        // The terminal is borrowed, so that its modes can still be read after the program has ended.
        let child = pty_process::Command::from(command).kill_on_drop(true).spawn_borrowed(&terminal);
        let emulator = vt100::Parser::new(some(rows), some(cols), 0);
        let seen = Arc::new(Mutex::new(Seen { emulator, bytes: Vec::new() }));
        let (from_program, keys) = pty.into_split();
        let (changed, changes) = watch::channel(0);
        let is_reading = watch::Sender::new(true);
        let mut reader = JoinSet::new();
        reader.spawn(read(from_program, seen.clone(), changed, is_reading.subscribe()));
        Self { keys, terminal, child: child.unwrap(), modes_before, seen, changes, is_reading, _reader: reader }
    }

    /// Types.
    pub async fn type_keys(&mut self, keys: impl AsRef<[u8]>) {
        let typing = self.keys.write_all(keys.as_ref());
        tokio::time::timeout(PATIENCE, typing).await.expect("the program reads what is typed").unwrap();
    }

    /// Gives the terminal another size, and tells the program.
    pub fn resize(&self, cols: u16, rows: u16) {
        // The emulator first: the program may redraw before the next line is reached.
        self.with_seen(|seen| seen.emulator.set_size(some(rows), some(cols)));
        self.keys.resize(pty_process::Size::new(rows, cols)).unwrap();
    }

    /// Stops reading what the program writes, as a stopped window does; or goes on.
    pub fn read(&self, is_reading: bool) {
        self.is_reading.send_replace(is_reading);
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// The program's number; panics once it was waited for.
    pub fn pid(&self) -> i32 {
        self.child.id().expect("the program runs") as i32
    }

    /// The modes the terminal's line discipline is in now.
    pub fn modes(&self) -> Termios {
        tcgetattr(self.terminal.as_fd()).unwrap()
    }

    /// Whether the terminal shows what is typed by itself.
    pub fn echoes(&self) -> bool {
        self.modes().local_flags.contains(LocalFlags::ECHO)
    }

    /// The modes it was in before the program began.
    pub fn modes_before(&self) -> &Termios {
        &self.modes_before
    }

    /// What stands on the screen, without the blanks at the ends of its lines.
    pub fn text(&self) -> String {
        self.with_seen(|seen| text_of(seen.emulator.screen()))
    }

    /// All bytes the program has written.
    pub fn bytes(&self) -> Vec<u8> {
        self.with_seen(|seen| seen.bytes.clone())
    }

    /// Waits until the screen shows something; panics with what it shows instead.
    pub async fn until(&self, what: &str, mut shows: impl FnMut(&vt100::Screen) -> bool) {
        self.until_seen(what, |seen| shows(seen.emulator.screen())).await;
    }

    /// Waits until this text stands on the screen.
    pub async fn until_text(&self, text: &str) {
        self.until(&format!("the screen shows {text:?}"), |screen| text_of(screen).contains(text)).await;
    }

    /// Waits until the program has written these bytes, wherever they are on the screen now.
    pub async fn until_bytes(&self, bytes: &[u8]) {
        let what = format!("{:?} was written", String::from_utf8_lossy(bytes));
        let mut searched = 0;
        self.until_seen(&what, |seen| {
            let is_there = holds(&seen.bytes[searched..], bytes);
            // The bytes may begin in what was seen and end in what comes next.
            searched = seen.bytes.len().saturating_sub(bytes.len());
            is_there
        })
        .await;
    }

    async fn until_seen(&self, what: &str, mut holds: impl FnMut(&Seen) -> bool) {
        let mut changes = self.changes.clone();
        let waiting = changes.wait_for(|_| self.with_seen(|seen| holds(seen)));
        let outcome = tokio::time::timeout(PATIENCE, waiting).await;
        let is_there = outcome.is_ok_and(|change| change.is_ok());
        assert!(is_there, "waited in vain until {what}; the screen:\n{}", self.text());
    }

    /// Waits for the program's end; its exit code, 128 + the number of the signal that ended it.
    pub async fn exit_code(&mut self) -> i32 {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status =
            ended.unwrap_or_else(|_| panic!("the program does not end; the screen:\n{}", self.text())).unwrap();
        // The process has ended; what it wrote last may still be in the terminal.
        self.quiet().await;
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        status.code().or_else(|| Some(128 + signal?)).expect("it exited or was ended by a signal")
    }

    /// Waits until nothing more is written.
    async fn quiet(&self) {
        let mut changes = self.changes.clone();
        changes.mark_unchanged();
        while tokio::time::timeout(ECHO, changes.changed()).await.is_ok_and(|change| change.is_ok()) {}
    }

    fn with_seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn read(
    mut from_program: OwnedReadPty,
    seen: Arc<Mutex<Seen>>,
    changed: watch::Sender<u64>,
    mut is_reading: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while is_reading.wait_for(|is_reading| *is_reading).await.is_ok() {
        let Ok(len @ 1..) = from_program.read(&mut buffer).await else { return };
        {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.emulator.process(&buffer[..len]);
            seen.bytes.extend_from_slice(&buffer[..len]);
        }
        changed.send_modify(|changes| *changes += 1);
    }
}

fn text_of(screen: &vt100::Screen) -> String {
    screen.contents().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn some(size: u16) -> NonZeroU16 {
    NonZeroU16::new(size).expect("a terminal has columns and rows")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str) -> Console {
        let mut command = Command::new("/bin/sh");
        command.env("TERM", "xterm-256color").args(["-c", line]);
        Console::start(command, 80, 24)
    }

    #[tokio::test]
    async fn what_a_program_draws_stands_on_the_screen() {
        let mut console = shell(r"printf '\033[5;10Hhere\033[1;1Hthere\n'; read line; echo got $line; exit 3");
        console
            .until("both words stand where they were put", |screen| {
                screen.contents_between(4, 9, 4, 13) == "here" && screen.contents().starts_with("there")
            })
            .await;
        console.type_keys("a line\r").await;
        assert_eq!(console.exit_code().await, 3);
        assert!(console.text().contains("got a line"), "{}", console.text());
        assert!(holds(&console.bytes(), b"\x1b[5;10H"));
    }

    #[tokio::test]
    async fn a_resize_reaches_the_program() {
        let console = shell("trap 'stty size' WINCH; echo ready; while :; do sleep 0.01; done");
        console.until_text("ready").await;
        console.resize(132, 43);
        console.until_text("43 132").await;
    }

    #[tokio::test]
    async fn the_modes_outlive_the_program() {
        let mut console = shell("read line; stty raw -echo");
        console.type_keys("\r").await;
        assert_eq!(console.exit_code().await, 0);
        assert_ne!(console.modes(), *console.modes_before());
    }

    #[tokio::test]
    async fn a_program_waits_for_a_screen_that_does_not_read() {
        let console = shell("yes | head -c 2000000; sleep 0.1; echo; echo done");
        console.read(false);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(console.bytes().len() < 1_000_000);
        console.read(true);
        console.until_bytes(b"done").await;
    }
}
