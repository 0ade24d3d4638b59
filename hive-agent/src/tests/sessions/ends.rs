//! How a session ends, and that none of its processes is left.

use super::*;

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
    assert_eq!(link.next().await, FromSatellite::Control(ToServer::PtyEnded { session_id: view.id, end: lost }));
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
    assert_eq!(link.next().await, FromSatellite::Control(ToServer::Disconnect { reason: "shutdown".into() }));
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
