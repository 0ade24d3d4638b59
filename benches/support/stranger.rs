//! A flood of requests without a key: registrations and requests for a link, pipelined on a few connections.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hive_core::wire::agent::SUBPROTOCOL;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

/// The source address of the flood. A limit by address is then not shared with the satellites of the bench.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
const CONNECTIONS: usize = 8;
/// Requests that are sent before the first answer is read.
const BATCH: usize = 32;
/// How long one answer may take. The server may keep some connections waiting; those are opened again.
const PATIENCE: Duration = Duration::from_secs(1);
/// The first bytes of every answer.
const HEAD: &[u8] = b"HTTP/1.1 ";

/// Connects from the address of the flood.
pub(crate) async fn connect(address: &str) -> std::io::Result<TcpStream> {
    let target: SocketAddr = address.parse().map_err(std::io::Error::other)?;
    let socket = TcpSocket::new_v4()?;
    socket.bind((ADDRESS, 0).into())?;
    socket.set_nodelay(true)?;
    socket.connect(target).await
}

/// The head of a request for a link, without the empty line at its end.
pub(crate) fn upgrade(host: &str) -> String {
    format!(
        "GET /ws/agent HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: {SUBPROTOCOL}\r\n"
    )
}

/// Sends requests until the flag is set. Returns the number of answers.
pub(crate) async fn ask(address: &str, over: &AtomicBool) -> anyhow::Result<u64> {
    let body = r#"{"name":"stranger-01"}"#;
    let register = format!(
        "POST /api/satellites/register HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let requests = [format!("{}\r\n", upgrade(address)), register];
    let mut connections = Vec::new();
    for number in 0..CONNECTIONS {
        connections.push(ask_again_and_again(address, requests[number % requests.len()].repeat(BATCH), over));
    }
    Ok(futures_util::future::join_all(connections).await.into_iter().sum())
}

async fn ask_again_and_again(address: &str, batch: String, over: &AtomicBool) -> u64 {
    let mut answers = 0;
    while !over.load(Ordering::Relaxed) {
        match connect(address).await {
            Ok(stream) => answers += on_one_connection(stream, &batch, over).await,
            Err(_) => sleep(Duration::from_millis(1)).await,
        }
    }
    answers
}

async fn on_one_connection(mut stream: TcpStream, batch: &str, over: &AtomicBool) -> u64 {
    let (mut answers, mut buffer) = (0, vec![0; 64 * 1024]);
    while !over.load(Ordering::Relaxed) {
        if stream.write_all(batch.as_bytes()).await.is_err() {
            break;
        }
        // Answers are counted by their first bytes: to parse them would slow the flood down.
        let (mut of_batch, mut kept) = (0, 0);
        while of_batch < BATCH {
            let read = timeout(PATIENCE, stream.read(&mut buffer[kept..])).await;
            let Ok(Ok(len @ 1..)) = read else { return answers };
            let filled = kept + len;
            let came = buffer[..filled].windows(HEAD.len()).filter(|window| *window == HEAD).count();
            of_batch += came;
            answers += came as u64;
            // A head may stand across two reads.
            kept = filled.min(HEAD.len() - 1);
            buffer.copy_within(filled - kept..filled, 0);
        }
    }
    answers
}
