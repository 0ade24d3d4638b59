#![expect(clippy::unwrap_used, reason="tmp")]
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use serde_json::{json, Value};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use futures_util::{SinkExt, StreamExt};
fn rss(pid: u32) -> (u64,u64) { let s = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
 let g=|k:&str| s.lines().find(|l| l.starts_with(k)).unwrap().split_whitespace().nth(1).unwrap().parse().unwrap(); (g("Rss:"), g("Anonymous:")) }
async fn http(addr: &str, path: &str, auth: &str, body: Value) -> Value {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let body = body.to_string();
    let mut s = tokio::net::TcpStream::connect(addr).await.unwrap();
    s.write_all(format!("POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {auth}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
    let mut out = String::new(); s.read_to_string(&mut out).await.unwrap();
    out.split_once("\r\n\r\n").unwrap().1.parse().unwrap_or_else(|_| panic!("{out}"))
}
#[tokio::test]
async fn mem() {
    let n: usize = std::env::var("N").unwrap().parse().unwrap();
    let bin = std::env::var("BIN").unwrap_or(env!("CARGO_BIN_EXE_hive-server").into());
    let dir = tempfile::tempdir().unwrap();
    let mut server = Command::new(&bin).args(["--listen","127.0.0.1:0","--log-level","warn","--data-dir"]).arg(dir.path()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let first: Value = lines.next_line().await.unwrap().unwrap().parse().unwrap();
    let addr = first["http"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
    let pid = server.id().unwrap();
    Command::new(&bin).args(["admin","create","--username","anna","--data-dir"]).arg(dir.path()).output().await.unwrap();
    let out = Command::new(&bin).args(["api-key","create","--username","anna","--data-dir"]).arg(dir.path()).output().await.unwrap();
    let key: Value = serde_json::from_slice(&out.stdout).unwrap(); let key = key["api_key"].as_str().unwrap().to_owned();
    let mut sats = vec![];
    for i in 0..n {
        let t = http(&addr, "/api/v1/registration-tokens", &key, json!({"scope":"global"})).await;
        let t = t["data"]["token"].as_str().unwrap().to_owned();
        let s = http(&addr, "/api/satellites/register", &t, json!({"name": format!("sat-number-{i:06}")})).await;
        sats.push((s["satellite"]["id"].as_str().unwrap().to_owned(), s["satellite"]["api_key"].as_str().unwrap().to_owned()));
    }
    let before = rss(pid);
    let mut links = vec![];
    let start = tokio::time::Instant::now();
    for (id, key) in &sats {
        let mut r = format!("ws://{addr}/ws/agent").into_client_request().unwrap();
        r.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        r.headers_mut().insert("sec-websocket-protocol", "hive.agent.v2".parse().unwrap());
        let (mut ws, _) = tokio_tungstenite::connect_async(r).await.unwrap();
        let hs = json!({"type":"handshake","agent_id":id,"version":"1","protocol_version":"2","journal_id":"journal-00001","system":{"hostname":"some-host","os":"linux","os_version":"x","arch":"x86_64","kernel":"6"}});
        ws.send(tokio_tungstenite::tungstenite::Message::text(hs.to_string())).await.unwrap();
        ws.next().await.unwrap().unwrap();
        links.push(ws);
    }
    let after = rss(pid);
    println!("connect {:?} for {n}", start.elapsed());
    tokio::time::sleep(std::time::Duration::from_secs(8)).await;
    let later = rss(pid);
    println!("n={n} before={before:?} after={after:?} later={later:?} per link KiB rss={:.2} anon={:.2}", (later.0-before.0) as f64/n as f64, (later.1-before.1) as f64/n as f64);
}
