//! Tests of the client with a server that sends prepared answers.

mod queries;

use std::net::SocketAddr;
use std::time::Duration;

use hive_wire::SatelliteId;
use hive_wire::api::{ExecCommand, ExecEvent, PageRequest, SatelliteFilter, Target};
use hive_wire::id::Seed;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::RemoteHive;
use crate::Error;
use crate::commands::ExecOptions;

const EMPTY_PAGE: &str =
    r#"{"success":true,"data":[],"pagination":{"page":1,"per_page":20,"total":0,"total_pages":0}}"#;

/// A server that sends the next of its answers on each connection, and closes it without one if the answer is empty. The
/// received requests are returned over a channel.
struct Canned {
    address: SocketAddr,
    requests: mpsc::Receiver<String>,
}

impl Canned {
    async fn serve(answers: &[String]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::channel(16);
        let answers = answers.to_vec();
        TaskTracker::new().spawn(async move {
            for answer in answers {
                let (mut connection, _) = listener.accept().await.unwrap();
                sender.send(read_request(&mut connection).await).await.unwrap();
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { address, requests }
    }

    fn hive(&self) -> RemoteHive {
        RemoteHive::connect(&format!("http://{}", self.address), "hive_key_secret".into()).unwrap()
    }

    fn count(&mut self) -> usize {
        std::iter::from_fn(|| self.requests.try_recv().ok()).count()
    }
}

async fn read_request(connection: &mut TcpStream) -> String {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    // Head and body arrive at once on the loopback. The pause marks the end of the request.
    while let Ok(Ok(read @ 1..)) = tokio::time::timeout(Duration::from_millis(50), connection.read(&mut buffer)).await {
        request.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8(request).unwrap()
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn satellite() -> SatelliteId {
    SatelliteId::new(Seed { unix_millis: 1, random: [1; 10] })
}

async fn list(hive: &RemoteHive) -> Result<u64, Error> {
    hive.satellites().list(SatelliteFilter::default(), PageRequest::default()).await.map(|page| page.total)
}

#[tokio::test]
async fn a_key_may_be_a_line_of_a_file() {
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{EMPTY_PAGE}", EMPTY_PAGE.len());
    let mut canned = Canned::serve(&[answer]).await;
    let hive = RemoteHive::connect(&format!("http://{}", canned.address), " hive_key_secret\r\n".into()).unwrap();
    hive.satellites().list(SatelliteFilter::default(), PageRequest::default()).await.unwrap();
    let request = canned.requests.recv().await.unwrap();
    assert!(request.contains("x-api-key: hive_key_secret\r\n"), "{request}");
}

#[tokio::test]
async fn a_key_goes_with_every_call() {
    let mut server = Canned::serve(&[answer("200 OK", EMPTY_PAGE)]).await;
    assert_eq!(list(&server.hive()).await.unwrap(), 0);
    let request = server.requests.recv().await.unwrap();
    assert!(request.starts_with("GET /api/v1/satellites?page=1&per_page=20 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("x-api-key: hive_key_secret\r\n"), "{request}");
}

#[tokio::test]
async fn a_read_that_got_no_answer_is_sent_again() {
    let mut server = Canned::serve(&[String::new(), answer("200 OK", EMPTY_PAGE)]).await;
    assert_eq!(list(&server.hive()).await.unwrap(), 0);
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn a_command_that_may_have_run_is_not_sent_again() {
    let mut server = Canned::serve(&[String::new(), String::new()]).await;
    let outcome = server.hive().commands().exec(satellite(), ExecCommand::shell("true"), ExecOptions::default()).await;
    assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_command_with_an_idempotency_key_is_sent_again() {
    let body = r#"{"success":false,"error":{"code":"SATELLITE_OFFLINE","message":"x","details":{"satellite":"web"}}}"#;
    let mut server = Canned::serve(&[String::new(), answer("503 Service Unavailable", body)]).await;
    let options = ExecOptions { idempotency_key: Some("once".into()), ..ExecOptions::default() };
    let outcome = server.hive().commands().exec(satellite(), ExecCommand::shell("true"), options).await;
    assert!(matches!(&outcome, Err(Error::SatelliteOffline(name)) if name == "web"), "{outcome:?}");
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn the_key_is_not_carried_to_where_an_answer_points() {
    let elsewhere = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_owned();
    let mut server = Canned::serve(&[elsewhere]).await;
    let outcome = list(&server.hive()).await;
    assert!(matches!(outcome, Err(Error::Other(_))), "{outcome:?}");
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_hive_that_is_not_there_is_unavailable_with_the_cause() {
    let hive = RemoteHive::connect("http://127.0.0.1:1", "key".into()).unwrap();
    let Err(Error::Unavailable(cause)) = list(&hive).await else { panic!("it was reached") };
    assert!(cause.to_string().contains("cannot reach http://127.0.0.1:1: "), "{cause}");
}

#[tokio::test]
async fn events_come_one_by_one_until_the_stream_ends() {
    let id = satellite();
    let piece = format!(r#"{{"event":"output","satellite_id":"{id}","channel":"stdout","offset":0,"data":"aGk="}}"#);
    let body = format!(
        ": hello\n\nevent: output\ndata: {piece}\n\ndata: {{\"event\":\"of the future\"}}\n\ndata: {piece}\n\n"
    );
    let server = Canned::serve(&[answer("200 OK", &body)]).await;
    let hive = server.hive();
    let mut events = hive
        .commands()
        .exec_stream(vec![Target::All], ExecCommand::shell("true"), ExecOptions::default())
        .await
        .unwrap();
    let is_piece = |event: &Option<ExecEvent>| matches!(event, Some(ExecEvent::Output { data, .. }) if data == "aGk=");
    assert!(is_piece(&events.next().await));
    assert!(is_piece(&events.next().await), "an event of a later version is skipped");
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_dropped_subscription_ends_its_reader() {
    // The answer does not end: its header announces more bytes than follow.
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n: hello\n\n".to_owned();
    let server = Canned::serve(&[head]).await;
    let hive = server.hive();
    drop(hive.satellites().subscribe(None).await.unwrap());
    hive.client.readers.close();
    tokio::time::timeout(Duration::from_secs(5), hive.client.readers.wait()).await.expect("the reader ends");
}
