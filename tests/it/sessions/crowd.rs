//! Viewers who do not read: they slow nobody, cost little, and come back to the current screen.
//!
//! `HIVE_SOAK_SECONDS` says how long the crowd of [`long`] stands; `cargo xtask soak` sets ten minutes.

use std::time::Duration;

use hive_core::sessions::{Attachment, SessionEvent};
use hive_core::wire::SessionId;
use hive_core::wire::session::{AttachRequest, ToViewer, ViewMode};
use hive_testkit::procfs;
use tokio::time::{Instant, timeout};

use super::{Site, Viewer};
use crate::support::number;

const VIEWERS: usize = 50;
/// How long the crowd stands in the short run, and in the long one.
const SHORT: u64 = 4;
const LONG: u64 = 60;
/// What the server may grow by for all of them.
const GROWTH: u64 = 64 * 1024 * 1024;

/// Somebody who looks and never reads.
async fn stalled(site: &Site, id: SessionId) -> Attachment {
    let request = AttachRequest { mode: ViewMode::ReadOnly, ..AttachRequest::default() };
    site.remote().attach(id, request).await.unwrap()
}

/// Lets a crowd stand for so long beside somebody who reads.
async fn check_crowd(seconds: u64) {
    let mut site = Site::start().await;
    let id = site.open_script("yes.sh", "head -c 1 >/dev/null; yes").await;
    let mut writer = Viewer::open(site.remote(), id).await;
    writer.until_text("ready").await;
    writer.type_keys("!").await;
    let server = site.hive.server().pid();
    // The ring is full and the writer's window wide before anything is compared.
    let alone = read_for(&mut writer, server, Duration::from_secs(2)).await;
    let before = procfs::resident(server);

    let mut crowd = Vec::new();
    while crowd.len() < VIEWERS {
        crowd.push(stalled(&site, id).await);
    }
    let watched = read_for(&mut writer, server, Duration::from_secs(seconds)).await;
    let growth = procfs::resident(server).saturating_sub(before);
    assert!(growth < GROWTH, "the server grew by {} KiB", growth / 1024);
    // Were they served what they do not read, it would be fifty times as much. A busy machine makes it a few times as much.
    assert!(watched < 10.0 * alone, "{watched:.1} ms of the server for a megabyte instead of {alone:.1}");
    assert_eq!(site.session(id).await["viewers"], VIEWERS as u64 + 1);
}

#[tokio::test]
async fn a_crowd_that_never_reads_costs_little_and_slows_nobody() {
    check_crowd(SHORT).await;
}

mod long {
    use super::{LONG, check_crowd, number};

    #[tokio::test]
    async fn a_crowd_that_never_reads_for_long_costs_little_and_slows_nobody() {
        check_crowd(number("HIVE_SOAK_SECONDS").unwrap_or(LONG)).await;
    }
}

/// Reads for so long; how many milliseconds of a processor the server took for a megabyte. That says who is slowed also on a
/// machine that has other things to do.
async fn read_for(viewer: &mut Viewer, server: i32, time: Duration) -> f64 {
    let (begin, ticks, from) = (Instant::now(), procfs::processor_ticks(server), viewer.end);
    while begin.elapsed() < time {
        viewer.step("the flood goes on").await.expect("the terminal lives");
        // Not needed, and it would grow by megabytes each second.
        viewer.output.clear();
    }
    let took = procfs::processor_ticks(server) - ticks;
    10.0 * took as f64 / ((viewer.end - from) as f64 / 1e6)
}

#[tokio::test]
async fn who_has_not_read_for_long_begins_anew() {
    let site = Site::start().await;
    let id = site.open_script("flood.sh", "head -c 1 >/dev/null; yes | head -c 30000000; printf end; sleep 1000").await;
    let mut lazy = stalled(&site, id).await;
    let mut writer = Viewer::open(site.remote(), id).await;
    writer.until_text("ready").await;
    writer.type_keys("!").await;
    writer.until_text("end").await;
    let (mut bytes, mut resets, mut end) = (0, 0, 0);
    let total = "readyend".len() as u64 + 30_000_000;
    while end < total {
        let event = timeout(hive_testkit::PATIENCE, lazy.output.next()).await.expect("it is told in time");
        match event.expect("the attachment goes on") {
            SessionEvent::Output { offset, data } => {
                bytes += data.len() as u64;
                end = offset + data.len() as u64;
            }
            SessionEvent::Message(ToViewer::Reset { output, .. }) => {
                resets += 1;
                assert!(output > end, "it begins behind what it had");
            }
            SessionEvent::Message(_) => {}
        }
    }
    assert!(resets > 0 && bytes < total, "{resets} resets, {bytes} bytes");
}

#[tokio::test]
async fn a_writer_who_stops_reading_holds_the_program_only_for_a_while() {
    let site = Site::start_with(&["--claim-stall", "1"], &[]).await;
    let flooded = site.hive.dir().join("flooded");
    let lines = format!("head -c 1 >/dev/null; yes | head -c 30000000; : > {}; sleep 1000", flooded.display());
    let id = site.open_script("flood.sh", &lines).await;
    let mut writer = Viewer::open(site.remote(), id).await;
    writer.until_text("ready").await;
    writer.type_keys("!").await;
    writer.until_text("y\n").await;
    // Nobody reads any more.
    hive_testkit::until("the program went on", async || flooded.exists()).await;
    writer
        .until("it begins anew", |event| {
            use hive_core::terminal::TerminalEvent::{Gap, Reset};
            matches!(event, Gap { .. } | Reset { .. })
        })
        .await;
}
