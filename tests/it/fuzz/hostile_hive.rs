//! Something in front of a real hive that passes everything on until it turns: then it takes the satellites' links itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use hive_testkit::PATIENCE;

pub(crate) struct HostileHive {
    url: String,
    is_turned: Arc<AtomicBool>,
    links: tokio::sync::Mutex<mpsc::Receiver<WebSocketStream<TcpStream>>>,
    /// Ends with this value, and with it everything it serves.
    _accepting: JoinSet<()>,
}

impl HostileHive {
    pub(crate) async fn in_front_of(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = format!("http://{}", listener.local_addr().unwrap());
        let target = url.strip_prefix("http://").unwrap().to_owned();
        let is_turned = Arc::new(AtomicBool::new(false));
        let (opened, links) = mpsc::channel(16);
        let (turned, mut accepting) = (is_turned.clone(), JoinSet::new());
        accepting.spawn(async move {
            let mut serving = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                serving.spawn(serve(socket, target.clone(), turned.clone(), opened.clone()));
            }
        });
        Self { url: own, is_turned, links: links.into(), _accepting: accepting }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// Whether links end here from now on. Those that are open are broken.
    pub(crate) fn turn(&self, is_turned: bool) {
        self.is_turned.store(is_turned, Ordering::SeqCst);
    }

    /// The next link, with the handshake behind it.
    pub(crate) async fn link(&self) -> WebSocketStream<TcpStream> {
        let next = async { self.links.lock().await.recv().await };
        let mut socket = tokio::time::timeout(PATIENCE, next).await.expect("the satellite dials").unwrap();
        // Any handshake is accepted: the satellite is the one under test.
        socket.next().await.unwrap().unwrap();
        let ack = json!({"type": "handshake_ack", "success": true, "protocol_version": "2",
            "server_time": "2026-01-01T00:00:00Z", "heartbeat_interval": 30});
        socket.send(Message::text(ack.to_string())).await.unwrap();
        socket
    }
}

async fn serve(
    mut socket: TcpStream,
    target: String,
    is_turned: Arc<AtomicBool>,
    opened: mpsc::Sender<WebSocketStream<TcpStream>>,
) {
    let mut head = [0; 16];
    // Only peeked at: the connection may be passed on as it is.
    while socket.peek(&mut head).await.is_ok_and(|len| (1..head.len()).contains(&len)) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    if is_turned.load(Ordering::SeqCst) && head.starts_with(b"GET /ws/agent") {
        #[expect(clippy::result_large_err, reason = "the library wants it so")]
        let speaks = |_: &Request, mut response: Response| {
            response.headers_mut().insert("sec-websocket-protocol", "hive.agent.v2".parse().unwrap());
            Ok(response)
        };
        if let Ok(link) = accept_hdr_async(socket, speaks).await {
            opened.send(link).await.ok();
        }
        return;
    }
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    let turning = async {
        while !is_turned.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        _ = copy_bidirectional(&mut socket, &mut server) => {}
        () = turning => {}
    }
}
