//! [`SessionManager`] over REST, and over a WebSocket for viewers.

use async_trait::async_trait;
use bytes::Bytes;
use data_encoding::BASE64;
use hive_wire::SessionId;
use hive_wire::api::{Page, PageRequest, Session, SessionCreate, SessionFilter, SessionInput, SessionSort, Size};
use hive_wire::session::AttachRequest;
use reqwest::Method;

use super::Client;
use super::attachment;
use super::registry::present;
use super::transport::with_query;
use crate::sessions::{Attachment, SUBSCRIBED_EVENTS, SessionEvent, forward, read_only};
use crate::{Error, Result, SessionManager, Subscription};

/// The most bytes of input in one call. As base64 they fit into the 1 MiB that a hive accepts as a body.
const MAX_INPUT: usize = 512 * 1024;

#[async_trait]
impl SessionManager for Client {
    async fn create(&self, params: SessionCreate) -> Result<Session> {
        self.transport.fetch(self.transport.post(&["api", "v1", "sessions"]).json(&params)).await
    }

    async fn get(&self, id: SessionId) -> Result<Option<Session>> {
        let path = ["api", "v1", "sessions", &id.to_string()];
        present(self.transport.fetch(self.transport.get(&path)).await)
    }

    async fn list_page(&self, filter: SessionFilter, page: PageRequest<SessionSort>) -> Result<Page<Session>> {
        let call = with_query(self.transport.get(&["api", "v1", "sessions"]), &filter)?;
        self.transport.fetch_page(with_query(call, &page)?).await
    }

    async fn send_input(&self, id: SessionId, data: Bytes) -> Result<()> {
        // One call even without bytes: the hive then still checks that the session exists.
        let (first, rest) = data.split_at(data.len().min(MAX_INPUT));
        self.input_piece(id, first).await?;
        // From the second call on, input was written. `Unavailable` says so, as in the local implementation.
        for piece in rest.chunks(MAX_INPUT) {
            self.input_piece(id, piece).await.map_err(|error| Error::unavailable(error.to_string()))?;
        }
        Ok(())
    }

    async fn resize(&self, id: SessionId, size: Size) -> Result<()> {
        let path = ["api", "v1", "sessions", &id.to_string(), "resize"];
        self.transport.call(self.transport.post(&path).json(&size)).await
    }

    async fn terminate(&self, id: SessionId) -> Result<()> {
        let path = ["api", "v1", "sessions", &id.to_string()];
        self.transport.call(self.transport.request(Method::DELETE, &path)).await
    }

    async fn subscribe(&self, id: SessionId) -> Result<Subscription<SessionEvent>> {
        let attachment = self.attach(id, read_only()).await?;
        let (sender, subscription) = Subscription::with_capacity(SUBSCRIBED_EVENTS);
        self.readers.spawn(async move {
            tokio::select! {
                // A quiet session would otherwise keep its connection after the subscription was dropped.
                () = sender.closed() => {}
                () = forward(attachment, sender.clone()) => {}
            }
        });
        Ok(subscription)
    }

    async fn attach(&self, id: SessionId, request: AttachRequest) -> Result<Attachment> {
        let path = ["api", "v1", "sessions", &id.to_string(), "attach"];
        attachment::open(&self.transport, &path, request).await
    }
}

impl Client {
    async fn input_piece(&self, id: SessionId, piece: &[u8]) -> Result<()> {
        let input = SessionInput { data: BASE64.encode(piece) };
        let path = ["api", "v1", "sessions", &id.to_string(), "input"];
        // Without the timeout of a call: the hive answers when the input was written to the PTY.
        self.transport.fetch_results(self.transport.post(&path).json(&input)).await
    }
}
