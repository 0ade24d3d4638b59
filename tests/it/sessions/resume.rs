//! The link breaks, the server is killed, and no byte is lost or comes twice.
//!
//! `HIVE_CRASH_SEED` repeats a failure.

use std::time::Duration;

use hive_core::terminal::TerminalEvent;
use hive_core::wire::api::EndReason;
use hive_core::wire::session::{ToViewer, ViewMode};
use hive_testkit::{FaultProxy, TestHive, until};

use super::{Site, Viewer};
use crate::support::{Dice, number};

const STREAM: usize = 50_000_000;
const CUTS: u32 = 100;
/// Among so many cuts, the server is killed once.
const CUTS_PER_KILL: u32 = 20;

fn seed() -> u64 {
    // Never zero, from which these dice give nothing but zeros.
    number("HIVE_CRASH_SEED").unwrap_or_else(|| u64::from(std::process::id()) | 1 << 32)
}

/// Cuts a link after about so many bytes, and waits until it is back.
async fn cut(proxy: &FaultProxy, dice: &mut Dice, bytes: u64) {
    let before = proxy.connections();
    proxy.cut_after(bytes / 2 + dice.below(bytes));
    until("the link was cut and is back", async || proxy.connections() > before).await;
}

async fn kill_and_restart(hive: &mut TestHive) {
    hive.kill_server();
    hive.restart_server().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_is_exact_over_a_hundred_cuts_and_five_killed_servers() {
    let seed = seed();
    let mut dice = Dice(seed);
    let (mut site, proxy) = Site::behind(FaultProxy::start, &[], &[]).await;
    let sent = dice.bytes(STREAM);
    let file = site.hive.dir().join("stream");
    std::fs::write(&file, &sent).unwrap();
    let lines = format!("head -c 1 >/dev/null; cat {}; exit 7", file.display());
    let id = site.open_script("stream.sh", &lines).await;
    let mut viewer = Viewer::open(site.remote(), id).await;
    viewer.until_text("ready").await;
    viewer.type_keys("!").await;

    // Half of the stream, so that all cuts come before its end.
    let per_cut = STREAM as u64 / 2 / u64::from(CUTS);
    let mut cuts = 0;
    let cutting = async {
        while cuts < CUTS {
            cut(&proxy, &mut dice, per_cut).await;
            cuts += 1;
            if cuts % CUTS_PER_KILL == 0 {
                kill_and_restart(&mut site.hive).await;
            }
        }
        std::future::pending::<()>().await;
    };
    let end = tokio::select! {
        end = viewer.ended() => end,
        () = cutting => unreachable!(),
    };
    assert_eq!(cuts, CUTS, "it was over too soon");
    assert_eq!((end.reason, end.exit_code), (EndReason::Exited, Some(7)));
    assert_eq!(viewer.end, viewer.output.len() as u64, "nothing was left out: {:?}", viewer.told);
    let received = &viewer.output["ready".len()..];
    let differs = received.iter().zip(&sent).position(|(received, sent)| received != sent);
    assert!(
        received.len() == sent.len() && differs.is_none(),
        "seed {seed}: {} bytes, other from {differs:?} on",
        received.len()
    );
}

/// So many numbered lines.
fn numbered(lines: u32) -> Vec<u8> {
    (0..lines).flat_map(|line| format!("line {line:07}\n").into_bytes()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn input_is_exact_over_cuts_on_both_sides_and_killed_servers() {
    let seed = seed();
    let mut dice = Dice(seed);
    let (mut site, agent_side) = Site::behind(FaultProxy::start, &[], &[]).await;
    let viewer_side = FaultProxy::start(site.hive.url());
    let typed = numbered(250_000);
    let file = site.hive.dir().join("typed");
    let lines = format!("head -c {} > {}; printf done", typed.len(), file.display());
    let id = site.open_script("typed.sh", &lines).await;
    let mut viewer = Viewer::open(site.remote_at(viewer_side.url()), id).await;
    viewer.until_text("ready").await;

    let mut cuts = 0;
    let typing = async {
        viewer.type_keys(&typed).await;
        viewer.until_text("done").await;
    };
    let cutting = async {
        loop {
            cuts += 1;
            // More cuts on the link of the satellite, over which the input goes last.
            let proxy = if cuts % 3 == 0 { &viewer_side } else { &agent_side };
            cut(proxy, &mut dice, 30_000).await;
            if cuts % 10 == 0 {
                kill_and_restart(&mut site.hive).await;
            }
        }
    };
    tokio::select! {
        () = typing => {}
        () = cutting => unreachable!(),
    }
    assert!(cuts > 30, "it was over after {cuts} cuts");
    let received = std::fs::read(file).unwrap();
    let differs = received.iter().zip(&typed).position(|(received, typed)| received != typed);
    assert!(received == typed, "seed {seed}: {} of {} bytes, other from {differs:?} on", received.len(), typed.len());
    let lost = viewer.told.iter().any(|event| matches!(event, TerminalEvent::Reconnected { lost_input: 1.. }));
    assert!(!lost, "{:?}", viewer.told);
}

/// A script that prints five megabytes as soon as a file is there, and says when it has.
fn flood_behind_a_gate(site: &Site) -> String {
    let dir = site.hive.dir().display();
    format!(
        "until test -e {dir}/gate; do sleep 0.01; done\nhead -c 5000000 /dev/zero | tr '\\0' x\n\
         : > {dir}/flooded\nprintf end; head -c 1 >/dev/null"
    )
}

/// Lets five megabytes be printed while there is no link, once nobody's claim keeps them.
async fn flood_without_a_link(site: &Site, proxy: &FaultProxy) {
    proxy.refuse(true);
    proxy.cut();
    // The server has noticed it, so that no output is on its way any more.
    site.hive.until_online(&site.satellite, false).await;
    std::fs::write(site.hive.dir().join("gate"), "").unwrap();
    until("the flood went nowhere", async || site.hive.dir().join("flooded").exists()).await;
    proxy.refuse(false);
}

#[tokio::test]
async fn what_the_ring_has_lost_is_said_to_the_byte() {
    // On both sides: whichever keeps the output longer would decide.
    let short = ["--claim-linger", "0.5"];
    let (site, proxy) = Site::behind(FaultProxy::start, &short, &short).await;
    let lines = flood_behind_a_gate(&site);
    let id = site.open_script("flood.sh", &lines).await;
    let mut viewer = Viewer::open(site.remote(), id).await;
    viewer.until_text("ready").await;
    flood_without_a_link(&site, &proxy).await;
    viewer.until_text("end").await;
    let gaps: Vec<(u64, u64)> = viewer
        .told
        .iter()
        .filter_map(|event| match event {
            TerminalEvent::Gap { from, to } => Some((*from, *to)),
            _ => None,
        })
        .collect();
    let missing: u64 = gaps.iter().map(|(from, to)| to - from).sum();
    assert!(missing > 3_000_000, "{gaps:?}");
    assert_eq!(viewer.output.len() as u64 + missing, viewer.end, "{gaps:?}");
    assert_eq!(viewer.end, "readyend".len() as u64 + 5_000_000);
}

#[tokio::test]
async fn a_reader_without_a_claim_begins_anew_behind_a_gap() {
    let (site, proxy) = Site::behind(FaultProxy::start, &[], &[]).await;
    let lines = flood_behind_a_gate(&site);
    let id = site.open_script("flood.sh", &lines).await;
    let mut reader = Viewer::open_as(site.remote(), id, ViewMode::ReadOnly).await;
    reader.until_text("ready").await;
    flood_without_a_link(&site, &proxy).await;
    let is_told = |event: &TerminalEvent| matches!(event, TerminalEvent::Reset { .. } | TerminalEvent::Gap { .. });
    reader.until("it is told that output is missing", is_told).await;
    reader.until_text("end").await;
    assert!(reader.output.len() < 3_000_000);
    assert_eq!(reader.end, "readyend".len() as u64 + 5_000_000);
}

#[tokio::test]
async fn a_viewer_is_told_that_the_satellite_is_away() {
    let (site, proxy) = Site::behind(FaultProxy::start, &[], &[]).await;
    let mut viewer = site.shell().await;
    proxy.refuse(true);
    proxy.cut();
    let is_link = |wanted: bool| move |event: &TerminalEvent| matches!(event, TerminalEvent::Message(ToViewer::Link { online }) if *online == wanted);
    viewer.until("the link is gone", is_link(false)).await;
    viewer.terminal.write("echo typed me''anwhile\n".into()).unwrap();
    proxy.refuse(false);
    viewer.until("the link is back", is_link(true)).await;
    viewer.until_text("typed meanwhile").await;
}

#[tokio::test]
async fn a_dead_link_is_noticed_and_the_terminal_goes_on() {
    let impatient = ["--heartbeat-interval", "1", "--heartbeat-timeout", "3"];
    let (site, proxy) = Site::behind(FaultProxy::start, &impatient, &[]).await;
    let mut viewer = site.shell().await;
    assert_eq!(viewer.answer("before").await, "before");
    // Silence, as of a pulled cable: nobody is told.
    proxy.freeze();
    viewer.type_keys("echo typed into si''lence\n").await;
    viewer.until_text("typed into silence").await;
    assert!(
        tokio::time::timeout(Duration::from_secs(5), viewer.answer("after")).await.is_ok_and(|said| said == "after")
    );
}
