//! What a client is sent.

use std::borrow::Cow;
use std::sync::Arc;

use hive_wire::SessionId;
use hive_wire::ui::UiEvent;

use crate::PublishedEvent;
use crate::events::{MetricsState, WorkState};

/// A message for a client, as JSON. What several clients get is written once.
#[derive(Debug)]
pub struct LiveMessage(Content);

#[derive(Debug)]
enum Content {
    Satellite(Arc<PublishedEvent>),
    Work(Arc<WorkState>),
    Json(String),
    Event(UiEvent),
}

impl LiveMessage {
    pub(super) fn of_satellite(event: Arc<PublishedEvent>) -> Self {
        Self(Content::Satellite(event))
    }

    pub(super) fn of_work(work: Arc<WorkState>) -> Self {
        Self(Content::Work(work))
    }

    pub(super) fn of_json(json: String) -> Self {
        Self(Content::Json(json))
    }

    /// The metrics of satellites in one message: [`UiEvent::Metrics`] of one, [`UiEvent::MetricsOfSeveral`] of more. None without any.
    pub(super) fn of_metrics(metrics: &[Arc<MetricsState>]) -> Option<Self> {
        // The parts are joined and not built from their values: their JSON is shared by all clients.
        let json = match metrics {
            [] => return None,
            [one] => format!(r#"{{"event":"satellite:metrics","data":{}}}"#, one.json()),
            several => {
                let mut json = String::from(r#"{"event":"satellites:metrics","data":{"satellites":["#);
                for (index, one) in several.iter().enumerate() {
                    if index > 0 {
                        json.push(',');
                    }
                    json.push_str(one.json());
                }
                json.push_str("]}}");
                json
            }
        };
        Some(Self(Content::Json(json)))
    }

    /// The message as JSON.
    pub fn json(&self) -> Cow<'_, str> {
        match &self.0 {
            Content::Satellite(event) => event.json().into(),
            Content::Work(work) => work.json().into(),
            Content::Json(json) => json.into(),
            Content::Event(event) => serde_json::to_string(event).expect("the keys of a message are texts").into(),
        }
    }

    /// The session, where the message says that one has ended. A client that has it attached is told so after its last output.
    pub fn ended_session(&self) -> Option<SessionId> {
        match &self.0 {
            Content::Work(work) => match work.event() {
                UiEvent::SessionEnded { session_id, .. } => Some(*session_id),
                _ => None,
            },
            Content::Satellite(_) | Content::Json(_) | Content::Event(_) => None,
        }
    }
}

impl From<UiEvent> for LiveMessage {
    fn from(event: UiEvent) -> Self {
        Self(Content::Event(event))
    }
}
