//! What a later version says beside what is known.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use hive_core::wire::frame::{Frame, StreamId};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::Later;

/// The field that everything has.
const FIELD: &str = "from_the_future";
/// Objects whose names are data: a field more would be an entry more.
const MAPS: [&str; 4] = ["env", "counts", "changes", "details"];
/// The command of an unknown kind that satellites are given, and of which servers are told an unknown end.
const COMMAND: &str = "cmd_00000000000000000000000000";
/// The first stream of an output that nobody knows: far from those that satellites count up to.
const FIRST_STREAM: u32 = 0x4000_0001;

/// Adds a field to every object.
pub(super) fn with_field(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let deeper = |(name, value): (String, Value)| {
                let value = if MAPS.contains(&name.as_str()) { value } else { with_field(value) };
                (name, value)
            };
            let mut fields: serde_json::Map<_, _> = fields.into_iter().map(deeper).collect();
            fields.insert(FIELD.to_owned(), json!({ "word": "new" }));
            Value::Object(fields)
        }
        Value::Array(items) => items.into_iter().map(with_field).collect(),
        other => other,
    }
}

/// Statuses of this version, and the words that a later server uses for them.
pub(super) type Statuses = BTreeMap<&'static str, &'static str>;

/// Replaces status words, also where they are the keys of counts.
pub(super) fn with_statuses(value: Value, statuses: &Statuses) -> Value {
    let renamed = |word: &str| statuses.get(word).map(|word| (*word).to_owned());
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(name, value)| match (name.as_str(), value) {
                    ("status", Value::String(word)) => (name, Value::String(renamed(&word).unwrap_or(word))),
                    ("counts", Value::Object(counts)) => {
                        let counts = counts.into_iter().map(|(word, count)| (renamed(&word).unwrap_or(word), count));
                        (name, Value::Object(counts.collect()))
                    }
                    (_, value) => (name, with_statuses(value, statuses)),
                })
                .collect(),
        ),
        Value::Array(items) => items.into_iter().map(|item| with_statuses(item, statuses)).collect(),
        other => other,
    }
}

/// One direction of a socket.
pub(super) struct Words {
    is_later: bool,
    is_satellite: bool,
    from: Later,
    has_greeted: bool,
    streams: u32,
}

impl Words {
    pub(super) fn new(is_later: bool, is_satellite: bool, from: Later) -> Self {
        Self { is_later, is_satellite, from, has_greeted: false, streams: 0 }
    }

    /// What passes instead of a message.
    pub(super) fn of(&mut self, message: Message, refused: &AtomicU64) -> Vec<Message> {
        let Message::Text(text) = &message else { return vec![message] };
        let Ok(value) = serde_json::from_str::<Value>(text) else { return vec![message] };
        if !self.is_later {
            // The end of a command that the server knows nothing of.
            let is_unsupported = value["error"]["code"] == "UNSUPPORTED" && value["status"] == "failed";
            if value["id"] == COMMAND && value["type"] == "command_result" {
                refused.fetch_add(u64::from(is_unsupported), Ordering::SeqCst);
                return Vec::new();
            }
            return vec![message];
        }
        let kind = value["type"].as_str().unwrap_or_default().to_owned();
        let command = value["id"].clone();
        let mut messages = vec![json_message(&with_field(with_words(&kind, value)))];
        if !self.has_greeted {
            self.has_greeted = true;
            messages.extend(self.greeting().iter().map(json_message));
        }
        if kind == "command_ack" {
            messages.extend(self.output(&command));
        }
        messages
    }

    /// What comes behind the first message of this direction.
    fn greeting(&self) -> Vec<Value> {
        let unknown = json!({ "type": "from_the_future", "event": "disk_full" });
        match (self.is_satellite, self.from) {
            (false, _) => vec![unknown],
            (true, Later::Client) => vec![
                unknown,
                json!({ "type": "query_answer", "id": "q1", "answer": { "disk": [] } }),
                json!({ "type": "command_result", "id": COMMAND, "status": "half_done", "duration_ms": 0,
                    "sent": { "stdout": 0, "stderr": 0 } }),
            ],
            (true, Later::Server) => vec![
                unknown,
                json!({ "type": "query", "id": "q1", "query": "disk" }),
                json!({ "type": "command", "id": COMMAND, "expires_in_ms": 60_000, "command_type": "firmware",
                    "payload": { "image": [1, 2] } }),
            ],
        }
    }

    /// Output of a command on a channel that nobody knows.
    fn output(&mut self, command: &Value) -> [Message; 2] {
        let stream = StreamId(FIRST_STREAM + 2 * self.streams);
        self.streams += 1;
        let open =
            json!({ "type": "stream_open", "stream": stream, "command_id": command, "channel": "trace", "offset": 0 });
        let data = Frame::data(stream, 0, Bytes::from_static(b"traced"), true).encode();
        [json_message(&open), Message::Binary(data)]
    }
}

/// A known message with words in it that are not.
fn with_words(kind: &str, mut message: Value) -> Value {
    if kind == "handshake" {
        for list in ["capabilities", "features"] {
            if let Some(words) = message[list].as_array_mut() {
                words.push(json!("teleport"));
            }
        }
    }
    message
}

fn json_message(value: &Value) -> Message {
    Message::text(value.to_string())
}
