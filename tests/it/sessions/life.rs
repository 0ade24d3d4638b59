//! From the opening of a terminal to its end.

use bytes::Bytes;
use hive_core::wire::api::{EndReason, SessionCreate, SessionFilter, Size};
use hive_testkit::{FaultProxy, SatelliteOptions, TestHive, until};
use serde_json::json;

use super::{NAME, Site, Viewer, options};
use crate::support::{sleeping, unique_seconds, until_sleeping};

#[tokio::test]
async fn a_terminal_is_a_login_shell_in_a_clean_environment() {
    let hive = TestHive::start().await;
    let mut options = SatelliteOptions::default();
    options.env.push(("MY_OWN_SECRET".into(), "agents-only".into()));
    // Whoever runs the tests may have zsh as login shell.
    for profile in [".profile", ".zprofile"] {
        std::fs::write(hive.home().join(profile), "FAREWELL=goodbye").unwrap();
    }
    let site = Site { satellite: hive.satellite_with(NAME, options).await, hive };
    let env = [("GREETING".to_owned(), "hello there".to_owned())].into();
    let wanted = SessionCreate { cols: 101, rows: 37, env, ..SessionCreate::on(site.satellite.id().parse().unwrap()) };
    let session = site.remote().create(wanted).await.unwrap();
    assert_eq!(session.size, Size { cols: 101, rows: 37 });

    let mut viewer = Viewer::open(site.remote(), session.id).await;
    assert_eq!(viewer.answer("$TERM $(stty size) $GREETING").await, "xterm-256color 37 101 hello there");
    assert_eq!(viewer.answer("${MY_OWN_SECRET-none}").await, "none");
    let name = viewer.answer("$0").await;
    assert!(name.starts_with('-'), "{name} is no login shell");
    assert_eq!(viewer.answer("$FAREWELL").await, "goodbye");
    assert_eq!(viewer.answer("$(test $HOME = $(pwd -P) && tty | cut -c 1-9)").await, "/dev/pts/");
}

#[tokio::test]
async fn a_new_size_reaches_the_program() {
    let site = Site::start().await;
    let mut viewer = site.shell().await;
    let size = Size { cols: 132, rows: 43 };
    viewer.terminal.resize(size);
    viewer.until_size(size).await;
    assert_eq!(site.session(viewer.id()).await["cols"], 132);
}

#[tokio::test]
async fn the_end_is_told_with_reason_and_exit_code() {
    let site = Site::start().await;
    for (line, code) in [("exit 7\n", 7), ("kill -9 $$\n", 137), ("\x04", 0)] {
        let mut viewer = site.shell().await;
        viewer.type_keys(line).await;
        let end = viewer.ended().await;
        assert_eq!((end.reason, end.exit_code), (EndReason::Exited, Some(code)), "{line:?}");
        assert_eq!(site.until_ended(viewer.id()).await, json!({"reason": "exited", "exit_code": code}));
    }
    // Who comes too late is told the same.
    let mut viewer = site.shell().await;
    viewer.type_keys("echo the last words; exit 7\n").await;
    viewer.ended().await;
    let mut late = Viewer::open(site.remote(), viewer.id()).await;
    assert_eq!(late.ended().await.exit_code, Some(7));
}

/// A line that leaves processes in the background, each detached in another way.
fn detached(seconds: &str) -> String {
    format!(
        // Job control gives each background job a process group of its own.
        "set -m; sleep {seconds} & nohup sleep {seconds} & setsid sleep {seconds} & (trap '' HUP TERM; sleep {seconds}) &\n"
    )
}

#[tokio::test]
async fn nothing_of_a_terminal_outlives_its_end() {
    let site = Site::start().await;
    let mut exiting = site.shell().await;
    let seconds = unique_seconds();
    exiting.type_keys(detached(&seconds)).await;
    until_sleeping(&seconds, 4).await;
    // A shell with jobs refuses the first exit.
    exiting.type_keys("exit\nexit\n").await;
    exiting.ended().await;
    assert_eq!(sleeping(&seconds), 0, "it ended before its processes");

    let mut killed = site.shell().await;
    killed.type_keys(detached(&seconds)).await;
    until_sleeping(&seconds, 4).await;
    site.remote().terminate(killed.id()).await.unwrap();
    assert_eq!(sleeping(&seconds), 0, "it was ended before its processes");
    assert_eq!(killed.ended().await.reason, EndReason::Killed);
    // Once more is no fault.
    assert!(site.remote().terminate(killed.id()).await.is_ok());
}

#[tokio::test]
async fn a_satellite_that_stops_takes_its_terminals_along() {
    let mut site = Site::start().await;
    let mut viewer = site.shell().await;
    let seconds = unique_seconds();
    viewer.type_keys(detached(&seconds)).await;
    until_sleeping(&seconds, 4).await;
    let took = site.satellite.process().stop().await;
    assert!(took.as_secs() < 5, "{took:?}");
    assert_eq!(sleeping(&seconds), 0);
    site.satellite.restart().await;
    let end = viewer.ended().await;
    assert!(matches!(end.reason, EndReason::Killed | EndReason::Lost), "{end:?}");
}

#[tokio::test]
async fn a_terminal_that_died_with_its_satellite_is_lost() {
    let mut site = Site::start().await;
    let mut viewer = site.shell().await;
    assert_eq!(viewer.answer("here").await, "here");
    site.satellite.process().kill();
    site.satellite.restart().await;
    assert_eq!(viewer.ended().await.reason, EndReason::Lost);
    assert_eq!(site.until_ended(viewer.id()).await["reason"], "lost");
    site.shell().await.type_keys("exit\n").await;
}

#[tokio::test]
async fn a_killed_satellite_ends_the_jobs_of_its_terminals_at_its_next_start() {
    let mut site = Site::start().await;
    let mut viewer = site.shell().await;
    let seconds = unique_seconds();
    viewer.type_keys(detached(&seconds)).await;
    until_sleeping(&seconds, 4).await;
    site.satellite.process().kill_alone();
    assert!(sleeping(&seconds) > 0, "some of them do not care for the hangup");
    site.satellite.restart().await;
    assert_eq!(sleeping(&seconds), 0);
    assert_eq!(viewer.ended().await.reason, EndReason::Lost);
    let end = site.until_ended(viewer.id()).await;
    assert!(end["error"]["message"].as_str().unwrap_or_default().contains("left of the session"), "{end}");
    // Said once: the next start knows nothing of it.
    site.satellite.process().stop().await;
    site.satellite.restart().await;
    let log = site.satellite.process().log();
    assert_eq!(log.matches("left running").count(), 1, "{log}");
}

#[tokio::test]
async fn an_idle_terminal_ends_and_a_busy_one_does_not() {
    let site = Site::start_with(&["--session-idle-timeout", "2"], &[]).await;
    let (mut idle, mut busy) = (site.shell().await, site.shell().await);
    let seconds = unique_seconds();
    idle.type_keys(format!("sleep {seconds} & wait\n")).await;
    let typing = async {
        // Longer than an idle one lives.
        for number in 0..30 {
            assert_eq!(busy.answer(&format!("{number}")).await, number.to_string());
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let (end, ()) = tokio::join!(idle.ended(), typing);
    assert_eq!(end.reason, EndReason::Timeout);
    assert_eq!(sleeping(&seconds), 0);
    assert_eq!(site.session(busy.id()).await["status"], "open");
}

#[tokio::test]
async fn a_terminal_outlives_its_link_only_for_so_long() {
    let (site, proxy) = Site::behind(FaultProxy::start, &["--session-linger", "1"], &[]).await;
    let mut viewer = site.shell().await;
    let seconds = unique_seconds();
    viewer.type_keys(format!("sleep {seconds} & echo run''s\n")).await;
    viewer.until_text("runs").await;
    proxy.cut();
    // A short cut does no harm.
    assert_eq!(viewer.answer("still there").await, "still there");
    // No new link: now the terminal has no link for longer than it may linger.
    proxy.refuse(true);
    proxy.cut();
    until_sleeping(&seconds, 0).await;
    proxy.refuse(false);
    assert_eq!(viewer.ended().await.reason, EndReason::Timeout);
}

#[tokio::test]
async fn whoever_may_not_look_may_still_use_rest() {
    let site = Site::start().await;
    let id = site.open().await;
    let remote = site.remote();
    let file = site.hive.dir().join("typed");
    remote.send_input(id, Bytes::from(format!("stty size > {}\n", file.display()))).await.unwrap();
    until("the line was typed", async || std::fs::read_to_string(&file).is_ok_and(|text| text == "24 80\n")).await;
    remote.resize(id, Size { cols: 99, rows: 11 }).await.unwrap();
    remote.send_input(id, Bytes::from(format!("stty size > {}\n", file.display()))).await.unwrap();
    until("the size is another", async || std::fs::read_to_string(&file).is_ok_and(|text| text == "11 99\n")).await;

    let listed = remote.list(SessionFilter::default()).await.unwrap();
    assert_eq!(listed.iter().map(|session| session.id).collect::<Vec<_>>(), [id]);
    let listed = site.hive.rest().get(&site.satellite.path("/sessions")).await.data();
    assert_eq!(listed[0]["id"], id.to_string(), "{listed}");
    site.hive.rest().delete(&format!("/api/v1/sessions/{id}")).await.data();
    assert!(remote.list(SessionFilter::default()).await.unwrap().is_empty());
    let ended = SessionFilter { ended: true, ..SessionFilter::default() };
    assert_eq!(remote.list(ended).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_shell_that_is_not_there_is_named() {
    let site = Site::start().await;
    let missing = site.remote().create(site.wanted_with("/no/such/shell")).await.unwrap_err();
    assert_eq!(missing.code().as_str(), "INVALID_INPUT", "{missing}");
    let relative = site.remote().create(site.wanted_with("sh")).await.unwrap_err();
    assert_eq!(relative.code().as_str(), "INVALID_INPUT", "{relative}");
    let mut refusing = options(&["--allow-shell", "false"]);
    refusing.tags.push("locked".into());
    let locked = site.hive.satellite_with("locked-server", refusing).await;
    let wanted = SessionCreate::on(locked.id().parse().unwrap());
    let blocked = site.remote().create(wanted).await.unwrap_err();
    assert_eq!(blocked.code().as_str(), "COMMAND_BLOCKED", "{blocked}");
}
