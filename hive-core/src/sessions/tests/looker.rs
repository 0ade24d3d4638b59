//! A viewer for tests, which records its output and its messages.

use bytes::Bytes;
use futures_util::FutureExt;
use hive_wire::SessionId;
use hive_wire::api::SessionEnd;
use hive_wire::session::{AttachRequest, Attached, Control, FromViewer, ToViewer, ViewMode};

use crate::hive::ActingHive;
use crate::sessions::{Attachment, AttachmentInput, AttachmentOutput, SessionEvent, ViewerAction};

pub(super) struct Looker {
    pub(super) attached: Attached,
    output: Box<dyn AttachmentOutput>,
    input: Box<dyn AttachmentInput>,
    /// The output since the last reset.
    pub(super) shown: Vec<u8>,
    /// The offset behind the output.
    pub(super) end: u64,
    pub(super) messages: Vec<ToViewer>,
    pub(super) control: Control,
    pub(super) ended: Option<SessionEnd>,
    /// Whether it acknowledges output.
    pub(super) is_acking: bool,
}

pub(super) fn request(mode: ViewMode) -> AttachRequest {
    AttachRequest { mode, ..AttachRequest::default() }
}

impl Looker {
    pub(super) async fn attach(acting: &ActingHive, id: SessionId, request: AttachRequest) -> Self {
        let Attachment { attached, output, input } = acting.sessions().attach(id, request).await.unwrap();
        Self {
            end: attached.output,
            control: attached.control.clone(),
            attached,
            output,
            input,
            shown: Vec::new(),
            messages: Vec::new(),
            ended: None,
            is_acking: true,
        }
    }

    /// Attaches a viewer that takes the keyboard if it is free.
    pub(super) async fn typing(acting: &ActingHive, id: SessionId) -> Self {
        Self::attach(acting, id, request(ViewMode::Control)).await
    }

    pub(super) async fn reading(acting: &ActingHive, id: SessionId) -> Self {
        Self::attach(acting, id, request(ViewMode::ReadOnly)).await
    }

    /// Returns its request to attach again.
    pub(super) fn comeback(&self) -> AttachRequest {
        AttachRequest { viewer: Some(self.attached.viewer), output: Some(self.end), ..AttachRequest::default() }
    }

    /// Takes the next event. Returns false if the attachment is over.
    pub(super) async fn step(&mut self) -> bool {
        match self.output.next().await {
            Some(SessionEvent::Output { offset, data }) => {
                assert!(data.len() <= 64 * 1024);
                let known = self.end.checked_sub(offset).expect("no gap in the output");
                assert_eq!(known, 0, "nothing comes twice");
                self.shown.extend_from_slice(&data);
                self.end += data.len() as u64;
                if self.is_acking {
                    self.send(FromViewer::Ack { offset: self.end }).await.unwrap();
                }
            }
            Some(SessionEvent::Message(message)) => self.on_message(message),
            None => return false,
        }
        true
    }

    fn on_message(&mut self, message: ToViewer) {
        match &message {
            ToViewer::Gap { to, .. } => self.end = *to,
            ToViewer::Reset { output, .. } => {
                self.end = *output;
                self.shown.clear();
            }
            ToViewer::Control(control) => self.control = control.clone(),
            ToViewer::Ended(end) => self.ended = Some(end.clone()),
            _ => {}
        }
        self.messages.push(message);
    }

    /// Takes all events that are available now.
    pub(super) fn look(&mut self) {
        while self.step().now_or_never() == Some(true) {}
    }

    /// Takes events until a condition holds.
    pub(super) async fn until(&mut self, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            assert!(self.step().await, "the attachment is over; messages: {:?}", self.messages);
        }
    }

    pub(super) async fn until_shown(&mut self, text: &[u8]) {
        self.until(|looker| looker.shown.ends_with(text)).await;
    }

    pub(super) async fn send(&mut self, message: FromViewer) -> crate::Result<()> {
        self.input.send(ViewerAction::Message(message)).await
    }

    pub(super) async fn send_input(&mut self, offset: u64, text: &[u8]) -> crate::Result<()> {
        self.input.send(ViewerAction::Input { offset, data: Bytes::copy_from_slice(text) }).await
    }

    /// Sends input at its current offset.
    pub(super) async fn write(&mut self, text: &[u8]) {
        let offset = self.control.input;
        self.send_input(offset, text).await.unwrap();
        self.control.input += text.len() as u64;
    }
}
