//! Somebody in front of a terminal, by the library.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hive_core::sessions::SessionManager;
use hive_core::terminal::{Terminal, TerminalEvent, ViewOptions};
use hive_core::wire::SessionId;
use hive_core::wire::api::{SessionEnd, Size};
use hive_core::wire::session::{ToViewer, ViewMode};
use hive_testkit::PATIENCE;
use tokio::time::{Instant, timeout};

/// Long enough to say something, where nothing else happens.
const MOMENT: Duration = Duration::from_millis(10);

/// One viewer. It reads only while it waits for something.
pub(super) struct Viewer {
    pub(super) terminal: Terminal,
    /// All output.
    pub(super) output: Vec<u8>,
    /// Everything but output, in order.
    pub(super) told: Vec<TerminalEvent>,
    /// The offset behind the last byte of output.
    pub(super) end: u64,
    /// Up to where the output was looked at.
    looked_at: usize,
}

impl Viewer {
    /// Attaches, to type where nobody else does.
    pub(super) async fn open(hive: Arc<dyn SessionManager>, id: SessionId) -> Self {
        Self::open_as(hive, id, ViewMode::Control).await
    }

    pub(super) async fn open_as(hive: Arc<dyn SessionManager>, id: SessionId, mode: ViewMode) -> Self {
        let opening = Terminal::open(hive, id, ViewOptions { mode, ..ViewOptions::default() });
        let terminal = timeout(PATIENCE, opening).await.expect("the viewer is let in in time").unwrap();
        Self { terminal, output: Vec::new(), told: Vec::new(), end: 0, looked_at: 0 }
    }

    pub(super) fn id(&self) -> SessionId {
        self.terminal.session().id
    }

    /// Waits for the next event, and takes it in; panics where nothing happens.
    pub(super) async fn step(&mut self, what: &str) -> Option<TerminalEvent> {
        let Ok(event) = timeout(PATIENCE, self.terminal.next()).await else {
            panic!("waited in vain until {what}; {}", self.describe());
        };
        if let Some(TerminalEvent::Output { end, data }) = &event {
            self.output.extend_from_slice(data);
            self.end = *end;
            self.terminal.ack(*end);
        } else {
            self.told.extend(event.clone());
        }
        event
    }

    /// Waits until this text comes, behind what was waited for before.
    pub(super) async fn until_text(&mut self, text: &str) {
        let what = format!("{text:?} comes");
        let mut searched = self.looked_at;
        loop {
            if let Some(at) = position(&self.output[searched..], text.as_bytes()) {
                self.looked_at = searched + at + text.len();
                return;
            }
            // The text may begin in what was searched, by one byte less than its length.
            searched = self.looked_at.max((self.output.len() + 1).saturating_sub(text.len()));
            let event = self.step(&what).await;
            assert!(event.is_some(), "it is over before {what}; {}", self.describe());
        }
    }

    /// Waits until something is told.
    pub(super) async fn until(&mut self, what: &str, mut is_it: impl FnMut(&TerminalEvent) -> bool) -> TerminalEvent {
        loop {
            match self.step(what).await {
                Some(event) if is_it(&event) => return event,
                Some(_) => {}
                None => panic!("it is over before {what}; {}", self.describe()),
            }
        }
    }

    /// Waits until the keyboard is this viewer's, or another's.
    pub(super) async fn until_keyboard(&mut self, is_mine: bool) {
        while self.terminal.control().is_mine != is_mine {
            self.step(&format!("the keyboard is mine: {is_mine}")).await.expect("the terminal lives");
        }
    }

    /// Waits for somebody who asks for the keyboard; the number.
    pub(super) async fn until_asked(&mut self) -> u32 {
        let asked = self
            .until("somebody asks", |event| matches!(event, TerminalEvent::Message(ToViewer::ControlRequested { .. })));
        let TerminalEvent::Message(ToViewer::ControlRequested { by, .. }) = asked.await else { unreachable!() };
        by
    }

    /// Waits until the program has ended; how.
    pub(super) async fn ended(&mut self) -> SessionEnd {
        while self.step("it ends").await.is_some() {}
        match self.told.last() {
            Some(TerminalEvent::Ended(end)) => end.clone(),
            _ => panic!("it is over without an end; {}", self.describe()),
        }
    }

    /// Types, as fast as there is room.
    pub(super) async fn type_keys(&mut self, keys: impl AsRef<[u8]>) {
        let begin = Instant::now();
        let mut keys = Bytes::copy_from_slice(keys.as_ref());
        while !keys.is_empty() {
            let room = self.terminal.room().min(keys.len());
            if room > 0 {
                self.terminal.write(keys.split_to(room)).unwrap();
            } else {
                self.say().await;
            }
            assert!(begin.elapsed() < 2 * PATIENCE, "there is never room for what is typed; {}", self.describe());
        }
        self.say().await;
    }

    /// Says what is to be said, and takes in what comes meanwhile.
    pub(super) async fn say(&mut self) {
        timeout(MOMENT, self.step("it is said")).await.ok();
    }

    /// Types a line that prints its answer between brackets, and returns that.
    pub(super) async fn answer(&mut self, words: &str) -> String {
        static ANSWERS: AtomicU32 = AtomicU32::new(0);
        let number = ANSWERS.fetch_add(1, Ordering::SeqCst);
        // The echo of the line has no line's end in front of its bracket.
        self.type_keys(format!("printf '\\n[{number}:%s]' \"{words}\"; echo\n")).await;
        self.until_text(&format!("\n[{number}:")).await;
        let begin = self.looked_at;
        self.until_text("]").await;
        String::from_utf8(self.output[begin..self.looked_at - 1].to_vec()).unwrap()
    }

    /// Waits until the program's terminal has this size: keys need not wait for it, so they may be there before it.
    pub(super) async fn until_size(&mut self, size: Size) {
        let Size { cols, rows } = size;
        let line = format!("until stty size | grep -qx '{rows} {cols}'; do sleep 0.01; done");
        assert_eq!(self.answer(&format!("$({line})sized")).await, "sized");
    }

    pub(super) fn describe(&self) -> String {
        let tail = &self.output[self.output.len().saturating_sub(500)..];
        format!("{} bytes, the last {:?}; told {:?}", self.output.len(), String::from_utf8_lossy(tail), self.told)
    }
}

/// Where one byte string begins in another.
pub(super) fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
