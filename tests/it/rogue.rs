//! A satellite that violates the protocol: what it reports about commands of others is not accepted.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hive_testkit::{TestHive, TestSatellite, until};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::text;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A bare connection to the server.
pub(crate) struct Rogue {
    pub(crate) id: String,
    key: String,
    pub(crate) socket: Socket,
}

impl Rogue {
    async fn dial(hive: &TestHive, key: &str) -> Result<Self, Error> {
        let url = format!("{}/ws/agent", hive.url().replace("http://", "ws://"));
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("authorization", format!("Bearer {key}").parse().unwrap());
        headers.insert("sec-websocket-protocol", "hive.agent.v2".parse().unwrap());
        let (socket, _) = connect_async(request).await?;
        Ok(Self { id: String::new(), key: key.to_owned(), socket })
    }

    /// Registers as a satellite of its own and opens a link.
    pub(crate) async fn register(hive: &TestHive, name: &str) -> Self {
        Self::register_with(hive, name, &[]).await
    }

    /// The same, and says that it has these terminals.
    pub(crate) async fn register_with(hive: &TestHive, name: &str, sessions: &[String]) -> Self {
        let token = hive.new_token(None).await;
        let answer =
            hive.anonymous().bearer(&token).post("/api/satellites/register", &json!({"name": name})).await.json();
        let satellite = &answer["satellite"];
        let mut rogue = Self::dial(hive, text(&satellite["api_key"])).await.unwrap();
        text(&satellite["id"]).clone_into(&mut rogue.id);
        rogue.shake_hands(sessions).await;
        rogue
    }

    /// Opens a new link.
    pub(crate) async fn come_back(self, hive: &TestHive) -> Self {
        // The hive limits how often one satellite may connect. A rogue that is refused waits as any other.
        let link = loop {
            match Self::dial(hive, &self.key).await {
                Err(Error::Http(answer)) if answer.status() == 429 => sleep(Duration::from_millis(200)).await,
                dialled => break dialled.unwrap(),
            }
        };
        let mut rogue = Self { id: self.id, ..link };
        rogue.shake_hands(&[]).await;
        rogue
    }

    async fn shake_hands(&mut self, sessions: &[String]) {
        let mut handshake = handshake(&self.id);
        handshake["sessions"] = json!(sessions);
        self.say(&handshake).await;
        let ack = self.hear("handshake_ack").await;
        assert_eq!(ack["success"], true, "{ack}");
    }

    async fn say(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// Says something that may end the link.
    pub(crate) async fn try_say(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).await.ok();
    }

    /// Sends a frame, which may end the link.
    pub(crate) async fn try_send(&mut self, stream: u32, offset: u64, data: &'static str) {
        let stream = hive_core::wire::frame::StreamId(stream);
        let frame = hive_core::wire::frame::Frame::data(stream, offset, data.into(), false);
        self.socket.send(Message::binary(frame.encode())).await.ok();
    }

    /// Waits until the server has seen all that was said: it answers, or has thrown it out.
    pub(crate) async fn seen(&mut self) {
        self.socket.send(Message::Ping("seen".into())).await.ok();
        while let Some(Ok(message)) = self.socket.next().await {
            if matches!(message, Message::Pong(_) | Message::Close(_)) {
                break;
            }
        }
    }

    /// Waits for a message of this type.
    pub(crate) async fn hear(&mut self, kind: &str) -> Value {
        loop {
            let message = self.socket.next().await.expect("the link is open").unwrap();
            let Message::Text(text) = message else { continue };
            let message: Value = serde_json::from_str(&text).unwrap();
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// Waits for the end of the link; the code it was closed with.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        while let Some(Ok(message)) = self.socket.next().await {
            if let Message::Close(frame) = message {
                return frame.map(|frame| frame.code.into());
            }
        }
        None
    }
}

fn handshake(id: &str) -> Value {
    json!({
        "type": "handshake",
        "agent_id": id,
        "version": "0.0.0",
        "protocol_version": "2",
        "journal_id": "rogue-journal",
        "capabilities": ["shell", "pty"],
        "system": {"hostname": "rogue"},
    })
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
        let refused = Rogue::dial(&hive, key).await.err();
        let Some(Error::Http(answer)) = refused else { panic!("{key:?} was let in") };
        assert_eq!(answer.status().as_u16(), 401);
    }
    let token = hive.new_token(None).await;
    let answer =
        hive.anonymous().bearer(&token).post("/api/satellites/register", &json!({"name": "satellite-02"})).await;
    let key = text(&answer.json()["satellite"]["api_key"]).to_owned();
    let mut rogue = Rogue::dial(&hive, &key).await.unwrap();
    // Its own key is valid: only the id in the handshake is that of another satellite.
    rogue.say(&handshake(honest.id())).await;
    let refused = rogue.hear("handshake_ack").await;
    assert_eq!((&refused["success"], &refused["error"]["code"]), (&json!(false), &json!("AUTH_INVALID")), "{refused}");
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
        Message::binary(
            hive_core::wire::frame::Frame::data(hive_core::wire::frame::StreamId(7), 1 << 40, "beyond".into(), false)
                .encode(),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut rogue = Rogue::register(&hive, &format!("rogue-satellite-{number}")).await;
        let told = format!("{message:?}");
        rogue.socket.send(message).await.unwrap();
        assert_eq!(rogue.closed().await, Some(4400), "{told}");
    }
    // A message of a newer version is none of these.
    let mut newer = Rogue::register(&hive, "newer-satellite").await;
    newer.say(&json!({"type": "from_the_future", "field": 1})).await;
    newer.socket.send(Message::Ping("seen".into())).await.unwrap();
    until("the newer one is answered", async || matches!(newer.socket.next().await, Some(Ok(Message::Pong(_))))).await;
    assert_eq!(hive.exec(&honest, "echo still here").await["stdout"], "still here\n");
}
