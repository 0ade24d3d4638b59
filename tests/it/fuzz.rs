//! Sends garbage on the sockets of both sides, generated from a seed: its sender loses the link, and nobody else is
//! affected.
//!
//! `HIVE_FUZZ_SEED` and `HIVE_FUZZ_ROUNDS` repeat a failure or look for longer.

mod garbage;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hive_test_peers::FakeHive;
use hive_testkit::{SatelliteOptions, TestHive, until};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use self::garbage::Garbage;
use crate::rogue::Rogue;
use crate::support::{Dice, number};

/// How long an answer may take before the question counts as swallowed: half a frame takes what comes next for its rest.
const HALF_A_FRAME: Duration = Duration::from_millis(700);
/// The codes of whoever breaks the protocol.
const CODES: [u16; 5] = [1002, 1007, 1009, 4400, 4429];

/// What the other side made of a piece of garbage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// It goes on.
    GoesOn,
    /// It ended the link with a code.
    Closed(u16),
    /// It was gone before it could be heard.
    Gone,
    /// It waits for more.
    Waits,
}

fn seed() -> u64 {
    number("HIVE_FUZZ_SEED").unwrap_or_else(|| u64::from(std::process::id()))
}

fn rounds(default: u64) -> u64 {
    number("HIVE_FUZZ_ROUNDS").unwrap_or(default)
}

/// Sends bytes as they are, and asks whether anybody is still there.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(link: &mut WebSocketStream<S>, bytes: &[u8]) -> Answer {
    let asked = async {
        link.get_mut().write_all(bytes).await.ok();
        link.send(Message::Ping("seen".into())).await.ok();
        loop {
            match link.next().await {
                Some(Ok(Message::Pong(_))) => return Answer::GoesOn,
                Some(Ok(Message::Close(Some(frame)))) => return Answer::Closed(frame.code.into()),
                Some(Ok(Message::Close(None)) | Err(_)) | None => return Answer::Gone,
                Some(Ok(_)) => {}
            }
        }
    };
    tokio::time::timeout(HALF_A_FRAME, asked).await.unwrap_or(Answer::Waits)
}

#[tokio::test]
async fn garbage_from_a_satellite_costs_it_its_link_and_nobody_else_anything() {
    let mut hive = TestHive::start().await;
    let honest = hive.satellite("satellite-01").await;
    let mut dice = Dice::of(seed());
    let mut rogue = Rogue::register(&hive, "rogue-satellite").await;
    let mut closed = 0;
    for _ in 0..rounds(120) {
        let garbage = Garbage::of(&mut dice);
        match answer(&mut rogue.link().socket, &garbage.bytes(true)).await {
            Answer::GoesOn => continue,
            Answer::Closed(code) => {
                assert!(CODES.contains(&code), "seed {}: {garbage:?} closed with {code}", seed());
                closed += 1;
            }
            Answer::Gone | Answer::Waits => {}
        }
        rogue = rogue.come_back(&hive).await;
    }
    assert!(closed > 10, "only {closed} pieces were garbage enough");
    assert_eq!(hive.exec(&honest, "echo still here").await["stdout"], "still here\n");
    let log = hive.server().log();
    assert!(!log.contains("panicked"), "seed {}: {log}", seed());
}

#[tokio::test]
async fn garbage_instead_of_http_is_answered_or_hung_up_on() {
    let mut hive = TestHive::start().await;
    let honest = hive.satellite("satellite-01").await;
    let address = hive.url().strip_prefix("http://").unwrap().to_owned();
    let mut dice = Dice::of(seed());
    for _ in 0..rounds(100) {
        let len = 1 + dice.below(3_000) as usize;
        let mut bytes = dice.bytes(len);
        // Half of them begin like a request for a link, so that they get further into the parser.
        if dice.below(2) == 0 {
            let mut request = b"GET /ws/agent HTTP/1.1\r\nupgrade: websocket\r\n".to_vec();
            request.append(&mut bytes);
            bytes = request;
        }
        let mut socket = TcpStream::connect(&address).await.unwrap();
        socket.write_all(&bytes).await.ok();
        socket.shutdown().await.ok();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.ok();
        let is_refusal = answer.is_empty() || answer.starts_with(b"HTTP/1.1 4");
        assert!(is_refusal, "seed {}: {}", seed(), String::from_utf8_lossy(&answer));
    }
    assert_eq!(hive.exec(&honest, "echo still here").await["stdout"], "still here\n");
    assert!(!hive.server().log().contains("panicked"), "seed {}: {}", seed(), hive.server().log());
}

/// The next link of a satellite, whatever it says in its handshake: it is the one under test.
async fn hostile_link(hostile: &FakeHive) -> WebSocketStream<TcpStream> {
    let (mut link, _) = hostile.raw_link().await;
    link.accept_as(None, 30).await;
    link.socket
}

#[tokio::test]
async fn garbage_from_a_hive_ends_the_link_and_never_the_satellite() {
    let hive = TestHive::start().await;
    let hostile = FakeHive::in_front_of(hive.url()).await;
    let mut options = SatelliteOptions { server: Some(hostile.url()), ..SatelliteOptions::default() };
    options.args(["--reconnect-initial", "0.02", "--reconnect-max", "0.05", "--max-running", "8"]);
    let mut satellite = hive.satellite_with("web-server-01", options).await;
    // The same process at the end: a crash and a restart would show.
    let pid = satellite.process().pid();
    let mut dice = Dice::of(seed());
    hostile.take_over();
    let mut closed = 0;
    let mut link = hostile_link(&hostile).await;
    for _ in 0..rounds(120) {
        let garbage = Garbage::of(&mut dice);
        match answer(&mut link, &garbage.bytes(false)).await {
            Answer::GoesOn => continue,
            Answer::Closed(code) => {
                assert!(CODES.contains(&code), "seed {}: {garbage:?} closed with {code}", seed());
                closed += 1;
            }
            Answer::Gone | Answer::Waits => {}
        }
        // One that waits for more dials again only when this one is gone.
        drop(link);
        link = hostile_link(&hostile).await;
    }
    assert!(closed > 10, "only {closed} pieces were garbage enough");
    drop(link);
    hostile.lead_to(hive.url());
    until("the satellite is back", async || hive.rest().get(&satellite.path("")).await.data()["online"] == true).await;
    assert_eq!(hive.exec(&satellite, "echo still here").await["stdout"], "still here\n");
    assert_eq!(satellite.process().pid(), pid);
    let log = satellite.process().log();
    assert!(!log.contains("panicked"), "seed {}: {log}", seed());
}
