//! Input: every byte typed once and in order.

use super::*;

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
    assert_eq!(link.try_next().await, None);
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
