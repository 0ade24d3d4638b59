//! The loop between a user's terminal and a session.
//!
//! Nothing in it waits for one side alone: a screen that reads nothing stops no keystroke, and no broken link stops
//! `~.`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use hive_core::sessions::SessionManager;
use hive_core::terminal::{Terminal, TerminalEvent};
use hive_core::wire::SessionId;
use hive_core::wire::session::{Control, ToViewer};
use tokio::time::{Instant, sleep_until};

use super::end_of_input::EndOfInput;
use super::escapes::{EscapeCommand, EscapeParser, HELP, ParsedInput};
use super::key_input::KeyInput;
use super::notices;
use super::outcome::ViewOutcome;
use super::raw;
use super::screen::{ScreenWriter, WriteProgress};
use super::signals::{Signal, Signals};
use super::tty;
use crate::error::{CliError, Result};

/// The most bytes read from the keyboard at once.
const READ_BUFFER: usize = 16 * 1024;
/// Bytes of output that may wait for the screen of the writer. A hive sends less than this without an acknowledgement,
/// so the events of the session are always read, and with them the room for keys, even if the screen reads nothing.
const MAX_QUEUED_OUTPUT: usize = 2 * 1024 * 1024;
/// The same for a viewer that does not type. The rest waits at the hive, which leaves out output that a viewer reads
/// too slowly.
const MAX_QUEUED_OUTPUT_READ_ONLY: usize = 128 * 1024;
/// How long the input in front of `~.` and the release of the keyboard may take to be confirmed.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often the room for keys is checked while there is none. No event tells that the satellite has read some.
const ROOM_POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How long the terminal may take for the last message.
const FINAL_WRITE_TIMEOUT: Duration = Duration::from_millis(500);

/// The parts that a view connects.
pub(super) struct ViewParts {
    pub(super) hive: Arc<dyn SessionManager>,
    pub(super) terminal: Terminal,
    pub(super) input: KeyInput,
    pub(super) screen: ScreenWriter,
    pub(super) signals: Signals,
    pub(super) is_read_only: bool,
    pub(super) on_input_end: OnInputEnd,
}

/// What happens to a session when an input that is no terminal has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnInputEnd {
    /// The session gets the end of its input, by which its program ends.
    EndSession,
    /// The session goes on and is shown.
    KeepViewing,
}

/// Shows one session to one user.
pub(super) struct TerminalView {
    parts: ViewParts,
    id: SessionId,
    escapes: EscapeParser,
    /// Who had the keyboard when the user was last told.
    control: Control,
    /// The viewer that last asked for the keyboard.
    control_requester: Option<u32>,
    is_disconnected: bool,
    /// Whether the user was told that another viewer has the keyboard.
    has_hinted_control: bool,
    /// The call that ends the session, while it runs.
    terminate_call: Option<TerminateCall>,
    /// The last byte from an input that is no terminal.
    last_key: Option<u8>,
    /// Presses the end-of-input key, once such an input has ended.
    end_of_input: Option<EndOfInput>,
}

type TerminateCall = Pin<Box<dyn Future<Output = hive_core::Result<()>> + Send>>;

impl TerminalView {
    pub(super) fn new(parts: ViewParts) -> Self {
        let (id, control) = (parts.terminal.session().id, parts.terminal.control().clone());
        Self {
            parts,
            id,
            escapes: EscapeParser::default(),
            control,
            control_requester: None,
            is_disconnected: false,
            has_hinted_control: false,
            terminate_call: None,
            last_key: None,
            end_of_input: None,
        }
    }

    /// Runs until the session has ended or the user leaves.
    pub(super) async fn run(mut self) -> Result<ViewOutcome> {
        let outcome = match self.start() {
            Some(outcome) => Ok(outcome),
            None => self.event_loop().await,
        };
        match &outcome {
            Ok(ViewOutcome::Ended(_) | ViewOutcome::Refused(_)) => self.flush_output().await?,
            Ok(ViewOutcome::Detached | ViewOutcome::Signal(_)) | Err(_) => self.release_control().await,
        }
        let satellite = self.parts.terminal.session().satellite_name.clone();
        let sentence =
            outcome.as_ref().ok().and_then(|outcome| notices::view_ended(satellite.as_str(), self.id, outcome));
        self.parts.screen.leave(sentence.as_deref());
        let final_write = tokio::time::timeout(FINAL_WRITE_TIMEOUT, self.parts.screen.write_all()).await;
        if let Ok(Ok(written)) = final_write {
            self.on_written(written);
            // All is undone already. Written twice, the sequences would switch screens once more.
            raw::set_restore_sequence(String::new());
        }
        outcome
    }

    /// Handles the first event, and says who has the keyboard if another viewer has it.
    fn start(&mut self) -> Option<ViewOutcome> {
        // A reset that is there already clears the screen: the notice comes after it.
        let first = self.parts.terminal.next().now_or_never();
        if let Some(outcome) = first.and_then(|event| self.on_event(event)) {
            return Some(outcome);
        }
        if !self.control.is_mine {
            self.say(&notices::control_holder(&self.control.clone(), self.parts.is_read_only));
        }
        None
    }

    /// Handles events until the view ends. No branch waits for a peer: the screen and the link have queues of their
    /// own.
    async fn event_loop(&mut self) -> Result<ViewOutcome> {
        let mut keys = vec![0; READ_BUFFER];
        loop {
            let room = self.input_capacity().min(READ_BUFFER);
            let is_full = room == 0 && self.parts.terminal.control().is_mine;
            let is_behind = self.parts.screen.is_behind();
            let may_receive = self.parts.screen.len() < self.max_queued_output();
            let due = self.end_of_input.as_ref().map(EndOfInput::due);
            let ViewParts { terminal, input, screen, signals, .. } = &mut self.parts;
            let outcome = tokio::select! {
                // In this order: signals and keys go before output, so that a flood of output delays neither Ctrl-C nor
                // `~.`.
                biased;
                signal = signals.next() => self.on_signal(signal)?,
                read = input.read(&mut keys[..room]), if room > 0 => self.on_read(read.ok().map(|len| &keys[..len])),
                ended = until_terminated(&mut self.terminate_call) => self.on_terminated(ended),
                written = screen.write(), if is_behind => {
                    self.on_written(written.map_err(CliError::Output)?);
                    None
                }
                event = terminal.next(), if may_receive => self.on_event(event),
                () = tokio::time::sleep(ROOM_POLL_INTERVAL), if is_full => None,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.end_input(),
            };
            if let Some(outcome) = outcome {
                return Ok(outcome);
            }
        }
    }

    /// Returns how many bytes of input can be taken now.
    fn input_capacity(&self) -> usize {
        let ViewParts { terminal, input, .. } = &self.parts;
        match (input.is_terminal(), terminal.control().is_mine) {
            // Read even without the keyboard: escape commands are among these keys.
            (true, false) => READ_BUFFER,
            // One byte less than the room: the parser may add a tilde that it held back.
            (_, true) => terminal.room().saturating_sub(1),
            // A file or pipe waits until this viewer has the keyboard.
            (false, false) => 0,
        }
    }

    fn max_queued_output(&self) -> usize {
        if self.parts.terminal.control().is_mine { MAX_QUEUED_OUTPUT } else { MAX_QUEUED_OUTPUT_READ_ONLY }
    }

    fn on_signal(&mut self, signal: Signal) -> Result<Option<ViewOutcome>> {
        match signal {
            Signal::Leave(number) => return Ok(Some(ViewOutcome::Signal(number))),
            Signal::Continued => raw::reapply().map_err(CliError::Terminal)?,
            Signal::Resized => {}
        }
        // After SIGCONT too: the window may have been resized while the process was stopped.
        if let Some(size) = tty::user_size() {
            self.parts.terminal.resize(size);
        }
        Ok(None)
    }

    /// Handles input; `None` where reading failed.
    fn on_read(&mut self, read: Option<&[u8]>) -> Option<ViewOutcome> {
        match (read, self.parts.input.is_terminal()) {
            (Some([]) | None, is_terminal) => {
                self.parts.input = KeyInput::Ended;
                if !is_terminal && self.parts.on_input_end == OnInputEnd::EndSession {
                    self.end_of_input = Some(EndOfInput::after(self.last_key, Instant::now()));
                }
                // A terminal that cannot be read has hung up: treated like SIGHUP, which may come later or never.
                is_terminal.then_some(ViewOutcome::Signal(HANGUP))
            }
            (Some(keys), true) => {
                for typed in self.escapes.read(keys) {
                    match typed {
                        ParsedInput::Keys(keys) => self.type_keys(keys),
                        ParsedInput::Command(command) => {
                            if self.execute(command) {
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
        // Answers of the terminal to queries of a program (such as its cursor position) begin with ESC, and so do arrow
        // keys. Nobody typed the answers, so neither gets a bell.
        let is_escape_sequence = keys.first() == Some(&0x1b);
        let is_accepted = self.parts.terminal.write(keys).is_ok();
        if is_accepted || is_escape_sequence {
            return;
        }
        self.parts.screen.ring();
        if !self.has_hinted_control {
            self.has_hinted_control = true;
            let notice = notices::control_holder(self.parts.terminal.control(), self.parts.is_read_only);
            self.say(&notice);
        }
    }

    /// Presses the end-of-input key, if all input before it was applied.
    fn end_input(&mut self) -> Option<ViewOutcome> {
        let terminal = &mut self.parts.terminal;
        let can_type = terminal.control().is_mine && terminal.unapplied() == 0;
        if let Some(end) = &mut self.end_of_input {
            let now = Instant::now();
            if can_type {
                // Cannot fail for lack of room: nothing is on its way, and two bytes fit.
                drop(terminal.write(Bytes::from_static(end.keys(now))));
            } else {
                end.wait(now);
            }
        }
        None
    }

    /// Executes an escape command. Returns whether the view ends.
    fn execute(&mut self, command: EscapeCommand) -> bool {
        match command {
            EscapeCommand::Detach => return true,
            EscapeCommand::Help => self.say(HELP),
            EscapeCommand::End => self.terminate(),
            EscapeCommand::Take | EscapeCommand::Ask => self.claim_control(command),
            EscapeCommand::Grant => match self.control_requester.take() {
                Some(viewer) => self.parts.terminal.grant_control(viewer),
                None => self.say("nobody has asked for the keyboard"),
            },
        }
        false
    }

    /// Starts to end the session, unless that runs already. The view goes on meanwhile.
    fn terminate(&mut self) {
        if self.terminate_call.is_none() {
            self.say("ending the session …");
            let (hive, id) = (self.parts.hive.clone(), self.id);
            self.terminate_call = Some(Box::pin(async move { hive.terminate(id).await }));
        }
    }

    fn claim_control(&mut self, command: EscapeCommand) {
        let control = self.parts.terminal.control();
        if control.is_mine {
            self.say("you have the keyboard");
        } else if self.parts.is_read_only {
            let notice = notices::control_holder(control, true);
            self.say(&notice);
        } else if command == EscapeCommand::Take {
            self.parts.terminal.take_control();
        } else {
            let who = control.holder.clone().unwrap_or_else(|| "the hive".into());
            self.parts.terminal.request_control();
            self.say(&format!("asked {who} for the keyboard"));
        }
    }

    fn on_written(&mut self, written: WriteProgress) {
        if let Some(sequence) = written.restore_sequence {
            raw::set_restore_sequence(sequence);
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
                // Each failed attempt to reconnect is such an event: only the first one is shown.
                if !std::mem::replace(&mut self.is_disconnected, true) {
                    self.say(&notices::disconnected(&cause));
                }
            }
            Some(TerminalEvent::Reconnected { lost_input }) => {
                self.is_disconnected = false;
                self.say(&notices::reconnected(lost_input));
            }
            Some(TerminalEvent::Message(message)) => self.on_message(message),
            Some(TerminalEvent::Ended(end)) => return Some(ViewOutcome::Ended(end)),
            Some(TerminalEvent::Refused(error)) => return Some(ViewOutcome::Refused(error)),
            None => return Some(ViewOutcome::Detached),
        }
        self.notify_control();
        None
    }

    fn on_message(&mut self, message: ToViewer) {
        match message {
            ToViewer::ControlRequested { by, name } => {
                self.control_requester = Some(by);
                self.say(&notices::control_requested(&name));
            }
            ToViewer::Link { online } => {
                let sentence = notices::link(self.parts.terminal.session().satellite_name.as_str(), online);
                self.say(&sentence);
            }
            // A change of control is shown by `notify_control`. The sizes of other viewers do not matter here.
            _ => {}
        }
    }

    fn notify_control(&mut self) {
        let now = self.parts.terminal.control();
        if let Some(sentence) = notices::control_changed(&self.control, now, self.parts.is_read_only) {
            self.control = now.clone();
            self.has_hinted_control = false;
            self.say(&sentence);
        }
    }

    fn on_terminated(&mut self, ended: hive_core::Result<()>) -> Option<ViewOutcome> {
        self.terminate_call = None;
        if let Err(error) = ended {
            self.say(&format!("cannot end the session: {}", CliError::from(error)));
        }
        None
    }

    fn say(&mut self, sentence: &str) {
        self.parts.screen.say(sentence);
    }

    /// Writes the rest of the output, unless a signal ends that.
    async fn flush_output(&mut self) -> Result<()> {
        let ViewParts { screen, signals, .. } = &mut self.parts;
        screen.end_output();
        let written = tokio::select! {
            written = screen.write_all() => written.map_err(CliError::Output)?,
            _ = signals.leave() => return Ok(()),
        };
        self.on_written(written);
        Ok(())
    }

    /// Releases the keyboard and waits for the hive's answer. The answer comes after all earlier input was taken.
    ///
    /// [`Terminal::leave`] does not wait for it. A socket that is closed while unread output is in its buffer sends a
    /// reset, and input that was not sent yet is lost.
    async fn release_control(&mut self) {
        let terminal = &mut self.parts.terminal;
        if !terminal.control().is_mine {
            return;
        }
        terminal.release_control();
        let released = async {
            while terminal.control().is_mine && !terminal.is_disconnected() && terminal.next().await.is_some() {}
        };
        tokio::time::timeout(RELEASE_TIMEOUT, released).await.ok();
    }
}

/// The number of SIGHUP.
const HANGUP: i32 = nix::sys::signal::Signal::SIGHUP as i32;

/// Waits for the call that ends the session; for ever where there is none.
async fn until_terminated(terminate_call: &mut Option<TerminateCall>) -> hive_core::Result<()> {
    match terminate_call {
        Some(terminate_call) => terminate_call.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
