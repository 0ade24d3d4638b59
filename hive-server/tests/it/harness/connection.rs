//! A TCP connection to the server.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection on which a test writes bytes and reads responses as they arrive.
pub(crate) struct RawConnection {
    stream: TcpStream,
    received: String,
}

impl RawConnection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, received: String::new() }
    }

    /// Sends a request with an API key.
    pub(crate) async fn send(&mut self, method: &str, path: &str, key: &str, body: Value) {
        let body = body.to_string();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: hive\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.write(&request).await;
    }

    /// Writes text.
    pub(crate) async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Waits until the server has closed or reset the connection. Returns what it sent.
    pub(crate) async fn closed(mut self) -> String {
        let mut piece = [0; 1024];
        while let Ok(read @ 1..) = tokio::time::timeout(Duration::from_secs(20), self.stream.read(&mut piece))
            .await
            .expect("the server closes the connection within 20 s")
        {
            self.received.push_str(str::from_utf8(&piece[..read]).unwrap());
        }
        self.received
    }

    /// Reads until the server has sent this text.
    pub(crate) async fn read_until(&mut self, text: &str) {
        while !self.received.contains(text) {
            let mut piece = [0; 1024];
            let read = tokio::time::timeout(Duration::from_secs(10), self.stream.read(&mut piece)).await;
            let read = read
                .unwrap_or_else(|_| panic!("the server did not send {text:?} within 10 s, but {:?}", self.received))
                .unwrap();
            assert_ne!(read, 0, "the connection ended without {text:?}: {:?}", self.received);
            self.received.push_str(str::from_utf8(&piece[..read]).unwrap());
        }
    }

    /// Returns what the server has sent, as far as it was read.
    pub(crate) fn text(&self) -> &str {
        &self.received
    }

    /// Reads until the server closes the connection. Returns what it sent.
    pub(crate) async fn read_to_end(mut self) -> String {
        self.stream.read_to_string(&mut self.received).await.unwrap();
        self.received
    }
}
