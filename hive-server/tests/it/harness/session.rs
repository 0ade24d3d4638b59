//! A session whose program is the test.

use hive_core::wire::SessionId;
use hive_core::wire::agent::ToServer;
use hive_core::wire::api::Session;
use hive_test_peers::satellite::{FakeTerminal, exited};
use serde_json::{Value, json};

use super::{Satellite, TestServer};

/// A satellite with one session.
pub(crate) struct FakeSession {
    pub(crate) satellite: Satellite,
    pub(crate) id: SessionId,
    /// Bytes of input that the test has read.
    read: usize,
}

impl FakeSession {
    /// Registers a satellite and creates a session on it, as the owner of this key.
    pub(crate) async fn open(server: &TestServer, key: &str) -> Self {
        let satellite = server.register("web-server-01", None).await;
        let link = server.online(&satellite).await;
        Self::open_on(server, key, json!({ "satellite_id": satellite.id }), link).await
    }

    pub(crate) async fn open_on(server: &TestServer, key: &str, create: Value, mut satellite: Satellite) -> Self {
        // Input counts as taken by the program when the test says so.
        satellite.terminals.is_reading = false;
        let created = satellite.during(server.post(key, "/api/v1/sessions", create)).await;
        assert_eq!(created.status, 201, "{created:?}");
        let session: Session = serde_json::from_value(created.json()["data"].clone()).unwrap();
        assert_eq!(satellite.terminals.ids(), [session.id]);
        Self { satellite, id: session.id, read: 0 }
    }

    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/api/v1/sessions/{}{rest}", self.id)
    }

    /// Waits until this holds of the session on the satellite.
    pub(crate) async fn until(&mut self, holds: impl Fn(&FakeTerminal) -> bool) {
        let id = self.id;
        self.satellite.until(|satellite| holds(satellite.terminal(id))).await;
    }

    /// Receives this many bytes of input, and acknowledges that the program has them.
    pub(crate) async fn read(&mut self, count: usize) -> String {
        let read = self.take(count).await;
        self.apply().await;
        read
    }

    /// Receives this many bytes of input.
    pub(crate) async fn take(&mut self, count: usize) -> String {
        let end = self.read + count;
        self.until(|terminal| terminal.input.len() >= end).await;
        let input = &self.satellite.terminal(self.id).input;
        let read = String::from_utf8(input[self.read..].to_vec()).unwrap();
        self.read = input.len();
        read
    }

    /// Acknowledges that the program has all input so far.
    pub(crate) async fn apply(&mut self) {
        let offset = self.satellite.terminal(self.id).input.len() as u64;
        self.satellite.send(ToServer::PtyApplied { session_id: self.id, offset }).await;
    }

    /// Prints when there is credit for it.
    pub(crate) async fn print(&mut self, data: &[u8]) {
        let input = self.satellite.terminal(self.id).input.len();
        self.until(|terminal| terminal.limit >= (terminal.output.len() + data.len()) as u64).await;
        assert_eq!(self.satellite.terminal(self.id).input.len(), input, "no input is expected");
        assert_eq!(self.satellite.print(self.id, data).await, data.len());
    }

    /// Ends the program.
    pub(crate) async fn exit(&mut self, exit_code: i32) {
        self.satellite.exit(self.id, exited(exit_code)).await;
    }
}
