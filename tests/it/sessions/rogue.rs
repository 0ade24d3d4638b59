//! Satellites that lie about terminals: they hurt nobody but themselves.

use futures_util::future::{Either, select};
use hive_core::wire::session::AttachRequest;
use serde_json::{Value, json};

use super::{Site, viewer::position};
use crate::rogue::Rogue;
use crate::support::text;

fn started(id: &str, output: u64, input: u64) -> Value {
    json!({
        "type": "pty_started", "session_id": id, "stream": 1, "output": output, "input": input, "cols": 80, "rows": 24,
    })
}

fn ended(id: &str) -> Value {
    json!({"type": "pty_ended", "session_id": id, "end": {"reason": "exited", "exit_code": 0}})
}

/// A terminal that the hive has asked this satellite for, and that it says to have.
async fn opened(site: &Site, rogue: &mut Rogue, output: u64, input: u64) -> String {
    let rest = site.hive.rest();
    let body = json!({"satellite_id": rogue.satellite.id});
    let answering = async {
        let asked = rogue.hear("pty_start").await;
        let id = text(&asked["session_id"]).to_owned();
        rogue.try_say(&started(&id, output, input)).await;
        rogue.seen().await;
        id
    };
    // Who asked for it gets no answer where there is no sense in what it says.
    let asking = rest.call("POST", "/api/v1/sessions").json(&body).send();
    let (asking, answering) = (std::pin::pin!(asking), std::pin::pin!(answering));
    match select(asking, answering).await {
        Either::Left((_, answering)) => answering.await,
        Either::Right((id, _)) => id,
    }
}

#[tokio::test]
async fn a_terminal_is_heard_from_its_own_satellite_alone() {
    let site = Site::start().await;
    let mut viewer = site.shell().await;
    assert_eq!(viewer.answer("honest").await, "honest");
    let id = viewer.id().to_string();
    // Once without this terminal in the handshake, and once with it.
    for sessions in [&[], &[viewer.id()][..]] {
        let mut rogue = Rogue::register_with(&site.hive, &format!("rogue-server-{}", sessions.len()), sessions).await;
        for lie in [
            started(&id, 0, 0),
            json!({"type": "pty_applied", "session_id": id, "offset": 1u64 << 40}),
            json!({"type": "pty_gap", "session_id": id, "from": 0, "to": 1u64 << 40}),
            ended(&id),
        ] {
            rogue.try_say(&lie).await;
            rogue.try_send(1, 0, "a lie\n").await;
        }
        rogue.seen().await;
        assert_eq!(site.session(viewer.id()).await["status"], "open");
        assert_eq!(viewer.answer("still honest").await, "still honest");
        assert!(position(&viewer.output, b"a lie").is_none());
    }
}

#[tokio::test]
async fn a_terminal_nobody_asked_for_is_none() {
    let site = Site::start().await;
    let id = "sess_01kge3h900e41861050r3gg28a";
    let mut rogue = Rogue::register_with(&site.hive, "rogue-server-1", &[id.parse().unwrap()]).await;
    assert_eq!(rogue.hear("pty_end").await["session_id"], id, "it is told to end what is not known");
    for lie in [started(id, 0, 0), ended(id)] {
        rogue.try_say(&lie).await;
    }
    rogue.try_send(1, 0, "a lie\n").await;
    rogue.seen().await;
    assert_eq!(site.hive.rest().get(&format!("/api/v1/sessions/{id}")).await.status, 404);
    assert_eq!(site.hive.rest().get("/api/v1/sessions?ended=true").await.data(), json!([]));
    assert_eq!(site.hive.exec(&site.satellite, "echo alive").await["stdout"], "alive\n");
}

#[tokio::test]
async fn offsets_that_cannot_be_do_no_harm() {
    let site = Site::start().await;
    let most = u64::MAX;
    // What it says it has, and the frame that follows.
    for (number, (output, input, offset)) in [
        (most, most, most),
        (most - 3, 0, most - 3),
        (0, most, 0),
        (1u64 << 40, 1u64 << 40, 1u64 << 40),
        (0, 0, 1u64 << 40),
    ]
    .into_iter()
    .enumerate()
    {
        let mut rogue = Rogue::register(&site.hive, &format!("rogue-server-{number}")).await;
        let id = opened(&site, &mut rogue, output, input).await;
        rogue.try_send(1, offset, "xxx").await;
        for (from, to) in [(0, most), (most, 0), (1, 1)] {
            rogue.try_say(&json!({"type": "pty_gap", "session_id": id, "from": from, "to": to})).await;
        }
        rogue.try_say(&json!({"type": "pty_applied", "session_id": id, "offset": most})).await;
        rogue.try_send(1, most - 3, "xxx").await;
        rogue.try_say(&started(&id, 0, 0)).await;
        rogue.seen().await;
        site.hive.rest().get(&format!("/api/v1/sessions/{id}")).await.data();
    }
    let mut viewer = site.shell().await;
    assert_eq!(viewer.answer("alive").await, "alive");
}

#[tokio::test]
async fn a_flood_without_credit_ends_the_link() {
    let site = Site::start().await;
    let mut rogue = Rogue::register(&site.hive, "rogue-server-1").await;
    let id = opened(&site, &mut rogue, 0, 0).await;
    // Somebody types there and reads nothing: the satellite may send no more than one window.
    let writer = site.remote().attach(id.parse().unwrap(), AttachRequest::default()).await.unwrap();
    // 64 KiB, the largest payload of a frame.
    let flood: &'static str = "0123456789abcdef".repeat(4096).leak();
    for piece in 0..64 {
        rogue.try_send(1, piece * flood.len() as u64, flood).await;
    }
    assert_eq!(rogue.closed().await, Some(4400));
    assert_eq!(site.session(writer.attached.session.id).await["online"], false);
    assert_eq!(site.hive.exec(&site.satellite, "echo alive").await["stdout"], "alive\n");
}
