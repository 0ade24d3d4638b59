//! Tests of sessions whose links, viewers and hives are cut: every byte arrives once, in both directions.

use std::sync::Arc;

use hive_wire::api::{SessionStatus, Size};
use hive_wire::session::{FromViewer, ToViewer, ViewMode};

use super::looker::request as wish;
use super::*;
use crate::store::Store;
use crate::store::sqlite;

/// A hive that can be killed. The next one has the same store.
struct Mortal {
    store: Arc<dyn Store>,
}

impl Mortal {
    async fn new() -> Self {
        Self { store: Arc::new(sqlite::in_memory().await.unwrap()) }
    }

    async fn hive(&self) -> Hive {
        Hive::builder().store(self.store.clone()).build().await.unwrap()
    }
}

#[tokio::test]
async fn output_goes_on_to_the_byte_over_many_links() {
    let (hive, mut machine, id, mut looker) = a_terminal().await;
    machine.wait_until_idle().await;
    let output = noise(3_000_000);
    let (mut printed, mut cuts) = (0, 0);
    while looker.end < output.len() as u64 {
        printed += machine.print(id, &output[printed..]).await;
        machine.cut();
        connect(&hive, &mut machine).await;
        machine.during(looker.until(|looker| looker.end == printed as u64)).await;
        machine.until(|machine| machine.terminal(id).limit > printed as u64).await;
        cuts += 1;
    }
    assert!(looker.shown == output && cuts > 5, "{cuts} cuts");
    assert!(!looker.messages.iter().any(|messages| matches!(messages, ToViewer::Gap { .. } | ToViewer::Reset { .. })));
}

#[tokio::test]
async fn what_is_typed_while_the_link_is_cut_arrives_once_and_in_order() {
    let (hive, mut machine, id, mut looker) = a_terminal().await;
    let mut typed = Vec::new();
    for n in 0..50u32 {
        let line = format!("line {n}\r");
        looker.write(line.as_bytes()).await;
        typed.extend_from_slice(line.as_bytes());
        match n % 5 {
            0 => machine.wait_until_idle().await,
            2 => machine.cut(),
            4 => connect(&hive, &mut machine).await,
            _ => {}
        }
    }
    machine.until(|machine| machine.terminal(id).input.len() == typed.len()).await;
    assert_eq!(machine.terminal(id).input, typed);
}

#[tokio::test]
async fn a_viewer_is_told_when_the_satellite_goes_and_when_it_is_back() {
    let (hive, mut machine, _, mut looker) = a_terminal().await;
    machine.cut();
    looker.until(|looker| looker.messages.last() == Some(&ToViewer::Link { online: false })).await;
    connect(&hive, &mut machine).await;
    let is_back = |looker: &Looker| looker.messages.last() == Some(&ToViewer::Link { online: true });
    machine.during(looker.until(is_back)).await;
}

#[tokio::test]
async fn a_viewer_that_was_cut_off_goes_on_where_it_was() {
    let (hive, mut machine, id, mut looker) = a_terminal().await;
    looker.write(b"vi").await;
    machine.print(id, b"half a scr").await;
    looker.until_shown(b"half a scr").await;
    let (comeback, number) = (looker.comeback(), looker.attached.viewer);
    drop(looker);
    machine.print(id, b"een").await;
    let mut looker = Looker::attach(&hive.as_system(), id, comeback).await;
    assert!(looker.attached.is_resumed && looker.attached.control.is_mine);
    assert_eq!((looker.attached.viewer, looker.attached.control.input, looker.attached.output), (number, 2, 10));
    assert_eq!(looker.attached.modes, None);
    looker.until_shown(b"een").await;
    looker.send_input(0, b"vim\r").await.unwrap();
    machine.until(|machine| machine.terminal(id).input == b"vim\r").await;
    assert_eq!(audit_log(&hive, "session.attach").await.len(), 1, "who comes back is known");
}

#[tokio::test]
async fn a_viewer_that_comes_back_before_it_was_missed_takes_its_own_place() {
    let (hive, mut machine, id, mut stale) = a_terminal().await;
    let mut looker = Looker::attach(&hive.as_system(), id, stale.comeback()).await;
    assert!(looker.attached.is_resumed);
    assert!(!stale.step().await);
    assert_eq!(stale.send_input(0, b"x").await.unwrap_err().code(), ErrorCode::Unavailable);
    drop(stale);
    looker.write(b"y").await;
    machine.until(|machine| machine.terminal(id).input == b"y").await;
}

#[tokio::test]
async fn a_hive_that_was_killed_finds_its_terminals_again() {
    let mortal = Mortal::new().await;
    let hive = mortal.hive().await;
    let mut machine = online(&hive, NAME).await;
    let id = open(&hive, &mut machine).await.id;
    let mut looker = Looker::typing(&hive.as_system(), id).await;
    let (mut typed, output) = (Vec::new(), noise(1_500_000));
    let mut hives = vec![hive];
    for n in 0..5u8 {
        let hive = hives.last().unwrap();
        machine.until(|machine| machine.terminal(id).keep.is_some()).await;
        typed.extend_from_slice(&[n; 10]);
        looker.send_input(typed.len() as u64 - 10, &[n; 10]).await.unwrap();
        machine.until(|machine| machine.terminal(id).input == typed).await;
        let end = (looker.end + 300_000).min(output.len() as u64);
        while looker.end < end {
            let shown = looker.end;
            machine.print(id, &output[machine.terminal(id).output.len()..end as usize]).await;
            machine.during(looker.until(|looker| looker.end > shown)).await;
            machine.wait_until_idle().await;
        }
        // The hive is killed without a shutdown. Messages in flight are lost.
        machine.print(id, &output[machine.terminal(id).output.len()..]).await;
        let comeback = looker.comeback();
        let shown = std::mem::take(&mut looker.shown);
        hive.services().context.shutdown().cancel();
        machine.cut();
        hives.push(mortal.hive().await);
        let hive = hives.last().unwrap().clone();
        connect(&hive, &mut machine).await;
        let acting = hive.as_system();
        let again = machine.during(Looker::attach(&acting, id, comeback)).await;
        assert!(again.attached.is_resumed, "nobody else typed");
        assert_eq!((again.attached.output, again.attached.control.input), (shown.len() as u64, typed.len() as u64));
        looker = again;
        looker.shown = shown;
    }
    machine.during(looker.until(|looker| looker.end == output.len() as u64)).await;
    assert!(looker.shown == output);
}

/// A session and a viewer that types, while links and hives between them are cut at random.
struct Storm {
    mortal: Mortal,
    hives: Vec<Hive>,
    machine: Satellite,
    id: SessionId,
    looker: Looker,
    output: Vec<u8>,
    typed: Vec<u8>,
}

impl Storm {
    async fn begin() -> Self {
        let mortal = Mortal::new().await;
        let hive = mortal.hive().await;
        let mut machine = online(&hive, NAME).await;
        let id = open(&hive, &mut machine).await.id;
        let looker = Looker::typing(&hive.as_system(), id).await;
        machine.wait_until_idle().await;
        Self { mortal, hives: vec![hive], machine, id, looker, output: noise(3_000_000), typed: Vec::new() }
    }

    fn hive(&self) -> Hive {
        self.hives.last().unwrap().clone()
    }

    async fn step(&mut self, chance: u8) {
        match chance % 16 {
            0 => self.machine.cut(),
            1 | 2 => connect(&self.hive(), &mut self.machine).await,
            3 => self.come_back().await,
            4 if chance > 240 => self.kill_hive().await,
            4..8 => self.write(usize::from(chance) * 7).await,
            8..11 => self.print().await,
            11..14 => self.looker.look(),
            _ => self.machine.wait_until_idle().await,
        }
    }

    async fn write(&mut self, count: usize) {
        let text: Vec<u8> = (self.typed.len()..self.typed.len() + count).map(|n| (n % 251) as u8).collect();
        let offset = self.typed.len() as u64;
        // A real viewer keeps input that exceeds the window. This one does not type it.
        if self.looker.send_input(offset, &text).await.is_ok() {
            self.typed.extend(text);
        }
    }

    async fn print(&mut self) {
        let printed = self.machine.terminal(self.id).output.len();
        if self.machine.terminal(self.id).keep.is_some() {
            self.machine.print(self.id, &self.output[printed..]).await;
        }
    }

    /// Cuts the viewer off and attaches it again.
    async fn come_back(&mut self) {
        let (acting, comeback) = (self.hive().as_system(), self.looker.comeback());
        let mut again = self.machine.during(Looker::attach(&acting, self.id, comeback)).await;
        assert!(again.attached.is_resumed && again.attached.modes.is_none());
        again.shown = std::mem::take(&mut self.looker.shown);
        again.messages = std::mem::take(&mut self.looker.messages);
        let taken = again.control.input as usize;
        again.send_input(taken as u64, &self.typed[taken..]).await.unwrap();
        self.looker = again;
    }

    /// Kills the hive, with its memory and its links.
    async fn kill_hive(&mut self) {
        self.hive().services().context.shutdown().cancel();
        self.machine.cut();
        self.hives.push(self.mortal.hive().await);
        connect(&self.hive(), &mut self.machine).await;
        self.come_back().await;
    }
}

#[tokio::test]
async fn whatever_is_cut_every_byte_arrives_once_in_both_directions() {
    let chances = noise(3_000);
    let mut storm = Storm::begin().await;
    for chance in chances {
        storm.step(chance).await;
    }
    connect(&storm.hive(), &mut storm.machine).await;
    let Storm { hives, machine, id, looker, output, typed, .. } = &mut storm;
    while looker.end < output.len() as u64 {
        let printed = machine.terminal(*id).output.len();
        machine.print(*id, &output[printed..]).await;
        let printed = machine.terminal(*id).output.len() as u64;
        machine.during(looker.until(|looker| looker.end == printed)).await;
        machine.wait_until_idle().await;
    }
    machine.until(|machine| machine.terminal(*id).input.len() == typed.len()).await;
    assert!(looker.shown == *output, "output differs");
    assert!(machine.terminal(*id).input == *typed, "input differs");
    assert!(!looker.messages.iter().any(|messages| matches!(messages, ToViewer::Gap { .. } | ToViewer::Reset { .. })));
    assert!(hives.len() > 5 && typed.len() > 100_000, "{} hives, {} bytes typed", hives.len(), typed.len());
}

#[tokio::test]
async fn a_terminal_whose_satellite_is_not_back_yet_is_waited_for() {
    let mortal = Mortal::new().await;
    let hive = mortal.hive().await;
    let mut machine = online(&hive, NAME).await;
    let id = open(&hive, &mut machine).await.id;
    machine.print(id, b"$ ").await;
    machine.cut();
    let next = mortal.hive().await;
    let acting = next.as_system();
    let attaching = tokio_util::task::TaskTracker::new()
        .spawn(async move { acting.sessions().attach(id, wish(ViewMode::Control)).await });
    tokio::task::yield_now().await;
    connect(&next, &mut machine).await;
    let attachment = machine.during(attaching).await.unwrap().unwrap();
    assert_eq!(attachment.attached.session.status, SessionStatus::Open);
    assert!(attachment.attached.control.is_mine, "nobody had the keyboard");
}

#[tokio::test]
async fn without_a_claim_what_is_beyond_the_ring_is_a_stated_gap() {
    let (hive, mut machine) = a_machine().await;
    let id = open(&hive, &mut machine).await.id;
    let mut looker = Looker::reading(&hive.as_system(), id).await;
    machine.print(id, b"before").await;
    looker.until_shown(b"before").await;
    machine.cut();
    let output = noise(5_000_000);
    machine.print(id, &output).await;
    connect(&hive, &mut machine).await;
    let end = 6 + output.len() as u64;
    machine.during(looker.until(|looker| looker.end == end)).await;
    let is_reset = |messages: &ToViewer| matches!(messages, ToViewer::Reset { .. });
    assert!(looker.messages.iter().any(is_reset), "{:?}", looker.messages);
    assert!(output.ends_with(&looker.shown));
}

#[tokio::test]
async fn one_that_types_and_stays_away_too_long_hears_of_the_gap() {
    let hive = hive_with(hasty()).await;
    let mut machine = online(&hive, NAME).await;
    let id = open(&hive, &mut machine).await.id;
    let mut looker = Looker::typing(&hive.as_system(), id).await;
    machine.print(id, b"before").await;
    looker.until_shown(b"before").await;
    machine.until(|machine| machine.terminal(id).keep.is_some()).await;
    let comeback = looker.comeback();
    drop(looker);
    machine.until(|machine| machine.terminal(id).keep.is_none()).await;
    let output = noise(4_000_000);
    machine.print(id, &output).await;
    machine.until(|machine| machine.terminal(id).limit >= 6 + output.len() as u64).await;
    let mut looker = Looker::attach(&hive.as_system(), id, comeback).await;
    assert!(!looker.attached.is_resumed, "its time was up");
    assert!(looker.attached.control.is_mine, "but nobody else came");
    let end = 6 + output.len() as u64;
    machine.during(looker.until(|looker| looker.end == end)).await;
    let Some(ToViewer::Gap { from: 6, to }) =
        looker.messages.iter().find(|messages| matches!(messages, ToViewer::Gap { .. }))
    else {
        panic!("{:?}", looker.messages)
    };
    assert!(looker.shown == output[*to as usize - 6..]);
}

#[tokio::test]
async fn a_size_set_while_the_satellite_was_away_is_told_when_it_is_back() {
    let (hive, mut machine, id, mut looker) = a_terminal().await;
    machine.cut();
    for cols in 1..=1000 {
        looker.send(FromViewer::Resize(Size { cols, rows: 10 })).await.unwrap();
    }
    connect(&hive, &mut machine).await;
    machine.until(|machine| machine.terminal(id).size == Size { cols: 1000, rows: 10 }).await;
    assert_eq!(machine.terminal(id).resizes, 1);
}
