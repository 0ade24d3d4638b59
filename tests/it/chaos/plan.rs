//! What is done to a hive in one epoch, out of a number: the same number gives the same plan.

use std::time::Duration;

use hive_testkit::Toward;

use crate::support::Dice;

/// The longest pause between two deeds.
const PAUSE_MS: u64 = 350;
/// How often each kind of deed comes in as many rounds as there are cards.
const DECK: [(Kind, usize); 10] = [
    (Kind::KillServer, 5),
    (Kind::StopServer, 2),
    (Kind::KillAgent, 5),
    (Kind::StopAgent, 2),
    (Kind::KillBoth, 3),
    (Kind::Cut, 4),
    (Kind::Freeze, 2),
    (Kind::Silence, 2),
    (Kind::Slow, 2),
    (Kind::Corrupt, 3),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    KillServer,
    StopServer,
    KillAgent,
    StopAgent,
    KillBoth,
    Cut,
    Freeze,
    Silence,
    Slow,
    Corrupt,
}

/// A pause, and what is done then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Round {
    pub(crate) pause: Duration,
    pub(crate) deed: Deed,
}

/// One thing that goes wrong. Satellites count from zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deed {
    /// `kill -9`, and a new start.
    KillServer,
    /// SIGTERM, and a new start.
    StopServer,
    KillAgent(usize),
    StopAgent(usize),
    /// The server and this agent, at once.
    KillBoth(usize),
    /// The connections break.
    Cut(usize),
    /// The connections there are pass nothing any more, for good; new ones work.
    Freeze(usize),
    /// Nothing passes for a while.
    Silence(usize, Duration),
    /// So many bytes a second pass for a while.
    Slow(usize, u64, Duration),
    /// One bit of the next message is flipped.
    Corrupt(usize, Toward),
}

/// The rounds of an epoch with so many satellites.
pub(crate) fn plan(seed: u64, rounds: usize, satellites: usize) -> Vec<Round> {
    let mut dice = Dice::of(seed);
    let mut deck = Vec::new();
    let mut rounds_made = Vec::with_capacity(rounds);
    while rounds_made.len() < rounds {
        if deck.is_empty() {
            deck = DECK.iter().flat_map(|&(kind, count)| std::iter::repeat_n(kind, count)).collect();
        }
        // Drawn without putting back, so that no seed leaves out a kind.
        let kind = deck.swap_remove(dice.below(deck.len() as u64) as usize);
        let pause = Duration::from_millis(dice.below(PAUSE_MS));
        rounds_made.push(Round { pause, deed: deed(kind, satellites as u64, &mut dice) });
    }
    rounds_made
}

fn deed(kind: Kind, satellites: u64, dice: &mut Dice) -> Deed {
    let satellite = dice.below(satellites) as usize;
    match kind {
        Kind::KillServer => Deed::KillServer,
        Kind::StopServer => Deed::StopServer,
        Kind::KillAgent => Deed::KillAgent(satellite),
        Kind::StopAgent => Deed::StopAgent(satellite),
        Kind::KillBoth => Deed::KillBoth(satellite),
        Kind::Cut => Deed::Cut(satellite),
        Kind::Freeze => Deed::Freeze(satellite),
        Kind::Silence => Deed::Silence(satellite, Duration::from_millis(100 + dice.below(400))),
        Kind::Slow => Deed::Slow(satellite, 2_000 + dice.below(20_000), Duration::from_millis(100 + dice.below(400))),
        Kind::Corrupt if dice.below(2) == 0 => Deed::Corrupt(satellite, Toward::Server),
        Kind::Corrupt => Deed::Corrupt(satellite, Toward::Client),
    }
}

#[test]
fn a_number_gives_one_plan() {
    assert_eq!(plan(7, 100, 4), plan(7, 100, 4));
    assert_ne!(plan(7, 100, 4), plan(8, 100, 4));
    assert_eq!(plan(7, 100, 4)[..50], plan(7, 50, 4), "a longer plan begins as a shorter one");
}

#[test]
fn a_short_plan_has_everything_in_it() {
    for seed in 0..50 {
        // As many rounds as the deck has cards.
        let plan = plan(seed, 30, 4);
        let kinds: std::collections::HashSet<_> =
            plan.iter().map(|round| std::mem::discriminant(&round.deed)).collect();
        assert_eq!(kinds.len(), DECK.len(), "seed {seed}");
    }
    let hit = |wanted| plan(1, 120, 4).iter().any(|round| matches!(round.deed, Deed::KillAgent(it) if it == wanted));
    assert!((0..4).all(hit), "no satellite is spared");
}
