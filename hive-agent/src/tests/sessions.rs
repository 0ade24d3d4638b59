//! Sessions with real shells over links that break and return.

use std::ops::RangeInclusive;

use hive_wire::ViewerId;
use hive_wire::agent::PtySpec;
use hive_wire::api::{EndReason, SessionEnd, Size};
use hive_wire::frame::{Frame, FrameKind};
use hive_wire::id::Seed;
use hive_wire::session::INPUT_WINDOW;

use super::scripted_hive::{SessionView, session_spec};
use super::*;

/// A shell, a child, a child in a process session of its own, an orphan in another one, and a child that ignores
/// SIGHUP.
const FAMILY: &str = "sleep 98 & echo $! >> pids
    setsid sh -c 'echo $$ >> pids; sleep 98 & echo $! >> pids; wait' &
    setsid sh -c 'setsid sleep 98 & echo $! >> pids' &
    nohup sleep 98 >/dev/null 2>&1 & echo $! >> pids; echo $$ >> pids";

fn is_alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

impl AgentRig {
    async fn until_file(&self, name: &str, lines: usize) -> String {
        while self.file(name).lines().count() < lines {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.file(name)
    }

    fn check_family_is_gone(&self) {
        let pids = self.file("pids");
        assert_eq!(pids.lines().count(), 6);
        for pid in pids.lines() {
            assert!(!is_alive(pid.parse().unwrap()), "{pid} is alive");
        }
    }

    /// Waits until this condition holds.
    async fn until(&self, is_so: impl Fn() -> bool) {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn lines(prefix: &str, numbers: RangeInclusive<u64>) -> String {
    numbers.fold(String::new(), |all, n| all + prefix + &n.to_string() + "\n")
}

fn exited(exit_code: i32) -> SessionEnd {
    SessionEnd { reason: EndReason::Exited, exit_code: Some(exit_code), error: None }
}

#[tokio::test]
async fn a_session_echoes_answers_and_ends_with_its_exit_code() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    let mut view = SessionView::open(&mut link, session_spec()).await;
    assert!(view.stream.is_from_satellite());
    view.type_line(&mut link, "echo a$((1+1))b; exit 7").await;
    assert_eq!(view.until_end(&mut link).await, exited(7));
    assert_eq!(view.text(), "echo a$((1+1))b; exit 7\r\na2b\r\n");
    assert_eq!(view.gaps, []);
    link.send_control(ToAgent::PtyEndAck { session_id: view.id }).await;
    drop(link);
    let (_, handshake) = rig.hive.raw_link().await;
    assert_eq!(handshake.sessions, []);
    agent.stop().await;
}

#[tokio::test]
async fn a_shell_is_a_login_shell_and_knows_nothing_of_the_agent() {
    let mut rig = rig().await;
    rig.config.account.extra = vec![("POLICY".into(), "p".into())];
    let (agent, mut link) = rig.start_and_link().await;
    let mut spec = session_spec();
    spec.env.extend([("ASKED".to_owned(), "a b".to_owned()), ("TERM".to_owned(), "vt100".to_owned())]);
    let mut view = SessionView::open(&mut link, spec).await;
    view.type_line(
        &mut link,
        "stty -echo; echo $0 $TERM $SHELL $ASKED $POLICY $USER=$LOGNAME; pwd -P; env | cut -d= -f1; exit",
    )
    .await;
    view.until_end(&mut link).await;
    let user = &rig.config.account.user;
    let home = rig.dir.path().canonicalize().unwrap();
    let text = view.text();
    assert!(text.contains(&format!("-sh vt100 /bin/sh a b p {user}={user}\r\n{}\r\n", home.display())), "{text}");
    let (_, names) = text.split_once(&format!("{}\r\n", home.display())).unwrap();
    let mut names: Vec<_> = names.lines().filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name)).collect();
    names.sort_unstable();
    let expected =
        ["ASKED", "HIVE_SESSION_ID", "HOME", "LANG", "LOGNAME", "PATH", "POLICY", "PS1", "SHELL", "TERM", "USER"];
    assert_eq!(names, expected);
    agent.stop().await;
}

#[tokio::test]
async fn a_program_sees_the_size_and_every_change_of_it() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    let mut view = SessionView::open(&mut link, session_spec()).await;
    let watch = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.01; done";
    view.type_line(&mut link, &format!("stty -echo; stty size; sh -c \"{watch}\"")).await;
    view.until(&mut link, "24 80\r\nready").await;
    for cols in 100..=132 {
        let size = Size { cols, rows: 43 };
        link.send_control(ToAgent::PtyResize { session_id: view.id, size, redraw: false }).await;
    }
    view.until(&mut link, "43 132\r\n").await;
    view.output.clear();
    link.send_control(ToAgent::PtyResize { session_id: view.id, size: Size { cols: 132, rows: 43 }, redraw: true })
        .await;
    view.until(&mut link, "43 132\r\n").await;
    agent.stop().await;
}

#[tokio::test]
async fn what_is_typed_behind_a_change_of_size_sees_it() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    let mut view = SessionView::open(&mut link, session_spec()).await;
    for cols in 100..130 {
        let size = Size { cols, rows: 43 };
        link.send_control(ToAgent::PtyResize { session_id: view.id, size, redraw: false }).await;
        view.type_line(&mut link, "stty size").await;
        view.until(&mut link, &format!("43 {cols}\r\n")).await;
    }
    agent.stop().await;
}

#[tokio::test]
async fn an_end_by_itself_leaves_nothing_behind() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    let mut view = SessionView::open(&mut link, session_spec()).await;
    view.type_line(&mut link, FAMILY).await;
    rig.until_file("pids", 6).await;
    view.type_line(&mut link, "exit 3").await;
    assert_eq!(view.until_end(&mut link).await, exited(3));
    rig.check_family_is_gone();
    agent.stop().await;
}

#[tokio::test]
async fn an_end_by_force_leaves_nothing_behind() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    let mut view = SessionView::open(&mut link, session_spec()).await;
    view.type_line(&mut link, "trap '' HUP TERM").await;
    view.type_line(&mut link, FAMILY).await;
    rig.until_file("pids", 6).await;
    link.send_control(ToAgent::PtyEnd { session_id: view.id }).await;
    let end = view.until_end(&mut link).await;
    assert_eq!((end.reason, end.exit_code), (EndReason::Killed, Some(128 + 9)));
    rig.check_family_is_gone();
    link.send_control(ToAgent::PtyEndAck { session_id: view.id }).await;
    link.send_control(ToAgent::PtyEnd { session_id: view.id }).await;
    let lost = SessionEnd { reason: EndReason::Lost, exit_code: None, error: None };
    assert_eq!(link.next().await, FromAgent::Control(ToServer::PtyEnded { session_id: view.id, end: lost }));
    agent.stop().await;
}

#[tokio::test]
async fn a_shell_that_is_told_to_go_may_say_goodbye() {
    let mut rig = rig().await;
    rig.config.session_kill_grace = Duration::from_secs(10);
    let (agent, mut link) = rig.start_and_link().await;
    let mut view = SessionView::open(&mut link, session_spec()).await;
    let goodbye = "trap 'echo good; echo bye > bye; exit 5' HUP; echo ready; while :; do sleep 0.01; done";
    view.type_line(&mut link, &format!("stty -echo; exec sh -c \"{goodbye}\"")).await;
    view.until(&mut link, "\nready").await;
    link.send_control(ToAgent::PtyEnd { session_id: view.id }).await;
    let end = view.until_end(&mut link).await;
    assert_eq!((end.reason, end.exit_code, rig.file("bye").as_str()), (EndReason::Killed, Some(5), "bye\n"));
    assert!(view.text().ends_with("good\r\n"), "{}", view.text());
    agent.stop().await;
}

#[tokio::test]
async fn a_stopping_agent_ends_its_sessions_and_says_so() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    let mut view = SessionView::open(&mut link, session_spec()).await;
    view.type_line(&mut link, FAMILY).await;
    rig.until_file("pids", 6).await;
    let begun = tokio::time::Instant::now();
    let (end, ()) = tokio::join!(view.until_end(&mut link), agent.stop());
    assert_eq!(end.reason, EndReason::Killed);
    assert!(begun.elapsed() < Duration::from_secs(5));
    rig.check_family_is_gone();
    assert_eq!(link.next().await, FromAgent::Control(ToServer::Disconnect { reason: "shutdown".into() }));
}

#[tokio::test]
async fn an_unused_session_ends() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    let mut view = SessionView::open(&mut link, PtySpec { idle_timeout_seconds: Some(1), ..session_spec() }).await;
    assert_eq!(view.until_end(&mut link).await.reason, EndReason::Timeout);
    agent.stop().await;
}

#[tokio::test]
async fn a_session_without_a_link_ends_after_a_while() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    let mut view = SessionView::open(&mut link, PtySpec { linger_seconds: 1, ..session_spec() }).await;
    view.type_line(&mut link, "echo $$ > pid").await;
    let pid = rig.until_file("pid", 1).await.trim().parse().unwrap();
    drop(link);
    let (mut link, handshake) = rig.hive.raw_link().await;
    assert_eq!(handshake.sessions, [view.id]);
    // A link that does not attach the session does not count for it.
    link.accept(3600).await;
    rig.until(|| !is_alive(pid)).await;
    link.send_control(ToAgent::PtyEnd { session_id: view.id }).await;
    assert_eq!(view.until_end(&mut link).await.reason, EndReason::Timeout);
    agent.stop().await;
}

#[tokio::test]
async fn every_byte_arrives_once_over_links_that_break() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    let mut view = SessionView::open(&mut link, session_spec()).await;
    view.type_line(&mut link, "stty -echo -onlcr; echo ready; read x; seq 1 400000; exit").await;
    view.until(&mut link, "ready\n").await;
    view.output.clear();
    view.type_line(&mut link, "").await;
    let mut cuts = 0;
    while view.end.is_none() {
        if view.received > 300_000 * (cuts + 1) && cuts < 8 {
            cuts += 1;
            drop(link);
            link = rig.hive.link().await;
            let started = view.attach(&mut link).await;
            // The last flow message may have been lost.
            assert!(started.keep.is_some_and(|keep| keep <= view.received) && started.input == view.typed);
        }
        view.next(&mut link).await;
    }
    assert_eq!((cuts, view.gaps.len()), (8, 0));
    let expected = lines("", 1..=400_000);
    assert!(view.text() == expected, "{} bytes instead of {}", view.output.len(), expected.len());
    agent.stop().await;
}

#[tokio::test]
async fn what_is_typed_again_after_a_cut_is_typed_once() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    let mut view = SessionView::open(&mut link, session_spec()).await;
    view.type_line(&mut link, "stty -echo; cat > typed").await;
    let begin = view.typed;
    for n in 0..200u64 {
        view.type_line(&mut link, &format!("line {n}")).await;
        if n % 40 == 39 {
            drop(link);
            link = rig.hive.link().await;
            let started = view.attach(&mut link).await;
            // The hive does not know what has arrived, and sends some of it again.
            assert!(started.input <= view.typed);
            view.typed = started.input;
            let written = lines("line ", 0..=n);
            let known = (started.input - begin) as usize;
            let again = known.saturating_sub(20);
            let frame = Frame::data(view.stream, begin + again as u64, written[again..].to_owned().into(), false);
            view.typed = frame.end();
            link.send_frame(&frame).await;
        }
    }
    view.type_in(&mut link, &b"\x04"[..]).await;
    view.type_line(&mut link, "exit").await;
    view.until_end(&mut link).await;
    let expected = lines("line ", 0..=199);
    assert_eq!(rig.file("typed"), expected);
    agent.stop().await;
}

#[tokio::test]
async fn input_that_does_not_fit_breaks_the_link_and_not_the_session() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    let mut view = SessionView::open(&mut link, session_spec()).await;
    link.send_frame(&Frame::data(view.stream, 5, "gap".into(), false)).await;
    assert_eq!(link.next().await, FromAgent::Closed);
    let mut link = rig.hive.link().await;
    view.attach(&mut link).await;
    view.type_line(&mut link, "echo $((40+2))").await;
    view.until(&mut link, "42").await;
    // Frames of unknown streams are ignored, and so are unknown kinds of frames, which belong to later versions.
    link.send_frame(&Frame::data(StreamId(77), 5, "nobody".into(), false)).await;
    let newer = Frame { kind: FrameKind::Unknown(9), ..Frame::data(view.stream, 500, "newer".into(), false) };
    link.send_frame(&newer).await;
    view.type_line(&mut link, "exit").await;
    view.until_end(&mut link).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_paste_waits_for_the_program_and_arrives() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    let mut view = SessionView::open(&mut link, session_spec()).await;
    view.type_line(&mut link, "stty raw -echo; echo ready; sleep 0.2; head -c 1000000 | cksum; stty sane; exit").await;
    // With its line end, which the echo of the command does not have: bytes typed before `stty` would be signals.
    view.until(&mut link, "ready\n").await;
    let begin = view.typed;
    let paste: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    let mut sent = 0;
    while sent < paste.len() {
        let room = (view.applied + INPUT_WINDOW).saturating_sub(begin + sent as u64).min(30_000) as usize;
        if room == 0 {
            view.next(&mut link).await;
            continue;
        }
        let end = paste.len().min(sent + room);
        view.type_in(&mut link, paste[sent..end].to_vec()).await;
        sent = end;
    }
    view.until_end(&mut link).await;
    std::fs::write(rig.dir.path().join("paste"), &paste).unwrap();
    let file = std::fs::File::open(rig.dir.path().join("paste")).unwrap();
    let expected = std::process::Command::new("cksum").stdin(file).output().unwrap();
    let expected = String::from_utf8(expected.stdout).unwrap();
    assert!(view.text().contains(expected.trim()), "{} has no {expected}", view.text());
    agent.stop().await;
}

#[tokio::test]
async fn a_flood_waits_for_who_needs_it() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    let mut view = SessionView::open(&mut link, session_spec()).await;
    view.type_line(&mut link, "stty -echo; yes | head -c 3000000 > /dev/tty; touch done; exit").await;
    // The link breaks while a claim is held: nothing is lost, and the program waits.
    while view.received < 100_000 {
        view.next(&mut link).await;
    }
    drop(link);
    let mut link = rig.hive.link().await;
    link.send_control(ToAgent::PtyAttach { session_id: view.id, received: None }).await;
    let started = view.begin(&mut link).await;
    assert_eq!(started.keep, Some(started.output), "it goes on at the first byte that is needed");
    assert!(!rig.dir.path().join("done").exists());
    view.let_flow(&mut link).await;
    view.until_end(&mut link).await;
    assert_eq!(view.gaps, []);
    assert!(rig.dir.path().join("done").exists());
    agent.stop().await;
}

#[tokio::test]
async fn output_nobody_needs_is_dropped_and_the_loss_is_told() {
    let mut rig = rig().await;
    rig.config.claim_linger = Duration::from_millis(100);
    let (agent, mut link) = rig.start_and_link().await;
    let mut view = SessionView::open(&mut link, session_spec()).await;
    view.type_line(&mut link, "stty -echo -onlcr; echo ready; read x; seq 1 600000; touch done; exit").await;
    view.until(&mut link, "ready\n").await;
    view.output.clear();
    let began = view.received;
    view.type_line(&mut link, "").await;
    while view.applied < view.typed {
        view.next(&mut link).await;
    }
    drop(link);
    // The claim expires, and the program runs to its end without a viewer.
    rig.until(|| rig.dir.path().join("done").exists()).await;
    let mut link = rig.hive.link().await;
    let started = view.attach(&mut link).await;
    assert_eq!(started.keep, None);
    assert_eq!(view.until_end(&mut link).await, exited(0));
    let [(from, to)] = view.gaps[..] else { panic!("{:?}", view.gaps) };
    let expected = lines("", 1..=600_000);
    let (from, to) = ((from - began) as usize, (to - began) as usize);
    assert!(to - from > 1_000_000 && expected.len() - to >= 1024 * 1024);
    assert!(view.text() == format!("{}{}", &expected[..from], &expected[to..]));
    agent.stop().await;
}

#[tokio::test]
async fn a_restarted_hive_is_told_who_typed_last() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    let mut view = SessionView::open(&mut link, session_spec()).await;
    let writer = ViewerId::new(Seed { unix_millis: 1, random: [7; 10] });
    link.send_control(ToAgent::PtyWriter { session_id: view.id, writer: Some(writer) }).await;
    view.type_line(&mut link, "echo $((6*7))").await;
    view.until(&mut link, "42\r\n").await;
    drop(link);
    let mut link = rig.hive.link().await;
    link.send_control(ToAgent::PtyAttach { session_id: view.id, received: None }).await;
    let started = view.begin(&mut link).await;
    assert_eq!((started.writer, started.input), (Some(writer), view.typed));
    agent.stop().await;
}

#[tokio::test]
async fn a_heartbeat_counts_the_sessions_that_are_open() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    let mut views = Vec::new();
    for _ in 0..2 {
        views.push(SessionView::open(&mut link, session_spec()).await);
    }
    views[0].type_line(&mut link, "stty -echo; exit").await;
    views[0].until_end(&mut link).await;
    link.send_control(ToAgent::HeartbeatPing { timestamp: clock::now(), sent_at: None }).await;
    let FromAgent::Control(ToServer::HeartbeatPong { metrics: Some(metrics), .. }) = link.next().await else {
        panic!()
    };
    assert_eq!(metrics.active_sessions, 1);
    agent.stop().await;
}

#[tokio::test]
async fn an_interrupt_stops_a_flood_at_once() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    let mut view = SessionView::open(&mut link, session_spec()).await;
    view.type_line(&mut link, "stty -echo; yes").await;
    while view.received < 2_000_000 {
        view.next(&mut link).await;
    }
    view.type_in(&mut link, &b"\x03"[..]).await;
    let begun = view.received;
    view.type_line(&mut link, "echo back; exit").await;
    view.until_end(&mut link).await;
    assert!(view.text().ends_with("back\r\n"));
    // Only what was under way arrives, and not what the program would have written since.
    assert!(view.received < begun + 3_000_000, "{}", view.received - begun);
    agent.stop().await;
}

#[tokio::test]
async fn a_session_asked_for_twice_is_there_once() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    let spec = session_spec();
    let mut view = SessionView::open(&mut link, spec.clone()).await;
    view.type_line(&mut link, "echo $$ >> pids; echo ready").await;
    view.until(&mut link, "ready\r\nready").await;
    link.send_control(ToAgent::PtyStart(Box::new(spec))).await;
    let stream = view.stream;
    while view.applied < view.typed {
        view.next(&mut link).await;
    }
    let started = view.begin(&mut link).await;
    assert_eq!((started.stream, started.input), (stream, view.typed));
    view.type_line(&mut link, "exit").await;
    view.until_end(&mut link).await;
    assert_eq!(rig.file("pids").lines().count(), 1);
    agent.stop().await;
}

async fn check_refused(rig: &mut AgentRig, spec: PtySpec, code: ErrorCode, part: &str) {
    let (agent, mut link) = rig.start_and_link().await;
    let id = spec.session_id;
    link.send_control(ToAgent::PtyStart(Box::new(spec))).await;
    let FromAgent::Control(ToServer::PtyEnded { session_id, end }) = link.next().await else {
        panic!("it was not refused")
    };
    let error = end.error.unwrap();
    assert_eq!((session_id, end.reason, error.code), (id, EndReason::Error, code), "{}", error.message);
    assert!(error.message.contains(part), "{}", error.message);
    agent.stop().await;
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let with_shell = |shell: &str| PtySpec { shell: Some(shell.into()), ..session_spec() };
    let mut rig = rig().await;
    check_refused(&mut rig, with_shell("sh"), ErrorCode::InvalidInput, "absolute").await;
    check_refused(&mut rig, with_shell("/no/such/shell"), ErrorCode::InvalidInput, "/no/such/shell").await;
    let odd = PtySpec { env: [("A=B".to_owned(), String::new())].into(), ..session_spec() };
    check_refused(&mut rig, odd, ErrorCode::InvalidInput, "A=B").await;
    rig.config.policy.blocked_commands = vec!["sh".into()];
    check_refused(&mut rig, session_spec(), ErrorCode::CommandBlocked, "blocks").await;
    rig.config.policy.allow_shell = false;
    check_refused(&mut rig, session_spec(), ErrorCode::CommandBlocked, "not allowed").await;
    rig.config.policy = crate::policy::Policy::default();
    rig.config.max_sessions = 0;
    check_refused(&mut rig, session_spec(), ErrorCode::RateLimited, "0 sessions").await;
}
