//! Tests of the client with a server that sends prepared answers.

mod queries;

use std::time::Duration;

use hive_test_peers::FakeHive;
use hive_wire::SatelliteId;
use hive_wire::api::{ExecCommand, ExecEvent, PageRequest, SatelliteFilter, Target};
use hive_wire::id::Seed;

use super::{ApiRequest, RemoteHive};
use crate::Error;
use crate::commands::ExecOptions;
use crate::error::KeyConflict;

const EMPTY_PAGE: &str =
    r#"{"success":true,"data":[],"pagination":{"page":1,"per_page":20,"total":0,"total_pages":0}}"#;

/// A server that sends the next of its answers on each connection, and closes it without one if the answer is empty.
async fn canned(answers: &[String]) -> FakeHive {
    FakeHive::answering_in_turn(answers.iter().cloned()).await
}

fn client_of(server: &FakeHive) -> RemoteHive {
    RemoteHive::connect(&server.url(), "hive_key_secret".into()).unwrap()
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
    let canned = canned(&[answer]).await;
    let hive = RemoteHive::connect(&canned.url(), " hive_key_secret\r\n".into()).unwrap();
    hive.satellites().list(SatelliteFilter::default(), PageRequest::default()).await.unwrap();
    let request = &canned.heads()[0];
    assert!(request.contains("x-api-key: hive_key_secret\r\n"), "{request}");
}

#[tokio::test]
async fn a_key_goes_with_every_call() {
    let server = canned(&[answer("200 OK", EMPTY_PAGE)]).await;
    assert_eq!(list(&client_of(&server)).await.unwrap(), 0);
    let request = &server.heads()[0];
    assert!(request.starts_with("GET /api/v1/satellites HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("x-api-key: hive_key_secret\r\n"), "{request}");
}

#[tokio::test]
async fn a_read_that_got_no_answer_is_sent_again() {
    let server = canned(&[String::new(), answer("200 OK", EMPTY_PAGE)]).await;
    assert_eq!(list(&client_of(&server)).await.unwrap(), 0);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_command_that_may_have_run_is_not_sent_again() {
    let server = canned(&[String::new(), String::new()]).await;
    let outcome =
        client_of(&server).commands().exec(satellite(), ExecCommand::shell("true"), ExecOptions::default()).await;
    assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_command_with_an_idempotency_key_is_sent_again() {
    let body = r#"{"success":false,"error":{"code":"SATELLITE_OFFLINE","message":"x","details":{"satellite":"web"}}}"#;
    let server = canned(&[String::new(), answer("503 Service Unavailable", body)]).await;
    let options = ExecOptions { idempotency_key: Some("once".into()), ..ExecOptions::default() };
    let outcome = client_of(&server).commands().exec(satellite(), ExecCommand::shell("true"), options).await;
    assert!(matches!(&outcome, Err(Error::SatelliteOffline(name)) if name == "web"), "{outcome:?}");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_call_with_an_idempotency_key_waits_for_its_first_one() {
    let running = r#"{"success":false,"error":{"code":"CONFLICT","message":"x",
        "details":{"header":"Idempotency-Key","reason":"in_progress"}}}"#;
    let done = answer("201 Created", r#"{"success":true,"data":{"slug":"web"}}"#);
    // The connection of the first call breaks, and the call goes on.
    let server = canned(&[String::new(), answer("409 Conflict", running), done]).await;
    let mut request = ApiRequest::new("POST", "/api/v1/teams");
    request.idempotency_key = Some("once".into());
    let hive = client_of(&server).with_rate_limit_wait(Duration::from_secs(1));
    let made = hive.request(request.clone()).await.unwrap().json().await.unwrap();
    assert_eq!(made["data"]["slug"], "web");
    assert_eq!(server.requests().len(), 3);
    let server = canned(&[answer("409 Conflict", running)]).await;
    let refused = client_of(&server).request(request).await;
    assert!(matches!(refused, Err(Error::KeyConflict(KeyConflict::InProgress))), "{refused:?}");
}

#[tokio::test]
async fn the_key_is_not_carried_to_where_an_answer_points() {
    let elsewhere = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_owned();
    let server = canned(&[elsewhere]).await;
    let outcome = list(&client_of(&server)).await;
    assert!(matches!(outcome, Err(Error::Other(_))), "{outcome:?}");
    assert_eq!(server.requests().len(), 1);
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
    let server = canned(&[answer("200 OK", &body)]).await;
    let hive = client_of(&server);
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
    let server = canned(&[head]).await;
    let hive = client_of(&server);
    drop(hive.satellites().subscribe(None).await.unwrap());
    hive.client.readers.close();
    tokio::time::timeout(Duration::from_secs(5), hive.client.readers.wait()).await.expect("the reader ends");
}
