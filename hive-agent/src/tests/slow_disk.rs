//! A disk that does not answer. A FIFO stands for it: a process that opens one for writing waits until it is read.

use super::*;
use hive_test_peers::hive::{SessionView, session_spec};
use hive_wire::agent::Metrics;
use nix::sys::stat::Mode;

async fn problems(link: &mut HiveLink) -> Vec<String> {
    link.send_control(ToAgent::HeartbeatPing { timestamp: clock::now(), sent_at: None }).await;
    loop {
        match link.next().await {
            FromSatellite::Control(ToServer::HeartbeatPong { metrics: Some(Metrics { problems, .. }), .. }) => {
                return problems;
            }
            FromSatellite::Control(ToServer::PtyApplied { .. }) => {}
            other => panic!("{other:?} instead of the answer of a heartbeat"),
        }
    }
}

#[tokio::test]
async fn an_echo_does_not_wait_for_the_disk_of_the_spool() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    let output = rig.dir.path().join("data/spool").join(format!("{}.stdout", command_id(1)));
    nix::unistd::mkfifo(&output, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let mut view = SessionView::open(&mut link, session_spec()).await;
    view.type_line(&mut link, "stty -echo; echo ready; cat").await;
    // The program's line, not the echo of the typed one: nothing else of the session may come before the acknowledgement.
    view.until(&mut link, "ready\r\n").await;

    link.send_control(shell(1, "echo spooled; : > written", 0)).await;
    while !matches!(link.next().await, FromSatellite::Control(ToServer::CommandAck { .. })) {}
    while !rig.dir.path().join("written").exists() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // The view would panic at a message of the command: its output is not there before it is spooled.
    for n in 0..50 {
        view.type_line(&mut link, &format!("line {n}")).await;
        view.until(&mut link, &format!("line {n}\r\n")).await;
    }
    let told = problems(&mut link).await;
    assert!(told.len() == 1 && told[0].ends_with("does not respond"), "{told:?}");

    // The disk answers: what it does not take then goes on in memory.
    let disk = std::fs::File::options().read(true).write(true).open(&output).unwrap();
    let (result, transcript) = link.result().await;
    assert_eq!((result.status, &*transcript.bytes), (CommandStatus::Succeeded, &b"spooled\n"[..]));
    drop(disk);
    assert_eq!(problems(&mut link).await, [""; 0]);
    agent.stop().await;
}
