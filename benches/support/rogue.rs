//! A satellite with a valid key that breaks the protocol.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::ensure;
use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use hive_core::wire::agent::SUBPROTOCOL;
use hive_testkit::SimulatedIdentity;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::support::stranger::{connect, upgrade};

/// Tasks that begin handshakes. Many, because a connection waits a second when the accept queue of the server is full.
const TASKS: usize = 64;
/// Messages between two flushes.
const BATCH: usize = 64;
/// The pause after a failed attempt.
const PAUSE: Duration = Duration::from_millis(1);

/// Begins handshakes until the flag is set, on `count` concurrent connections, and completes none. Returns how many were begun.
pub(crate) async fn begin_handshakes(
    address: &str,
    identity: &SimulatedIdentity,
    count: usize,
    over: &AtomicBool,
) -> anyhow::Result<u64> {
    let head = format!("{}authorization: Bearer {}\r\n\r\n", upgrade(address), identity.api_key);
    // The key has to be a valid one. Otherwise this would measure the limits for unauthenticated callers.
    let mut first = connect(address).await?;
    first.write_all(head.as_bytes()).await?;
    let mut status = [0; 12];
    first.read_exact(&mut status).await?;
    ensure!(status == *b"HTTP/1.1 101", "the server refuses the satellite: {}", String::from_utf8_lossy(&status));
    let begun = join_all((0..TASKS).map(|_| begin(address, &head, count.div_ceil(TASKS), over))).await;
    Ok(begun.into_iter().sum())
}

async fn begin(address: &str, head: &str, count: usize, over: &AtomicBool) -> u64 {
    let (mut begun, mut open) = (0, std::collections::VecDeque::new());
    while !over.load(Ordering::Relaxed) {
        let Ok(mut stream) = connect(address).await else {
            sleep(PAUSE).await;
            continue;
        };
        begun += u64::from(stream.write_all(head.as_bytes()).await.is_ok());
        open.push_back(stream);
        // The oldest goes: the number of open connections stays the same.
        if open.len() > count {
            open.pop_front();
        }
    }
    begun
}

/// Sends unexpected messages until the flag is set. Opens a new link when the server ends one. Returns how many were sent.
pub(crate) async fn send_unexpected(
    address: &str,
    identity: &SimulatedIdentity,
    over: &AtomicBool,
) -> anyhow::Result<u64> {
    let mut sent = 0;
    while !over.load(Ordering::Relaxed) {
        sent += on_one_link(address, identity, over).await.unwrap_or(0);
        sleep(PAUSE).await;
    }
    Ok(sent)
}

async fn on_one_link(address: &str, identity: &SimulatedIdentity, over: &AtomicBool) -> anyhow::Result<u64> {
    let mut request = format!("ws://{address}/ws/agent").into_client_request()?;
    request.headers_mut().insert("authorization", format!("Bearer {}", identity.api_key).parse()?);
    request.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL.parse()?);
    let (socket, _) = client_async(request, connect(address).await?).await?;
    let (mut to_server, mut from_server) = socket.split();
    let handshake = json!({
        "type": "handshake", "agent_id": identity.id, "version": "0.0.0", "protocol_version": "2",
        "journal_id": "rogue-journal", "capabilities": ["shell"], "system": {"hostname": "rogue"},
    });
    to_server.send(Message::text(handshake.to_string())).await?;
    let mut sent = 0;
    let sending = async {
        while !over.load(Ordering::Relaxed) {
            for message in unexpected().iter().cycle().take(BATCH) {
                to_server.feed(message.clone()).await?;
            }
            to_server.flush().await?;
            sent += BATCH as u64;
        }
        anyhow::Ok(())
    };
    // Unread messages would fill the socket's buffers and block the server.
    let reading = async { while let Some(Ok(_)) = from_server.next().await {} };
    tokio::select! {
        _ = sending => {}
        () = reading => {}
    }
    Ok(sent)
}

/// The end of a command and of a session that the satellite never had, and an error report.
fn unexpected() -> [Message; 3] {
    let command = json!({
        "type": "command_result", "id": "cmd_00000000000000000000000000", "status": "succeeded", "exit_code": 0,
        "duration_ms": 1, "sent": {"stdout": 0, "stderr": 0},
    });
    let terminal = json!({
        "type": "pty_ended", "session_id": "sess_00000000000000000000000000", "end": {"reason": "exited", "exit_code": 0},
    });
    let error = json!({"type": "error", "error": {"code": "INTERNAL", "message": "odd"}});
    [command, terminal, error].map(|message| Message::text(message.to_string()))
}
