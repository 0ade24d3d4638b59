//! Output: every byte once, or its loss reported.

use super::*;

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
