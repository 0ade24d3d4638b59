//! Answers the HTTPS calls, and accepts WebSocket upgrades.

use std::sync::{Arc, Mutex};

use hive_wire::HiveId;
use hive_wire::agent::SUBPROTOCOL;
use hive_wire::satellite_api::{HIVE_ID_HEADER, RejectionClass};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use super::{KEY, Script, ScriptedAnswer, hive_id, satellite_id};

pub(super) async fn serve(
    mut socket: TcpStream,
    script: Arc<Mutex<Script>>,
    opened: mpsc::Sender<WebSocketStream<TcpStream>>,
) {
    socket.set_nodelay(true).unwrap();
    let head = peek_head(&socket).await;
    let mut words = head.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let bearer = header(&head, "authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or("-");
    let named = header(&head, HIVE_ID_HEADER).unwrap_or("-").to_owned();
    {
        let mut script = script.lock().unwrap();
        script.requests.push(format!("{method} {path} {bearer}"));
        script.hive_id_headers.push(named);
    }
    let scripted = take_answer(&script, path).or_else(|| judge_key(&script, path, bearer));
    if path.ends_with("/ws/agent") && scripted.is_none() {
        #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
        let choose = |_: &Request, mut response: Response| {
            response.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL.parse().unwrap());
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(socket, choose).await.unwrap();
        opened.send(socket).await.ok();
        return;
    }
    let length: usize = header(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut request = vec![0; head.len() + length];
    socket.read_exact(&mut request).await.unwrap();
    script.lock().unwrap().bodies.push(String::from_utf8_lossy(&request[head.len()..]).into_owned());
    let (status, body) = scripted.unwrap_or_else(|| usual_answer(path));
    let retry = if status == 503 { "retry-after: 1\r\n" } else { "" };
    let answer =
        format!("HTTP/1.1 {status} X\r\n{retry}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    socket.write_all(answer.as_bytes()).await.unwrap();
}

fn take_answer(script: &Mutex<Script>, path: &str) -> Option<ScriptedAnswer> {
    let mut script = script.lock().unwrap();
    let n = script.answers.iter().position(|(end, _)| path.ends_with(end))?;
    script.answers.remove(n).map(|(_, answer)| answer)
}

/// The answer to a key that is not accepted.
fn judge_key(script: &Mutex<Script>, path: &str, bearer: &str) -> Option<ScriptedAnswer> {
    let needs_key = path.ends_with("/heartbeat") || path.ends_with("/ws/agent");
    let script = script.lock().unwrap();
    let is_accepted = script.accepted.as_ref().is_none_or(|accepted| accepted.iter().any(|key| key == bearer));
    (needs_key && !is_accepted).then(|| (401, rejection(hive_id(), RejectionClass::UnknownKey)))
}

/// The body of a hive's rejection of a key.
pub(crate) fn rejection(hive: HiveId, class: RejectionClass) -> String {
    let body = serde_json::json!({ "success": false, "error": "auth_invalid", "message": "no", "hive_id": hive, "class": class });
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

async fn peek_head(socket: &TcpStream) -> String {
    let mut buffer = vec![0; 8192];
    loop {
        let len = socket.peek(&mut buffer).await.unwrap_or(0);
        let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
        match text.find("\r\n\r\n") {
            Some(end) => return text[..end + 4].to_owned(),
            None if len == 0 => return String::new(),
            None => tokio::task::yield_now().await,
        }
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
