//! Carries actions out: those that wait for the hive or a satellite run beside the socket, at most [`MAX_RUNNING`] at a time.

use axum::body::Bytes;
use data_encoding::BASE64;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use hive_core::sessions::Attachment;
use hive_core::wire::SessionId;
use hive_core::wire::api::{SessionCreate, Size};
use hive_core::wire::session::AttachRequest;
use hive_core::wire::ui::{SessionAttachAction, SessionInputAction};
use hive_core::{ActingHive, Error, Result};

/// Actions that run at the same time. One more is refused.
pub(super) const MAX_RUNNING: usize = 16;

/// The actions of one socket that have not ended.
#[derive(Default)]
pub(super) struct RunningActions(FuturesUnordered<BoxFuture<'static, ActionOutcome>>);

/// The end of an action.
pub(super) struct ActionOutcome {
    pub(super) request_id: Option<String>,
    pub(super) result: Result<ActionEffect>,
}

/// What an action has done.
pub(super) enum ActionEffect {
    /// A session is to be shown.
    Attached(Box<Attachment>),
    /// Nothing that the socket has to know.
    Done,
}

impl RunningActions {
    /// Begins an action.
    ///
    /// # Errors
    /// `RateLimited` where too many run.
    pub(super) fn begin(
        &mut self,
        request_id: Option<String>,
        action: impl Future<Output = Result<ActionEffect>> + Send + 'static,
    ) -> Result<(), (Option<String>, Error)> {
        if self.0.len() >= MAX_RUNNING {
            return Err((request_id, Error::RateLimited { retry_after_seconds: 1 }));
        }
        self.0.push(Box::pin(async move { ActionOutcome { request_id, result: action.await } }));
        Ok(())
    }

    /// Waits for the end of an action. Cancel-safe.
    pub(super) async fn next(&mut self) -> ActionOutcome {
        match self.0.next().await {
            Some(outcome) => outcome,
            // The loop of the socket asks again after every message.
            None => std::future::pending().await,
        }
    }

    /// How many run.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Opens a session and attaches it.
pub(super) async fn create(hive: ActingHive, params: SessionCreate) -> Result<ActionEffect> {
    let size = Size { cols: params.cols, rows: params.rows };
    let session = hive.sessions().create(params).await?;
    let request = AttachRequest { size: Some(size), ..AttachRequest::default() };
    hive.sessions().attach(session.id, request).await.map(attached)
}

/// Attaches a session.
pub(super) async fn attach(hive: ActingHive, action: SessionAttachAction) -> Result<ActionEffect> {
    let SessionAttachAction { session_id, mode, cols, rows } = action;
    let size = match (cols, rows) {
        (Some(cols), Some(rows)) => Some(Size { cols, rows }),
        (None, None) => None,
        (Some(_), None) => return Err(Error::invalid("rows", "is missing beside `cols`")),
        (None, Some(_)) => return Err(Error::invalid("cols", "is missing beside `rows`")),
    };
    let request = AttachRequest { mode, size, ..AttachRequest::default() };
    hive.sessions().attach(session_id, request).await.map(attached)
}

fn attached(attachment: Attachment) -> ActionEffect {
    ActionEffect::Attached(Box::new(attachment))
}

/// Types into a session that is not attached, as REST does.
pub(super) async fn send_input(hive: ActingHive, id: SessionId, data: Bytes) -> Result<ActionEffect> {
    hive.sessions().send_input(id, data).await.map(|()| ActionEffect::Done)
}

/// Changes the size of a session that is not attached.
pub(super) async fn resize(hive: ActingHive, id: SessionId, size: Size) -> Result<ActionEffect> {
    hive.sessions().resize(id, size).await.map(|()| ActionEffect::Done)
}

/// Ends a session.
pub(super) async fn terminate(hive: ActingHive, id: SessionId) -> Result<ActionEffect> {
    hive.sessions().terminate(id).await.map(|()| ActionEffect::Done)
}

/// Decodes what is typed.
pub(super) fn input_of(action: &SessionInputAction) -> Result<Bytes> {
    let decoded = BASE64.decode(action.input.as_bytes());
    decoded.map(Bytes::from).map_err(|_| Error::invalid("input", "must be base64"))
}
