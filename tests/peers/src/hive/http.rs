//! Answers HTTP calls, and accepts WebSocket upgrades.

use std::time::Duration;

use hive_wire::HiveId;
use hive_wire::agent::SUBPROTOCOL;
use hive_wire::satellite_api::{HIVE_ID_HEADER, RejectionClass};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use super::script::{KEY, ScriptedAnswer, hive_id, satellite_id};
use super::{Answers, Shared};

/// The most bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;

/// Answers one call as a hive does, or opens a link.
pub(super) async fn serve(mut socket: TcpStream, shared: &Shared) {
    let head = Head::peek(&socket).await;
    head.record(shared);
    let scripted = {
        let mut script = shared.script.lock().unwrap();
        script.take_answer(&head.path).or_else(|| {
            let needs_key = head.path.ends_with("/heartbeat") || head.is_link();
            let is_rejected = needs_key && !script.accepts(head.bearer());
            is_rejected.then(|| (401, rejection(hive_id(), RejectionClass::UnknownKey)))
        })
    };
    if head.is_link() && scripted.is_none() {
        open_link(socket, shared).await;
        return;
    }
    head.read(&mut socket, shared).await;
    let (status, body) = scripted.unwrap_or_else(|| usual_answer(&head.path));
    let retry = if status == 503 { "retry-after: 1\r\n" } else { "" };
    let answer =
        format!("HTTP/1.1 {status} X\r\n{retry}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    socket.write_all(answer.as_bytes()).await.ok();
}

/// Answers one call with prepared bytes.
pub(super) async fn serve_bytes(mut socket: TcpStream, shared: &Shared, answers: &Answers) {
    let head = Head::peek(&socket).await;
    head.record(shared);
    // Read first: a socket that is closed with unread bytes is reset, and the answer is lost with it.
    head.read(&mut socket, shared).await;
    socket.write_all(&answers(&head.path)).await.ok();
    socket.shutdown().await.ok();
}

async fn open_link(socket: TcpStream, shared: &Shared) {
    socket.set_nodelay(true).ok();
    #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
    let choose = |_: &Request, mut response: Response| {
        response.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL.parse().unwrap());
        Ok(response)
    };
    // A satellite may be gone before its link is open.
    if let Ok(link) = tokio_tungstenite::accept_hdr_async(socket, choose).await {
        shared.opened.send(link).await.ok();
    }
}

/// The bytes of an answer.
pub fn answer(status: &str, kind: &str, body: &str) -> Vec<u8> {
    let len = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len}\r\nconnection: close\r\n");
    [head.as_bytes(), b"\r\n", body.as_bytes()].concat()
}

/// The body of a hive's rejection of a key.
pub fn rejection(hive: HiveId, class: RejectionClass) -> String {
    let body = serde_json::json!({
        "success": false, "error": "auth_invalid", "message": "no", "hive_id": hive, "class": class,
    });
    body.to_string()
}

fn usual_answer(path: &str) -> ScriptedAnswer {
    let body = match path {
        "/api/satellites/register" => serde_json::json!({
            "success": true,
            "message": "welcome",
            "hive_id": hive_id(),
            "satellite": {
                "id": satellite_id(), "name": "web-server-01", "satellite_type": "global", "team_id": null,
                "status": "inactive", "api_key": KEY,
            },
        }),
        _ => serde_json::json!({ "success": true, "status": "active", "config_version": 1 }),
    };
    (200, body.to_string())
}

/// The head of a request.
struct Head {
    text: String,
    path: String,
}

impl Head {
    /// Waits for a whole head and leaves it in the socket, which may become a link.
    async fn peek(socket: &TcpStream) -> Self {
        let mut buffer = vec![0; MAX_HEAD];
        let text = loop {
            let len = socket.peek(&mut buffer).await.unwrap_or(0);
            let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
            match text.find("\r\n\r\n") {
                Some(end) => break text[..end + 4].to_owned(),
                None if len == 0 || len == MAX_HEAD => break String::new(),
                // A socket that has some bytes is ready for the next peek at once.
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        let path = text.split_whitespace().nth(1).unwrap_or_default().to_owned();
        Self { text, path }
    }

    fn is_link(&self) -> bool {
        self.path.ends_with("/ws/agent")
    }

    fn bearer(&self) -> &str {
        self.header("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or("-")
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn record(&self, shared: &Shared) {
        let method = self.text.split_whitespace().next().unwrap_or_default();
        let mut script = shared.script.lock().unwrap();
        script.requests.push(format!("{method} {} {}", self.path, self.bearer()));
        script.hive_id_headers.push(self.header(HIVE_ID_HEADER).unwrap_or("-").to_owned());
        script.heads.push(self.text.clone());
    }

    /// Reads the request, and records its body.
    async fn read(&self, socket: &mut TcpStream, shared: &Shared) {
        let len: usize = self.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut request = vec![0; self.text.len() + len];
        if socket.read_exact(&mut request).await.is_ok() {
            let body = String::from_utf8_lossy(&request[self.text.len()..]).into_owned();
            shared.script.lock().unwrap().bodies.push(body);
        }
    }
}
