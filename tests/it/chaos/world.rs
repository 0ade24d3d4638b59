//! A hive and its satellites, each behind a proxy, and the hand that breaks them.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use hive_testkit::{FaultProxy, SatelliteOptions, ServerOptions, TestHive, TestSatellite, procfs, until};

use super::callers::{Callers, Given, Target};
use super::ledger::{Entry, OPEN, Told, violation};
use super::plan::{Deed, Round};
use super::{counts, saved};
use crate::support::{Dice, text, unique_seconds};

/// How many callers give commands at the same time.
const CALLERS: u64 = 6;

pub(crate) struct ChaosWorld {
    // The satellites end before the folder of the hive goes.
    satellites: Vec<(TestSatellite, FaultProxy)>,
    hive: TestHive,
    targets: Vec<Target>,
    numbers: AtomicU32,
    short: String,
    endless: String,
}

/// What came of an epoch that kept all promises.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) acknowledged: u32,
    pub(crate) unknown: u32,
    pub(crate) untold: u32,
}

impl ChaosWorld {
    pub(crate) async fn new(satellites: usize) -> Self {
        // Fast heartbeats and reconnects, so that an epoch sees many links.
        let args = ["--heartbeat-interval", "1", "--heartbeat-timeout", "3"].map(String::from).to_vec();
        let hive = TestHive::start_with(ServerOptions { args, ..ServerOptions::default() }).await;
        let start = async |number: usize| {
            let proxy = FaultProxy::start(hive.url());
            let mut options = SatelliteOptions { server: Some(proxy.url().to_owned()), ..SatelliteOptions::default() };
            options.args(["--reconnect-initial", "0.1", "--reconnect-max", "0.5", "--handshake-timeout", "2"]);
            (hive.satellite_with(&format!("satellite-{number:02}"), options).await, proxy)
        };
        let satellites = join_all((0..satellites).map(start)).await;
        let target = |(satellite, _): &(TestSatellite, FaultProxy)| Target {
            path: satellite.path("/exec"),
            file: hive.dir().join(format!("numbers-{}", satellite.name())),
        };
        let targets = satellites.iter().map(target).collect();
        let short = format!("0.03{}", unique_seconds().replace('.', ""));
        Self { satellites, hive, targets, numbers: AtomicU32::new(0), short, endless: unique_seconds() }
    }

    /// Breaks everything as planned while callers give commands, puts everything right again, and looks at what was
    /// promised. An error says which promise was not kept.
    pub(crate) async fn epoch(&mut self, seed: u64, plan: &[Round]) -> Result<Tally, String> {
        let given = self.break_and_call(seed, plan).await;
        self.put_right().await;
        let tally = self.check(&given).await;
        tally.map_err(|broken| format!("{broken}\nplan: {plan:#?}\nsaved: {}", saved(self.hive.dir(), seed)))
    }

    async fn break_and_call(&mut self, seed: u64, plan: &[Round]) -> Vec<Given> {
        let Self { satellites, hive, targets, numbers, short, endless } = self;
        let stop = AtomicBool::new(false);
        let callers = Callers { rest: hive.rest(), targets, numbers, stop: &stop, short, endless };
        // Dice for each caller: in which order they run cannot be repeated.
        let calling = join_all((0..CALLERS).map(|caller| callers.give(Dice::of(seed ^ (caller + 1) << 48))));
        let breaking = async {
            for round in plan {
                tokio::time::sleep(round.pause).await;
                act(hive, satellites, &round.deed).await;
            }
            mend(satellites);
            stop.store(true, Ordering::SeqCst);
        };
        let (given, ()) = tokio::join!(calling, breaking);
        given.into_iter().flatten().collect()
    }

    async fn put_right(&self) {
        for (satellite, _) in &self.satellites {
            self.hive.until_online(satellite, true).await;
        }
    }

    async fn check(&self, given: &[Given]) -> Result<Tally, String> {
        let mut tally = Tally::default();
        let mut ends = Vec::new();
        for one in given {
            ends.push(self.end_of(one).await?);
        }
        // Those that nobody was told about may still run.
        until("nothing runs any more", async || {
            [&self.short, &self.endless].iter().all(|sleep| procfs::running_with(sleep).is_empty())
        })
        .await;
        let counts: Vec<_> = self.targets.iter().map(|target| counts(&target.file)).collect();
        for (one, ended) in given.iter().zip(ends) {
            let runs = counts[one.target].get(&one.number).copied().unwrap_or_default();
            match &ended {
                Some((status, _)) if status == "outcome_unknown" => tally.unknown += 1,
                Some(_) => {}
                None => tally.untold += 1,
            }
            tally.acknowledged += u32::from(ended.is_some());
            let entry = Entry { work: one.work, told: one.told.clone(), ended, runs };
            if let Some(broken) = violation(&entry) {
                return Err(format!("{broken}: {one:?} {entry:?}\nanswers: {:#?}", one.answers));
            }
        }
        let audit_log = self.hive.rest().get("/api/v1/audit/verify").await.data();
        if audit_log["valid"] != true {
            return Err(format!("the log has holes: {audit_log}"));
        }
        Ok(tally)
    }

    /// How a command has ended, where it has an id.
    async fn end_of(&self, given: &Given) -> Result<Option<(String, Option<String>)>, String> {
        let Told::Acknowledged { id, .. } = &given.told else { return Ok(None) };
        let path = format!("/api/v1/commands/{id}");
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            let answer = self.hive.rest().get(&path).await;
            // Acknowledged, and not there: the ledger calls that lost.
            if answer.status == 404 {
                return Ok(None);
            }
            let command = answer.data();
            let status = text(&command["status"]);
            if !OPEN.contains(&status) {
                return Ok(Some((status.to_owned(), command["error"]["code"].as_str().map(str::to_owned))));
            }
            if tokio::time::Instant::now() > deadline {
                return Err(format!("it does not end: {given:#?} {command}"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends the satellites as a machine does that is shut down; nothing of theirs may be left, and nobody may have panicked.
    pub(crate) async fn end(mut self) {
        for (satellite, _) in &mut self.satellites {
            let process = satellite.process();
            process.stop().await;
            assert_eq!(process.try_code(), Some(0), "{}", process.tail());
            assert!(!process.log().contains("panicked"), "{}", process.log());
        }
        self.hive.server().stop().await;
        assert!(!self.hive.server().log().contains("panicked"), "{}", self.hive.server().log());
    }
}

async fn act(hive: &mut TestHive, satellites: &mut [(TestSatellite, FaultProxy)], deed: &Deed) {
    match *deed {
        Deed::KillServer => {
            hive.kill_server();
            hive.restart_server().await;
        }
        Deed::StopServer => {
            hive.server().stop().await;
            hive.restart_server().await;
        }
        Deed::KillAgent(at) => {
            // What it has started lives on: the agent that follows has to end it.
            satellites[at].0.process().kill_alone();
            satellites[at].0.start_again();
        }
        Deed::StopAgent(at) => {
            satellites[at].0.process().stop().await;
            satellites[at].0.start_again();
        }
        Deed::KillBoth(at) => {
            hive.kill_server();
            satellites[at].0.process().kill_alone();
            hive.restart_server().await;
            satellites[at].0.start_again();
        }
        Deed::Cut(at) => satellites[at].1.cut(),
        Deed::Freeze(at) => satellites[at].1.freeze(),
        Deed::Silence(at, time) => {
            satellites[at].1.hold(true);
            tokio::time::sleep(time).await;
            satellites[at].1.hold(false);
        }
        Deed::Slow(at, bytes_per_second, time) => {
            satellites[at].1.limit(Some(bytes_per_second));
            tokio::time::sleep(time).await;
            satellites[at].1.limit(None);
        }
        Deed::Corrupt(at, toward) => satellites[at].1.corrupt(toward),
    }
}

/// What was frozen is found out in its own time; the proxies let go of it only now.
fn mend(satellites: &[(TestSatellite, FaultProxy)]) {
    for (_, proxy) in satellites {
        proxy.cut_frozen();
    }
}
