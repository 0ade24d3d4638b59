//! The loop between a user's terminal and a session.
//!
//! Nothing in it waits for one side alone: a screen that reads nothing stops no keystroke, and no broken link stops `~.`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use hive_core::session::{SessionManager, Terminal, TerminalEvent};
use hive_core::wire::SessionId;
use hive_core::wire::session::{Control, ToViewer};
use tokio::time::{Instant, sleep_until};

use super::ending::EndOfInput;
use super::escapes::{Escapes, HELP, Order, Typed};
use super::keyboard::Keyboard;
use super::notices;
use super::outcome::ViewOutcome;
use super::raw;
use super::screen::{Screen, Written};
use super::signals::{Signal, Signals};
use super::tty;
use crate::failure::{Failure, Result};

/// Keystrokes read at once.
const READ: usize = 16 * 1024;
/// Bytes of output that may wait for the screen of who types: more than a hive sends before it hears of them, so that
/// what is typed goes out whatever the screen does.
const MAX_BEHIND: usize = 2 * 1024 * 1024;
/// The same for who only reads, and has nothing to say: the rest waits with the hive, which leaves out what is too much.
const MAX_READER_BEHIND: usize = 128 * 1024;
/// How long what was typed in front of `~.` may take to be with the satellite, and the keyboard to be let go.
const GOODBYE: Duration = Duration::from_secs(2);
/// When it is looked again whether there is room for keys: that the satellite has some makes no event.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How long a screen may take for our last words.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What a view consists of.
pub(super) struct Parts {
    pub(super) hive: Arc<dyn SessionManager>,
    pub(super) terminal: Terminal,
    pub(super) keyboard: Keyboard,
    pub(super) screen: Screen,
    pub(super) signals: Signals,
    pub(super) is_read_only: bool,
    pub(super) at_end: AtEnd,
}

/// What becomes of a session when a keyboard that is no terminal has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtEnd {
    /// It gets the end of its input, and ends by that.
    End,
    /// It goes on, and is looked at.
    Stay,
}

/// One user in front of one session.
pub(super) struct View {
    parts: Parts,
    id: SessionId,
    escapes: Escapes,
    /// Who had the keyboard when that was last said.
    control: Control,
    /// Who asked for the keyboard last.
    asked: Option<u32>,
    is_away: bool,
    /// Whether it was said why keys go nowhere.
    is_hinted: bool,
    ending: Option<Ending>,
    /// The last byte that was read from a keyboard that is no terminal.
    last_key: Option<u8>,
    /// What ends the session, once that keyboard has ended.
    end_of_input: Option<EndOfInput>,
}

type Ending = Pin<Box<dyn Future<Output = hive_core::Result<()>> + Send>>;

impl View {
    pub(super) fn new(parts: Parts) -> Self {
        let (id, control) = (parts.terminal.session().id, parts.terminal.control().clone());
        Self {
            parts,
            id,
            escapes: Escapes::default(),
            control,
            asked: None,
            is_away: false,
            is_hinted: false,
            ending: None,
            last_key: None,
            end_of_input: None,
        }
    }

    /// Goes on until the session has ended or the user leaves.
    pub(super) async fn run(mut self) -> Result<ViewOutcome> {
        let left = match self.begin() {
            Some(left) => Ok(left),
            None => self.live().await,
        };
        match &left {
            Ok(ViewOutcome::Ended(_) | ViewOutcome::Refused(_)) => self.show_the_rest().await?,
            Ok(ViewOutcome::Detached | ViewOutcome::Signal(_)) | Err(_) => self.say_goodbye().await,
        }
        let satellite = self.parts.terminal.session().satellite_name.clone();
        let sentence = left.as_ref().ok().and_then(|left| notices::left(satellite.as_str(), self.id, left));
        self.parts.screen.leave(sentence.as_deref());
        let last_words = tokio::time::timeout(LAST_WORDS, self.parts.screen.write_all()).await;
        if let Ok(Ok(written)) = last_words {
            self.on_written(written);
            raw::undo_with(String::new());
        }
        left
    }

    /// Says who else has the keyboard, behind a first event that may clear the screen.
    fn begin(&mut self) -> Option<ViewOutcome> {
        let first = self.parts.terminal.next().now_or_never();
        if let Some(left) = first.and_then(|event| self.on_event(event)) {
            return Some(left);
        }
        if !self.control.is_mine {
            self.say(&notices::holder(&self.control.clone(), self.parts.is_read_only));
        }
        None
    }

    async fn live(&mut self) -> Result<ViewOutcome> {
        let mut keys = vec![0; READ];
        loop {
            let room = self.keys_wanted().min(READ);
            let is_full = room == 0 && self.parts.terminal.control().is_mine;
            let is_behind = self.parts.screen.is_behind();
            let may_hear = self.parts.screen.len() < self.may_be_behind();
            let due = self.end_of_input.as_ref().map(EndOfInput::due);
            let Parts { terminal, keyboard, screen, signals, .. } = &mut self.parts;
            let left = tokio::select! {
                biased;
                signal = signals.next() => self.on_signal(signal)?,
                read = keyboard.read(&mut keys[..room]), if room > 0 => self.on_read(read.ok().map(|len| &keys[..len])),
                ended = until_ended(&mut self.ending) => self.on_end_asked(ended),
                written = screen.write(), if is_behind => {
                    self.on_written(written.map_err(Failure::Output)?);
                    None
                }
                event = terminal.next(), if may_hear => self.on_event(event),
                () = tokio::time::sleep(LOOK_AGAIN), if is_full => None,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.end_input(),
            };
            if let Some(left) = left {
                return Ok(left);
            }
        }
    }

    /// How many keystrokes can be used now. A person's are read in any case: there may be an order among them.
    fn keys_wanted(&self) -> usize {
        let Parts { terminal, keyboard, .. } = &self.parts;
        match (keyboard.is_terminal(), terminal.control().is_mine) {
            (true, false) => READ,
            // A tilde may have been held back.
            (_, true) => terminal.room().saturating_sub(1),
            (false, false) => 0,
        }
    }

    fn may_be_behind(&self) -> usize {
        if self.parts.terminal.control().is_mine { MAX_BEHIND } else { MAX_READER_BEHIND }
    }

    fn on_signal(&mut self, signal: Signal) -> Result<Option<ViewOutcome>> {
        match signal {
            Signal::Leave(number) => return Ok(Some(ViewOutcome::Signal(number))),
            Signal::Continued => raw::renew().map_err(Failure::Terminal)?,
            Signal::Resized => {}
        }
        if let Some(size) = tty::user_size() {
            self.parts.terminal.resize(size);
        }
        Ok(None)
    }

    /// Takes what was read from the keyboard; `None` where that broke.
    fn on_read(&mut self, read: Option<&[u8]>) -> Option<ViewOutcome> {
        match (read, self.parts.keyboard.is_terminal()) {
            (Some([]) | None, is_terminal) => {
                self.parts.keyboard = Keyboard::Ended;
                if !is_terminal && self.parts.at_end == AtEnd::End {
                    self.end_of_input = Some(EndOfInput::behind(self.last_key, Instant::now()));
                }
                // Whose terminal is gone has hung up.
                is_terminal.then_some(ViewOutcome::Signal(HANGUP))
            }
            (Some(keys), true) => {
                for typed in self.escapes.read(keys) {
                    match typed {
                        Typed::Keys(keys) => self.type_keys(keys),
                        Typed::Order(order) => {
                            if self.obey(order) {
                                return Some(ViewOutcome::Detached);
                            }
                        }
                    }
                }
                None
            }
            (Some(keys), false) => {
                self.last_key = keys.last().copied();
                self.type_keys(Bytes::copy_from_slice(keys));
                None
            }
        }
    }

    fn type_keys(&mut self, keys: Bytes) {
        // A terminal answers what a program asks of it by itself; nobody typed that.
        let is_answer = keys.first() == Some(&0x1b);
        let is_typed = self.parts.terminal.write(keys).is_ok();
        if is_typed || is_answer {
            return;
        }
        self.parts.screen.ring();
        if !self.is_hinted {
            self.is_hinted = true;
            let hint = notices::holder(self.parts.terminal.control(), self.parts.is_read_only);
            self.say(&hint);
        }
    }

    /// Presses the key that ends the session's input, where all that was typed before has arrived.
    fn end_input(&mut self) -> Option<ViewOutcome> {
        let terminal = &mut self.parts.terminal;
        let can_type = terminal.control().is_mine && terminal.unapplied() == 0;
        if let Some(end) = &mut self.end_of_input {
            let now = Instant::now();
            if can_type {
                // With nothing under way there is room for two bytes.
                drop(terminal.write(Bytes::from_static(end.keys(now))));
            } else {
                end.wait(now);
            }
        }
        None
    }

    /// Does what the user wants of us; says whether that is to leave.
    fn obey(&mut self, order: Order) -> bool {
        match order {
            Order::Detach => return true,
            Order::Help => self.say(HELP),
            Order::End => self.end(),
            Order::Take | Order::Ask => self.want_control(order),
            Order::Grant => match self.asked.take() {
                Some(viewer) => self.parts.terminal.grant_control(viewer),
                None => self.say("nobody has asked for the keyboard"),
            },
        }
        false
    }

    fn end(&mut self) {
        if self.ending.is_none() {
            self.say("ending the session …");
            let (hive, id) = (self.parts.hive.clone(), self.id);
            self.ending = Some(Box::pin(async move { hive.terminate(id).await }));
        }
    }

    fn want_control(&mut self, order: Order) {
        let control = self.parts.terminal.control();
        if control.is_mine {
            self.say("you have the keyboard");
        } else if self.parts.is_read_only {
            let hint = notices::holder(control, true);
            self.say(&hint);
        } else if order == Order::Take {
            self.parts.terminal.take_control();
        } else {
            let who = control.holder.clone().unwrap_or_else(|| "the hive".into());
            self.parts.terminal.request_control();
            self.say(&format!("asked {who} for the keyboard"));
        }
    }

    fn on_written(&mut self, written: Written) {
        if let Some(undo) = written.undo {
            raw::undo_with(undo);
        }
        if let Some(end) = written.end {
            self.parts.terminal.ack(end);
        }
    }

    fn on_event(&mut self, event: Option<TerminalEvent>) -> Option<ViewOutcome> {
        match event {
            Some(TerminalEvent::Output { end, data }) => {
                self.parts.screen.show(data, end);
                return None;
            }
            Some(TerminalEvent::Gap { from, to }) => self.say(&notices::gap(from, to)),
            Some(TerminalEvent::Reset { modes }) => self.parts.screen.reset(&modes),
            Some(TerminalEvent::Disconnected { cause, .. }) => {
                if !std::mem::replace(&mut self.is_away, true) {
                    self.say(&notices::away(&cause));
                }
            }
            Some(TerminalEvent::Reconnected { lost_input }) => {
                self.is_away = false;
                self.say(&notices::back(lost_input));
            }
            Some(TerminalEvent::Message(told)) => self.on_told(told),
            Some(TerminalEvent::Ended(end)) => return Some(ViewOutcome::Ended(end)),
            Some(TerminalEvent::Refused(error)) => return Some(ViewOutcome::Refused(error)),
            None => return Some(ViewOutcome::Detached),
        }
        self.say_who_has_control();
        None
    }

    fn on_told(&mut self, told: ToViewer) {
        match told {
            ToViewer::ControlRequested { by, name } => {
                self.asked = Some(by);
                self.say(&notices::requested(&name));
            }
            ToViewer::Link { online } => {
                let sentence = notices::link(self.parts.terminal.session().satellite_name.as_str(), online);
                self.say(&sentence);
            }
            // Who has the keyboard is said below, and the size of another's screen concerns nobody here.
            _ => {}
        }
    }

    fn say_who_has_control(&mut self) {
        let now = self.parts.terminal.control();
        if let Some(sentence) = notices::control(&self.control, now, self.parts.is_read_only) {
            self.control = now.clone();
            self.is_hinted = false;
            self.say(&sentence);
        }
    }

    fn on_end_asked(&mut self, ended: hive_core::Result<()>) -> Option<ViewOutcome> {
        self.ending = None;
        if let Err(error) = ended {
            self.say(&format!("cannot end the session: {}", Failure::from(error)));
        }
        None
    }

    fn say(&mut self, sentence: &str) {
        self.parts.screen.say(sentence);
    }

    /// Shows what is left of the output, unless we are to go.
    async fn show_the_rest(&mut self) -> Result<()> {
        let Parts { screen, signals, .. } = &mut self.parts;
        screen.end_output();
        let written = tokio::select! {
            written = screen.write_all() => written.map_err(Failure::Output)?,
            _ = signals.leave() => return Ok(()),
        };
        self.on_written(written);
        Ok(())
    }

    /// Leaves the keyboard to others at once, and sees what was typed before arrive: the hive's answer comes behind it.
    ///
    /// [`Terminal::leave`] does not wait for the answer. A socket that is closed while output comes in throws away what
    /// it has not sent.
    async fn say_goodbye(&mut self) {
        let terminal = &mut self.parts.terminal;
        if !terminal.control().is_mine {
            return;
        }
        terminal.release_control();
        let saying = async {
            while terminal.control().is_mine && !terminal.is_disconnected() && terminal.next().await.is_some() {}
        };
        tokio::time::timeout(GOODBYE, saying).await.ok();
    }
}

/// The number of SIGHUP.
const HANGUP: i32 = nix::sys::signal::Signal::SIGHUP as i32;

/// Waits until the session was ended as asked; for ever where nobody asked.
async fn until_ended(ending: &mut Option<Ending>) -> hive_core::Result<()> {
    match ending {
        Some(ending) => ending.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
