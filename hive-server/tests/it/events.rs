//! Streams of events that begin where an earlier one was left.

use serde_json::json;

use crate::harness::{RawConnection, TestServer};

/// Asks for events, with one more header.
async fn events(server: &TestServer, path: &str, key: &str, header: &str) -> RawConnection {
    let mut connection = server.open_connection().await;
    let request = format!("GET {path} HTTP/1.1\r\nhost: hive\r\nx-api-key: {key}\r\n{header}\r\n");
    connection.write(&request).await;
    connection.read_until("content-type: text/event-stream").await;
    connection
}

/// The id of the last event in this text.
fn last_id(text: &str) -> String {
    text.lines().rev().find_map(|line| line.strip_prefix("id: ")).expect("an id was sent").to_owned()
}

#[tokio::test]
async fn a_client_that_reconnects_gets_what_it_missed_and_nothing_twice() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let satellite = server.register("web-server-01", None).await;
    let mut first = events(&server, "/api/v1/events", &key, "").await;
    let link = server.online(&satellite).await;
    first.read_until("event: satellite:online\ndata: {\"event\":\"satellite:online\"").await;
    let id = last_id(first.text());
    drop(first);
    drop(link);
    let path = format!("/api/v1/satellites/{}", satellite.id);
    while server.get(&key, &path).await.json()["data"]["online"] == true {
        tokio::task::yield_now().await;
    }
    let header = format!("last-event-id: {id}\r\n");
    let after = format!("/api/v1/events?after={id}");
    // A client that reconnects by itself repeats its query, and knows better by then.
    let with_query = "/api/v1/events?after=0000000000000001-0";
    for (path, header) in [("/api/v1/events", header.as_str()), (&after, ""), (with_query, &header)] {
        let mut again = events(&server, path, &key, header).await;
        again.read_until("event: satellite:offline\n").await;
        let text = again.text();
        assert!(!text.contains("satellite:online") && !text.contains("resync"), "{text}");
        assert_eq!(text.matches("id: ").count(), 1, "{text}");
        assert_ne!(last_id(text), id);
    }
}

#[tokio::test]
async fn a_stream_begins_with_the_id_to_come_back_with() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let mut quiet = events(&server, "/api/v1/events", &key, "").await;
    quiet.read_until("id: ").await;
    quiet.read_until("\n\n").await;
    let id = last_id(quiet.text());
    drop(quiet);
    server.register("web-server-01", None).await;
    let mut again = events(&server, "/api/v1/events", &key, &format!("last-event-id: {id}\r\n")).await;
    again.read_until("event: satellite:updated\n").await;
}

#[tokio::test]
async fn a_position_that_the_server_does_not_know_gives_a_resync() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let satellite = server.register("web-server-01", None).await;
    let foreign = "00000000000000ab-1";
    let by_query = format!("/api/v1/events?after={foreign}");
    let by_header = format!("last-event-id: {foreign}\r\n");
    let cases = [("/api/v1/events", by_header.as_str()), (&by_query, ""), ("/api/v1/events", "last-event-id: v2\r\n")];
    for (path, header) in cases {
        let mut stream = events(&server, path, &key, header).await;
        stream.read_until("event: resync\ndata: {\"cursor\":\"").await;
        stream.read_until("\"}\n\n").await;
        let id = last_id(stream.text());
        assert!(stream.text().contains(&format!("data: {{\"cursor\":\"{id}\"}}\n")), "{}", stream.text());
        drop(server.online(&satellite).await);
        stream.read_until("event: satellite:online\n").await;
        assert_eq!(stream.text().matches("event: resync").count(), 1);
    }
}

#[tokio::test]
async fn a_position_that_is_none_is_refused_by_its_name() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    for text in ["", "7", "00000000000000ab", "00000000000000AB-1"] {
        let refused = server.get(&key, &format!("/api/v1/events?after={text}")).await;
        refused.assert_error(400, "INVALID_INPUT");
        assert_eq!(refused.json()["error"]["details"]["field"], json!("after"), "{refused:?}");
    }
}
