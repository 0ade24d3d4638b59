//! Something that answers HTTP, and is no hive or a very large one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A listener that answers every request. It ends with its value.
pub(super) struct Fake {
    pub(super) url: String,
    requests: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

impl Fake {
    /// Answers with the bytes that `answer` gives for a path.
    pub(super) async fn start(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let mut serving = JoinSet::new();
        let counted = requests.clone();
        serving.spawn(async move {
            while let Ok((mut caller, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let path = path_of(&mut caller).await;
                caller.write_all(&answer(&path)).await.ok();
                caller.shutdown().await.ok();
            }
        });
        Self { url, requests, _serving: serving }
    }

    /// A web server that has nothing to do with hives.
    pub(super) async fn web_server() -> Self {
        Self::start(|_| answer("404 Not Found", "text/html", "<html>nothing here</html>")).await
    }

    /// What a server that speaks TLS says to a caller that does not.
    pub(super) async fn tls_server() -> Self {
        // A fatal alert, `protocol_version` (RFC 8446, section 6).
        Self::start(|_| b"\x15\x03\x01\x00\x02\x02\x46".to_vec()).await
    }

    /// A hive with this many satellites.
    pub(super) async fn crowded(count: usize) -> Self {
        Self::start(move |path| {
            let number = |name: &str| -> usize {
                let found = path.split(['?', '&']).find_map(|pair| pair.strip_prefix(&format!("{name}=")));
                found.expect("lists come in pages").parse().unwrap()
            };
            let (page, per_page) = (number("page"), number("per_page"));
            let numbers = ((page - 1) * per_page..count).take(per_page);
            let satellites: Vec<Value> = numbers.map(satellite).collect();
            let pages = count.div_ceil(per_page);
            let pagination = json!({"page": page, "per_page": per_page, "total": count, "total_pages": pages});
            let body = json!({"success": true, "data": satellites, "pagination": pagination});
            answer("200 OK", "application/json", &body.to_string())
        })
        .await
    }

    /// How many calls it got.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn satellite(number: usize) -> Value {
    let tags = if number.is_multiple_of(2) { json!(["größe"]) } else { json!(["日本"]) };
    json!({
        "id": format!("sat_{number:026}"), "name": format!("web-server-{number:05}"), "satellite_type": "global",
        "team_id": null, "status": "active", "online": true, "tags": tags, "region": null, "capabilities": [],
        "system": {
            "hostname": "host", "os": "linux", "os_version": "12", "arch": "x86_64", "kernel": "6", "cpu_cores": 2,
            "memory_total_mb": 1, "memory_available_mb": 1,
        },
        "agent_version": null, "satellite_url": null, "last_seen": null,
        "created_at": "2026-02-05T05:42:00Z", "updated_at": "2026-02-05T05:42:00Z",
    })
}

fn answer(status: &str, kind: &str, body: &str) -> Vec<u8> {
    let len = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len}\r\nconnection: close\r\n\r\n");
    [head.as_bytes(), body.as_bytes()].concat()
}

/// Reads the head of a request; its path.
async fn path_of(caller: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match caller.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).split(' ').nth(1).unwrap_or_default().to_owned()
}
