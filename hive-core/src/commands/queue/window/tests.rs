use super::*;
use hive_wire::id::Seed;
use proptest::prelude::*;
use std::collections::BTreeSet;

const START: i64 = 1_700_000_000_000_000;

fn id(n: u32) -> CommandId {
    let mut random = [0; 10];
    random[..4].copy_from_slice(&n.to_be_bytes());
    CommandId::new(Seed { unix_millis: 1, random })
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_micros(START).plus(Duration::from_millis(ms))
}

fn waiting(n: u32, rank: Rank, created_ms: u64) -> QueuedCommand {
    QueuedCommand { id: id(n), class: CommandClass::Process, rank, created_at: at(created_ms), job: None }
}

fn power(n: u32, rank: Rank) -> QueuedCommand {
    QueuedCommand { class: CommandClass::Power, ..waiting(n, rank, 0) }
}

/// An open window with nothing in the store.
fn window(capacity: u32) -> DeliveryWindow {
    let mut window = DeliveryWindow::new(Some(capacity));
    window.open(Vec::new());
    window
}

/// Who is handed over now.
fn turns(window: &mut DeliveryWindow, now: Timestamp) -> Vec<CommandId> {
    let mut turns = Vec::new();
    while let QueueStep::HandOver(some) = window.next(now, 8) {
        turns.extend(some.into_iter().map(|waiting| waiting.id));
    }
    turns
}

fn ids(numbers: impl IntoIterator<Item = u32>) -> Vec<CommandId> {
    numbers.into_iter().map(id).collect()
}

#[test]
fn nothing_passes_before_it_is_known_what_waits() {
    let mut window = DeliveryWindow::new(None);
    assert!(!window.start(at(0)), "not open");
    assert!(!window.reserve(id(1), CommandClass::Process, Rank::Immediate, at(0)));
    assert!(window.offer(waiting(2, Rank::Normal, 0)));
    window.open(vec![waiting(1, Rank::Normal, 0)]);
    assert!(window.start(at(0)) && !window.start(at(0)), "one hands over");
    assert_eq!(turns(&mut window, at(0)), ids([1, 2]));
    assert!(!window.start(at(0)));
    assert!(window.reserve(id(3), CommandClass::Process, Rank::Low, at(0)));
    window.offer(waiting(4, Rank::Normal, 0));
    assert!(window.start(at(0)));
    assert!(matches!(window.next(at(0), 8), QueueStep::HandOver(_)));
    assert!(!window.reserve(id(5), CommandClass::Process, Rank::Normal, at(0)), "it would overtake those on their way");
    assert!(window.reserve(id(6), CommandClass::Process, Rank::Immediate, at(0)));
}

#[test]
fn a_satellite_that_tells_no_capacity_takes_512() {
    let mut window = DeliveryWindow::new(None);
    window.open(Vec::new());
    let taken = (0..600).filter(|n| window.reserve(id(*n), CommandClass::Process, Rank::Normal, at(0))).count();
    assert_eq!(taken, 512 - RESERVED);
    let taken = (600..700).filter(|n| window.reserve(id(*n), CommandClass::Process, Rank::Immediate, at(0))).count();
    assert_eq!(taken, RESERVED);
}

#[test]
fn priority_goes_before_age() {
    let mut window = window(100);
    for (n, rank, created) in [(1, Rank::Low, 0), (2, Rank::Normal, 2), (3, Rank::Normal, 1), (4, Rank::High, 3)] {
        window.offer(waiting(n, rank, created));
    }
    assert_eq!(turns(&mut window, at(10)), ids([4, 3, 2, 1]));
}

#[test]
fn who_has_waited_for_a_minute_is_one_priority_higher_and_no_more() {
    let mut window = window(100);
    window.offer(waiting(1, Rank::Low, 0));
    window.offer(waiting(2, Rank::Normal, 100_000));
    window.offer(waiting(3, Rank::High, 100_000));
    window.offer(waiting(4, Rank::Normal, 0));
    assert_eq!(turns(&mut window, at(120_000)), ids([4, 3, 1, 2]));
}

#[test]
fn an_immediate_command_overtakes_all_that_wait() {
    let mut window = window(32);
    for n in 0..100 {
        window.offer(waiting(n, Rank::Normal, 0));
    }
    // The other 16 slots are reserved for immediate commands.
    assert_eq!(turns(&mut window, at(0)).len(), 16);
    assert!(!window.reserve(id(200), CommandClass::Process, Rank::Normal, at(0)), "others were here before");
    assert!(window.reserve(id(201), CommandClass::Process, Rank::Immediate, at(0)));
    assert!(!window.reserve(id(202), CommandClass::Process, Rank::High, at(0)));
}

#[test]
fn programs_keep_no_change_of_power_waiting() {
    let mut window = window(4);
    for n in 0..500 {
        window.offer(waiting(n, Rank::Immediate, 0));
    }
    assert_eq!(turns(&mut window, at(0)).len(), 4);
    assert!(window.reserve(id(1000), CommandClass::Power, Rank::Immediate, at(0)));
    window.offer(power(1001, Rank::Low));
    assert_eq!(turns(&mut window, at(0)), ids([1001]));
}

#[test]
fn a_place_is_taken_again_when_a_command_ends() {
    let mut window = window(2);
    for n in 0..4 {
        window.offer(waiting(n, Rank::Immediate, n.into()));
    }
    assert_eq!(turns(&mut window, at(9)), ids([0, 1]));
    assert!(!window.start(at(9)));
    // Twice, as a result may arrive twice: the slot is freed once.
    window.end(id(1));
    window.end(id(1));
    assert!(window.start(at(9)));
    assert_eq!(turns(&mut window, at(9)), ids([2]));
}

#[test]
fn a_command_that_was_sent_back_goes_again_after_a_pause_or_an_end() {
    let mut window = window(8);
    window.offer(waiting(1, Rank::Immediate, 0));
    window.offer(waiting(2, Rank::Immediate, 1));
    assert_eq!(turns(&mut window, at(0)), ids([1, 2]));
    window.sent_back(id(2), at(0));
    window.offer(waiting(2, Rank::Immediate, 1));
    assert!(!window.reserve(id(3), CommandClass::Process, Rank::Immediate, at(1)));
    assert!(window.start(at(1)));
    assert_eq!(window.next(at(1), 8), QueueStep::Wait(at(1000)));
    assert_eq!(turns(&mut window, at(1000)), ids([2]));
    window.sent_back(id(2), at(2000));
    window.offer(waiting(2, Rank::Immediate, 1));
    window.end(id(1));
    assert_eq!(turns(&mut window, at(2001)), ids([2]));
}

#[test]
fn a_smaller_capacity_lets_those_that_run_end_first() {
    let mut window = window(8);
    for n in 0..8 {
        window.offer(waiting(n, Rank::Immediate, n.into()));
    }
    assert_eq!(turns(&mut window, at(0)).len(), 8);
    window.set_capacity(2);
    window.offer(waiting(9, Rank::Immediate, 9));
    for n in 0..6 {
        window.end(id(n));
        assert_eq!(turns(&mut window, at(0)), []);
    }
    window.end(id(6));
    assert_eq!(turns(&mut window, at(0)), ids([9]));
}

#[test]
fn a_window_that_closes_gives_jobs_their_commands_back() {
    let mut window = window(2);
    let job = Some(JobId::new(Seed { unix_millis: 1, random: [1; 10] }));
    let of_a_job = QueuedCommand { job, ..waiting(1, Rank::Normal, 0) };
    assert!(window.offer(of_a_job) && window.offer(waiting(2, Rank::Normal, 0)));
    assert_eq!(window.close(), [of_a_job]);
    assert!(!window.offer(of_a_job) && !window.reserve(id(3), CommandClass::Process, Rank::Immediate, at(0)));
    assert_eq!(window.next(at(0), 1), QueueStep::Idle);
}

/// A satellite, its queue in the store, and what was handed over.
struct WindowModel {
    window: DeliveryWindow,
    capacity: usize,
    queued: BTreeSet<(Rank, QueueKey, CommandClass)>,
    in_flight: Vec<QueuedCommand>,
    handed_over: BTreeSet<CommandId>,
    accepted: u32,
    ended: usize,
    now: u64,
    /// A page as it was when it was read.
    reading: Option<(PageQuery, Vec<QueuedCommand>)>,
}

#[derive(Debug, Clone)]
enum WindowStep {
    Accept(CommandClass, Rank),
    /// As `Accept`, with an age that others have overtaken.
    AcceptLate(Rank),
    EndOne(usize),
    SendBackOne(usize),
    Work,
    ReadPage,
    Pass(u64),
    Capacity(u32),
}

fn rank() -> impl Strategy<Value = Rank> {
    prop_oneof![Just(Rank::Immediate), Just(Rank::High), Just(Rank::Normal), Just(Rank::Low)]
}

fn event() -> impl Strategy<Value = WindowStep> {
    let class = prop_oneof![9 => Just(CommandClass::Process), 1 => Just(CommandClass::Power)];
    prop_oneof![
        30 => (class, rank()).prop_map(|(class, rank)| WindowStep::Accept(class, rank)),
        3 => rank().prop_map(WindowStep::AcceptLate),
        12 => (0usize..100).prop_map(WindowStep::EndOne),
        2 => (0usize..100).prop_map(WindowStep::SendBackOne),
        10 => Just(WindowStep::Work),
        5 => Just(WindowStep::ReadPage),
        2 => (0u64..70_000).prop_map(WindowStep::Pass),
        1 => (1u32..60).prop_map(WindowStep::Capacity),
    ]
}

impl WindowModel {
    fn new(queued_before: u32) -> Self {
        let mut world = Self {
            window: DeliveryWindow::new(Some(20)),
            capacity: 20,
            queued: BTreeSet::new(),
            in_flight: Vec::new(),
            handed_over: BTreeSet::new(),
            accepted: 0,
            ended: 0,
            now: 0,
            reading: None,
        };
        for n in 0..queued_before {
            world.queue(waiting(n, Rank::ALL[n as usize % 4], 0));
            world.accepted += 1;
        }
        world.open();
        world
    }

    fn queue(&mut self, it: QueuedCommand) {
        self.queued.insert((it.rank, it.key(), it.class));
    }

    fn open(&mut self) {
        let rows = self.rows(|_| true);
        self.window.open(rows);
    }

    fn page(&self, page: PageQuery) -> Vec<QueuedCommand> {
        let PageQuery { class, rank, after } = page;
        self.rows(|row| row.0 == rank && row.2 == class && after.is_none_or(|after| row.1 > after))
    }

    fn rows(&self, is_in: impl Fn(&(Rank, QueueKey, CommandClass)) -> bool) -> Vec<QueuedCommand> {
        let is_in = |row: &&(Rank, QueueKey, CommandClass)| is_in(row);
        let rows = self.queued.iter().filter(is_in).take(PAGE);
        rows.map(|(rank, (created_at, id), class)| QueuedCommand {
            id: *id,
            class: *class,
            rank: *rank,
            created_at: *created_at,
            job: None,
        })
        .collect()
    }

    fn accept(&mut self, class: CommandClass, rank: Rank, created_ms: u64) {
        let it = QueuedCommand { class, ..waiting(self.accepted, rank, created_ms) };
        self.accepted += 1;
        if self.window.reserve(it.id, class, rank, at(self.now)) {
            self.hand_over(it);
        } else {
            self.queue(it);
            assert!(self.window.offer(it));
        }
    }

    fn hand_over(&mut self, it: QueuedCommand) {
        assert!(self.handed_over.insert(it.id), "handed over twice");
        self.queued.remove(&(it.rank, it.key(), it.class));
        self.in_flight.push(it);
        let process = self.in_flight.iter().filter(|it| it.class == CommandClass::Process).count();
        let power = self.in_flight.len() - process;
        match it.class {
            CommandClass::Process => {
                let kept = if it.rank == Rank::Immediate { 0 } else { RESERVED.min(self.capacity / 2) };
                assert!(process + kept <= self.capacity, "{process} of {} with {:?}", self.capacity, it.rank);
            }
            CommandClass::Power => assert!(power <= POWER_SLOTS),
        }
    }

    /// One step of whoever hands over; false where there is nothing to do.
    fn step(&mut self) -> bool {
        if let Some((page, rows)) = self.reading.take() {
            self.window.page(page, rows);
            return true;
        }
        match self.window.next(at(self.now), 4) {
            QueueStep::Read(page) => self.reading = Some((page, self.page(page))),
            QueueStep::HandOver(turns) => {
                for it in turns {
                    let is_queued = self.queued.contains(&(it.rank, it.key(), it.class));
                    if is_queued { self.hand_over(it) } else { self.window.end(it.id) }
                }
            }
            QueueStep::Wait(until) => self.now = self.now.max(until.since(at(0)).as_millis() as u64),
            QueueStep::Idle => return false,
        }
        true
    }

    fn on(&mut self, event: &WindowStep) {
        match *event {
            WindowStep::Accept(class, rank) => self.accept(class, rank, self.now),
            WindowStep::AcceptLate(rank) => self.accept(CommandClass::Process, rank, self.now.saturating_sub(500)),
            WindowStep::EndOne(n) if !self.in_flight.is_empty() => {
                let it = self.in_flight.remove(n % self.in_flight.len());
                self.window.end(it.id);
                self.ended += 1;
            }
            WindowStep::SendBackOne(n) if !self.in_flight.is_empty() => {
                let it = self.in_flight.remove(n % self.in_flight.len());
                self.window.sent_back(it.id, at(self.now));
                self.handed_over.remove(&it.id);
                self.queue(it);
                assert!(self.window.offer(it));
            }
            WindowStep::EndOne(_) | WindowStep::SendBackOne(_) => {}
            WindowStep::Work => {
                if self.window.start(at(self.now)) {
                    while self.step() {}
                }
            }
            WindowStep::ReadPage => {
                if self.reading.is_none() && self.window.start(at(self.now)) {
                    self.step();
                    self.window.stop();
                } else if self.reading.is_some() {
                    self.step();
                }
            }
            WindowStep::Pass(ms) => self.now += ms + 1,
            WindowStep::Capacity(capacity) => {
                self.capacity = capacity as usize;
                self.window.set_capacity(capacity);
            }
        }
        self.now += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_place_is_taken_twice_and_no_command_is_lost(
        before in 0u32..600,
        events in proptest::collection::vec(event(), 0..300),
    ) {
        let mut world = WindowModel::new(before);
        for event in &events {
            world.on(event);
        }
        // From here on everything ends, so that all have their turn.
        while world.ended < world.accepted as usize {
            let ended = world.ended;
            world.on(&WindowStep::Work);
            world.on(&WindowStep::EndOne(0));
            prop_assert!(world.ended > ended || world.reading.is_some(), "{} wait and none is handed over", world.queued.len());
        }
        prop_assert!(world.queued.is_empty() && world.handed_over.len() == world.accepted as usize);
    }

    #[test]
    fn the_order_is_priority_then_age(rows in proptest::collection::vec((rank(), 0u64..50_000), 0..500)) {
        let mut world = WindowModel { window: DeliveryWindow::new(Some(20)), ..WindowModel::new(0) };
        for (n, (rank, created)) in (0..).zip(&rows) {
            world.queue(waiting(n, *rank, *created));
        }
        world.open();
        world.now = 50_000;
        let mut order = Vec::new();
        world.capacity = 1;
        world.window.set_capacity(1);
        while order.len() < rows.len() {
            // One slot, so that commands are handed over one by one and their order shows.
            while world.step() {}
            let it = world.in_flight.pop().unwrap();
            world.window.end(it.id);
            order.push((it.rank, it.key()));
        }
        prop_assert!(order.is_sorted(), "{order:?}");
    }
}
