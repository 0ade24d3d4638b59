//! Sessions with real shells over links that break and return.

mod ends;
mod input;
mod output;

use std::ops::RangeInclusive;

use hive_test_peers::hive::{SessionView, session_spec};
use hive_wire::ViewerId;
use hive_wire::agent::PtySpec;
use hive_wire::api::{EndReason, SessionEnd, Size};
use hive_wire::frame::{Frame, FrameKind};
use hive_wire::id::Seed;
use hive_wire::session::INPUT_WINDOW;

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
    // A shell runs its trap only between two commands, so that it needs short ones.
    let watch = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.01; done";
    view.type_line(&mut link, &format!("stty -echo; stty size; sh -c \"{watch}\"")).await;
    view.until(&mut link, "24 80\r\nready").await;
    for cols in 100..=132 {
        let size = Size { cols, rows: 43 };
        link.send_control(ToAgent::PtyResize { session_id: view.id, size, redraw: false }).await;
    }
    view.until(&mut link, "43 132\r\n").await;
    // The same size again: only a redraw makes the program hear of it.
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
    let FromSatellite::Control(ToServer::HeartbeatPong { metrics: Some(metrics), .. }) = link.next().await else {
        panic!()
    };
    assert_eq!(metrics.active_sessions, 1);
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
    // The second start is answered behind the input, so that all of this has to be read first.
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
    let FromSatellite::Control(ToServer::PtyEnded { session_id, end }) = link.next().await else {
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
