//! What a viewer has to say: its size first, for what is typed behind a change of it; what it typed, then what it asks for,
//! then how far it has read.

use std::collections::VecDeque;
use std::time::Duration;

use hive_wire::api::Size;
use hive_wire::session::{Control, FromViewer};
use tokio::time::Instant;

use super::ViewerAction;
use super::resume::{Return, Typing};

/// Things asked for that may wait. One more is left out: a viewer who asks that often has asked before.
const MAX_WORDS: usize = 16;
/// Bytes of output that are acknowledged at once: half of the smallest window.
const MUCH: u64 = 8 * 1024;
/// How long less than that may stay unacknowledged, so that an echo does not cost a message.
const PATIENCE: Duration = Duration::from_millis(50);

/// What one viewer has to say.
#[derive(Debug)]
pub(super) struct Saying {
    pub(super) typing: Typing,
    /// The newest size; those before it are nobody's concern any more.
    size: Option<Size>,
    words: VecDeque<FromViewer>,
    acks: Acks,
}

impl Saying {
    /// A viewer who has the output before `output`.
    pub(super) fn starting_with(control: Control, output: u64) -> Self {
        Self {
            typing: Typing::starting_with(control),
            size: None,
            words: VecDeque::new(),
            acks: Acks { said: output, shown: None },
        }
    }

    /// Changes the size.
    pub(super) fn resize(&mut self, size: Size) {
        self.size = Some(size);
    }

    /// Asks for something.
    pub(super) fn ask(&mut self, word: FromViewer) {
        let is_asked = self.words.back() == Some(&word);
        if !is_asked && self.words.len() < MAX_WORDS {
            self.words.push_back(word);
        }
    }

    /// Takes in that the output before `end` is on the screen.
    pub(super) fn on_shown(&mut self, end: u64, now: Instant) {
        let since = self.acks.shown.map_or(now, |(_, since)| since);
        self.acks.shown = Some((end, since));
    }

    /// What to say now.
    pub(super) fn next(&self, now: Instant) -> Option<ViewerAction> {
        if let Some(size) = self.size {
            return Some(ViewerAction::Say(FromViewer::Resize(size)));
        }
        if let Some((offset, data)) = self.typing.next() {
            return Some(ViewerAction::Input { offset, data });
        }
        let word = self.words.front().cloned();
        word.or_else(|| self.acks.next(now)).map(ViewerAction::Say)
    }

    /// Whether something was typed or asked for that was not said.
    pub(super) fn is_unsaid(&self) -> bool {
        self.size.is_some() || !self.words.is_empty() || self.typing.next().is_some()
    }

    /// When there is something to say even if nothing happens.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.acks.due_at()
    }

    /// Takes in that `action` was said.
    pub(super) fn on_said(&mut self, action: &ViewerAction) {
        match action {
            ViewerAction::Input { offset, data } => self.typing.on_said(offset + data.len() as u64),
            ViewerAction::Say(FromViewer::Resize(size)) if self.size == Some(*size) => self.size = None,
            ViewerAction::Say(FromViewer::Ack { offset }) => self.acks = Acks { said: *offset, shown: None },
            ViewerAction::Say(word) if self.words.front() == Some(word) => drop(self.words.pop_front()),
            ViewerAction::Say(_) => {}
        }
    }

    /// Takes in that the way broke: what was asked for is stale when it is there again.
    pub(super) fn on_broken(&mut self) {
        self.size = None;
        self.words.clear();
    }

    /// Takes in who has the keyboard on a new attachment, whose output begins at `output`. Gives how many typed bytes are
    /// lost.
    pub(super) fn on_attached(&mut self, control: Control, who: Return, output: u64) -> u64 {
        self.acks = Acks { said: output, shown: None };
        self.typing.on_attached(control, who)
    }
}

/// How far the screen is, and how far it was said to be.
#[derive(Debug)]
struct Acks {
    said: u64,
    /// What is on the screen and was not said, and since when there is something unsaid.
    shown: Option<(u64, Instant)>,
}

impl Acks {
    fn due_at(&self) -> Option<Instant> {
        let (end, since) = self.shown?;
        let is_much = end.abs_diff(self.said) >= MUCH;
        Some(if is_much { since } else { since + PATIENCE })
    }

    fn next(&self, now: Instant) -> Option<FromViewer> {
        let is_due = self.due_at()? <= now;
        self.shown.filter(|_| is_due).map(|(offset, _)| FromViewer::Ack { offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saying() -> Saying {
        Saying::starting_with(Control { is_mine: true, input: 0, holder: None }, 0)
    }

    fn say_all(saying: &mut Saying, now: Instant) -> Vec<ViewerAction> {
        let next = || {
            let action = saying.next(now)?;
            saying.on_said(&action);
            Some(action)
        };
        std::iter::from_fn(next).collect()
    }

    fn ack(offset: u64) -> ViewerAction {
        ViewerAction::Say(FromViewer::Ack { offset })
    }

    #[tokio::test(start_paused = true)]
    async fn keystrokes_go_first_and_acknowledgements_last() {
        let mut saying = saying();
        let now = Instant::now();
        saying.on_shown(MUCH, now);
        saying.ask(FromViewer::ReleaseControl);
        saying.typing.push(b"x").unwrap();
        let typed = ViewerAction::Input { offset: 0, data: "x".into() };
        let expected = [typed, ViewerAction::Say(FromViewer::ReleaseControl), ack(MUCH)];
        assert_eq!(say_all(&mut saying, now), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_little_output_is_acknowledged_a_little_later() {
        let mut saying = saying();
        let start = Instant::now();
        saying.on_shown(1, start);
        assert_eq!(say_all(&mut saying, start), []);
        saying.on_shown(2, start + PATIENCE / 2);
        assert_eq!(saying.due_at(), Some(start + PATIENCE));
        assert_eq!(say_all(&mut saying, start + PATIENCE), [ack(2)]);
        assert_eq!(saying.due_at(), None);
        saying.on_shown(2 + MUCH, start + PATIENCE);
        assert_eq!(say_all(&mut saying, start + PATIENCE), [ack(2 + MUCH)]);
    }

    #[test]
    fn the_last_size_is_said_before_what_is_typed_behind_it() {
        let mut saying = saying();
        let (small, large) = (Size { cols: 10, rows: 10 }, Size { cols: 200, rows: 50 });
        saying.resize(small);
        saying.ask(FromViewer::RequestControl);
        saying.resize(large);
        saying.typing.push(b"x").unwrap();
        let typed = ViewerAction::Input { offset: 0, data: "x".into() };
        let [resized, asked] = [FromViewer::Resize(large), FromViewer::RequestControl].map(ViewerAction::Say);
        assert_eq!(say_all(&mut saying, Instant::now()), [resized, typed, asked]);
    }

    #[test]
    fn what_is_asked_for_has_a_bound() {
        let mut saying = saying();
        for to in 0..100 {
            saying.ask(FromViewer::GrantControl { to });
            saying.ask(FromViewer::GrantControl { to });
        }
        assert_eq!(saying.words.len(), MAX_WORDS);
    }
}
