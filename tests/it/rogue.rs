//! A satellite that violates the protocol: what it reports about commands of others is not accepted.

use std::time::Duration;

use hive_core::wire::agent::Handshake;
use hive_core::wire::frame::{Frame, StreamId};
use hive_core::wire::{ErrorCode, SessionId};
use hive_test_peers::FakeSatellite;
use hive_test_peers::satellite::{WebSocketLink, handshake};
use hive_testkit::{TestHive, TestSatellite, until};
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::text;

/// A satellite that says what it should not.
pub(crate) struct Rogue {
    pub(crate) satellite: FakeSatellite<WebSocketLink>,
}

async fn dial(hive: &TestHive, key: &str) -> Result<WebSocketLink, Error> {
    WebSocketLink::dial(hive.url().strip_prefix("http://").unwrap(), key).await
}

impl Rogue {
    /// Registers as a satellite of its own and opens a link.
    pub(crate) async fn register(hive: &TestHive, name: &str) -> Self {
        Self::register_with(hive, name, &[]).await
    }

    /// The same, and says that it has these terminals.
    pub(crate) async fn register_with(hive: &TestHive, name: &str, sessions: &[SessionId]) -> Self {
        let mut rogue = Self::without_handshake(hive, name).await;
        rogue.shake_hands(sessions).await;
        rogue
    }

    /// Registers as a satellite of its own and opens a link, without a handshake.
    async fn without_handshake(hive: &TestHive, name: &str) -> Self {
        let token = hive.new_token(None).await;
        let answer =
            hive.anonymous().bearer(&token).post("/api/satellites/register", &json!({"name": name})).await.json();
        let (id, key) = (text(&answer["satellite"]["id"]), text(&answer["satellite"]["api_key"]));
        let link = dial(hive, key).await.unwrap();
        Self { satellite: FakeSatellite::new(id.parse().unwrap(), key).on(link) }
    }

    /// Opens a new link.
    pub(crate) async fn come_back(mut self, hive: &TestHive) -> Self {
        // The hive limits how often one satellite may connect. A rogue that is refused waits as any other.
        let link = loop {
            match dial(hive, &self.satellite.key).await {
                Err(Error::Http(answer)) if answer.status() == 429 => sleep(Duration::from_millis(200)).await,
                dialled => break dialled.unwrap(),
            }
        };
        self.satellite.relink(link).await;
        self.shake_hands(&[]).await;
        self
    }

    async fn shake_hands(&mut self, sessions: &[SessionId]) {
        let handshake = Handshake { sessions: sessions.to_vec(), ..self.satellite.handshake("rogue-journal") };
        let ack = self.satellite.shake_hands(handshake).await;
        assert!(ack.success, "{ack:?}");
    }

    pub(crate) fn link(&mut self) -> &mut WebSocketLink {
        self.satellite.link()
    }

    async fn say(&mut self, message: &Value) {
        self.link().try_send_json(message).await.unwrap();
    }

    /// Says something that may end the link.
    pub(crate) async fn try_say(&mut self, message: &Value) {
        self.link().try_send_json(message).await.ok();
    }

    /// Sends a frame, which may end the link.
    pub(crate) async fn try_send(&mut self, stream: u32, offset: u64, data: &'static str) {
        self.satellite.try_send(Frame::data(StreamId(stream), offset, data.into(), false)).await.ok();
    }

    /// Waits until the server has seen all that was said: it answers, or has thrown it out.
    pub(crate) async fn seen(&mut self) {
        self.link().seen().await;
    }

    /// Waits for a message of this type.
    pub(crate) async fn hear(&mut self, kind: &str) -> Value {
        self.link().next_json(kind).await
    }

    /// Waits for the end of the link; the code it was closed with.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        self.satellite.closed().await
    }
}

fn result(id: &str) -> Value {
    json!({
        "type": "command_result",
        "id": id,
        "status": "succeeded",
        "exit_code": 0,
        "duration_ms": 1,
        "sent": {"stdout": 0, "stderr": 0},
    })
}

/// A command that runs until its file is there.
async fn running(hive: &TestHive, satellite: &TestSatellite) -> String {
    let gate = hive.dir().join("gate");
    let line = format!("until test -e {}; do sleep 0.01; done; echo honest", gate.display());
    let id = hive.submit(satellite, &json!({"command": line})).await;
    hive.until_status(&id, "started").await;
    id
}

#[tokio::test]
async fn a_result_counts_only_from_the_satellite_that_was_asked() {
    let hive = TestHive::start().await;
    let honest = hive.satellite("satellite-01").await;
    let id = running(&hive, &honest).await;
    let mut rogue = Rogue::register(&hive, "satellite-02").await;
    rogue.say(&json!({"type": "command_ack", "id": id})).await;
    let output = json!({"type": "stream_open", "stream": 1, "command_id": id, "channel": "stdout", "offset": 0});
    rogue.say(&output).await;
    rogue.try_send(1, 0, "lie\n").await;
    rogue.try_say(&result(&id)).await;
    rogue.seen().await;
    assert_eq!(hive.command(&id).await["status"], "started");
    std::fs::write(hive.dir().join("gate"), "").unwrap();
    assert_eq!(hive.until_status(&id, "succeeded").await["stdout"], "honest\n");
}

#[tokio::test]
async fn a_link_needs_the_key_of_the_satellite_it_speaks_for() {
    let hive = TestHive::start().await;
    let honest = hive.satellite("satellite-01").await;
    // The last one is valid, but of a user.
    for key in ["", "hive_satellite_api_global_nonsense", hive.api_key()] {
        let refused = dial(&hive, key).await.err();
        let Some(Error::Http(answer)) = refused else { panic!("{key:?} was let in") };
        assert_eq!(answer.status().as_u16(), 401);
    }
    let mut rogue = Rogue::without_handshake(&hive, "satellite-02").await;
    // Its own key is valid: only the id in the handshake is that of another satellite.
    let refused = rogue.satellite.shake_hands(handshake(honest.id().parse().unwrap(), "rogue-journal")).await;
    let code = refused.error.as_ref().map(|error| error.code.clone());
    assert_eq!((refused.success, code), (false, Some(ErrorCode::AuthInvalid)), "{refused:?}");
    assert_eq!(rogue.closed().await, Some(4401));
    assert_eq!(hive.exec(&honest, "echo still here").await["stdout"], "still here\n");
}

#[tokio::test]
async fn what_is_not_the_protocol_ends_the_link_and_nothing_else() {
    let hive = TestHive::start().await;
    let honest = hive.satellite("satellite-01").await;
    for (number, message) in [
        Message::text("not json"),
        Message::text(r#"{"type":"command_ack","id":"cmd_nonsense"}"#),
        Message::binary(vec![1, 2, 3]),
        Message::binary(Frame::data(StreamId(7), 1 << 40, "beyond".into(), false).encode()),
    ]
    .into_iter()
    .enumerate()
    {
        let mut rogue = Rogue::register(&hive, &format!("rogue-satellite-{number}")).await;
        let told = format!("{message:?}");
        rogue.link().send_raw(message).await;
        assert_eq!(rogue.closed().await, Some(4400), "{told}");
    }
    // A message of a newer version is none of these.
    let mut newer = Rogue::register(&hive, "newer-satellite").await;
    newer.say(&json!({"type": "from_the_future", "field": 1})).await;
    newer.link().send_raw(Message::Ping("seen".into())).await;
    until("the newer one is answered", async || matches!(newer.link().next_raw().await, Some(Message::Pong(_)))).await;
    assert_eq!(hive.exec(&honest, "echo still here").await["stdout"], "still here\n");
}
