//! What a person notices: answers at once, even under a flood; every sign as it was meant; the right size.

use std::time::Duration;

use hive_core::wire::api::Size;
use hive_testkit::FaultProxy;
use tokio::time::Instant;

use super::{Site, Viewer};
use crate::support::{Dice, counted_to};

const NARROW: u64 = 100_000;
/// From Ctrl-C to the prompt, with a flood on the way.
const LIMIT: Duration = Duration::from_millis(2_500);

/// Floods a terminal, presses Ctrl-C in the midst of it, and sees how long the prompt takes.
async fn check_ctrl_c(viewer: &mut Viewer) {
    viewer.type_keys("PS1='prom''pt> '\n").await;
    viewer.until_text("prompt> ").await;
    viewer.type_keys("yes 'a line as long as most lines are'\n").await;
    let from = viewer.end;
    let begin = Instant::now();
    // The windows have settled, and every buffer on the way is as full as it gets.
    while viewer.end < from + 2 * NARROW || begin.elapsed() < Duration::from_secs(2) {
        viewer.step("the flood comes").await.expect("the terminal lives");
    }
    let pressed = Instant::now();
    viewer.type_keys("\x03").await;
    viewer.until_text("prompt> ").await;
    let took = pressed.elapsed();
    assert!(took < LIMIT, "{took:?}");
}

#[tokio::test]
async fn ctrl_c_gets_through_a_flood_on_a_satellites_slow_link() {
    let (site, _proxy) = Site::behind(|url| FaultProxy::start_narrow(url, NARROW), &[], &[]).await;
    check_ctrl_c(&mut site.shell().await).await;
}

#[tokio::test]
async fn ctrl_c_gets_through_a_flood_on_a_viewers_slow_link() {
    let site = Site::start().await;
    let proxy = FaultProxy::start_narrow(site.hive.url(), NARROW);
    let mut viewer = Viewer::open(site.remote_at(proxy.url()), site.open().await).await;
    check_ctrl_c(&mut viewer).await;
}

#[tokio::test]
async fn every_sign_arrives_as_it_was_typed_and_printed() {
    let site = Site::start().await;
    let id = site.open_script("mirror.sh", "exec cat").await;
    let mut viewer = Viewer::open(site.remote(), id).await;
    viewer.until_text("ready").await;
    // Combining marks, wide characters, right-to-left text and joined emoji: each is several bytes or code points.
    let signs = "e\u{301} \u{fc}\u{df} \u{65e5}\u{672c}\u{8a9e} \u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{1f469}\u{200d}\u{1f680} \u{1f1e9}\u{1f1ea} \u{2500}\u{253c}";
    // One byte after the other, so that every sign is split in every way.
    for byte in signs.as_bytes() {
        viewer.type_keys([*byte]).await;
    }
    viewer.until_text(signs).await;
    // Not all of it is UTF-8: a terminal carries bytes.
    let all: Vec<u8> = (0..=255).collect();
    viewer.type_keys(&all).await;
    while !viewer.output.ends_with(&all) {
        viewer.step("all bytes come").await.expect("the terminal lives");
    }
}

#[tokio::test]
async fn what_is_pasted_arrives_whole() {
    let site = Site::start().await;
    let pasted = counted_to(100_000);
    let file = site.hive.dir().join("pasted");
    let lines = format!("head -c {} > {}; printf done", pasted.len(), file.display());
    let id = site.open_script("pasted.sh", &lines).await;
    let mut viewer = Viewer::open(site.remote(), id).await;
    viewer.until_text("ready").await;
    viewer.type_keys(&pasted).await;
    viewer.until_text("done").await;
    assert!(std::fs::read_to_string(file).unwrap() == pasted);
}

#[tokio::test]
async fn after_a_storm_of_sizes_the_last_one_counts() {
    let site = Site::start().await;
    let mut viewer = site.shell().await;
    let mut dice = Dice(20_260_801);
    let mut size = Size::default();
    for _ in 0..100 {
        size = Size { cols: 2 + dice.below(300) as u16, rows: 2 + dice.below(100) as u16 };
        viewer.terminal.resize(size);
        // Some go out together, some alone.
        if dice.below(3) == 0 {
            viewer.say().await;
        }
    }
    viewer.until_size(size).await;
}

#[tokio::test]
async fn a_keystroke_does_not_wait_behind_a_file() {
    let (site, _proxy) = Site::behind(|url| FaultProxy::start_narrow(url, NARROW), &[], &[]).await;
    let mut viewer = site.shell().await;
    assert_eq!(viewer.answer("here").await, "here");
    // A command whose output takes twenty seconds over this link.
    let command = serde_json::json!({"command": "head -c 2000000 /dev/zero"});
    site.hive.submit(&site.satellite, &command).await;
    for number in 0..10 {
        let begin = Instant::now();
        assert_eq!(viewer.answer(&number.to_string()).await, number.to_string());
        assert!(begin.elapsed() < LIMIT, "{:?}", begin.elapsed());
    }
}
