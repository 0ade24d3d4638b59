//! Reads the messages of a client. What is wrong with one is said with the field that it is about, and the socket stays open.

use hive_core::Error;
use hive_core::wire::ui::{MAX_ACTION, MAX_INPUT, MAX_REQUEST_ID, SessionInputAction, UiAction, UiRequest};
use serde::Deserialize;
use serde_json::Value;

use crate::extract::read_json;

/// A message that cannot be carried out.
#[derive(Debug)]
pub(super) struct RefusedRequest {
    /// Its id, where it could be read.
    pub(super) request_id: Option<String>,
    pub(super) error: Error,
}

/// A message before its action is known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestFields {
    action: String,
    #[serde(default)]
    request_id: Option<String>,
    #[serde(default)]
    data: Option<Value>,
}

/// Reads a message.
pub(super) fn read(text: &str) -> Result<UiRequest, RefusedRequest> {
    let refused = |request_id, error| RefusedRequest { request_id, error };
    if text.len() > MAX_ACTION {
        let error = Error::PayloadTooLarge(format!("message: more than {MAX_ACTION} bytes"));
        return Err(refused(None, error));
    }
    let RequestFields { action, request_id, data } =
        read_json(text.as_bytes(), "message").map_err(|error| refused(request_id_of(text), error))?;
    if request_id.as_ref().is_some_and(|id| id.chars().count() > MAX_REQUEST_ID) {
        let rule = format!("must have at most {MAX_REQUEST_ID} characters");
        // Not sent back: it may be as long as a message.
        return Err(refused(None, Error::invalid("request_id", rule)));
    }
    match read_action(&action, data) {
        Ok(action) => Ok(UiRequest { request_id, action }),
        Err(error) => Err(refused(request_id, error)),
    }
}

fn read_action(name: &str, data: Option<Value>) -> Result<UiAction, Error> {
    fn of<T: serde::de::DeserializeOwned>(data: Option<Value>) -> Result<T, Error> {
        let data = data.ok_or_else(|| Error::invalid("data", "missing field `data`"))?;
        read_json(data.to_string().as_bytes(), "data")
    }
    Ok(match name {
        "session:create" => UiAction::SessionCreate(of(data)?),
        "session:attach" => UiAction::SessionAttach(of(data)?),
        "session:input" => UiAction::SessionInput(checked_input(of(data)?)?),
        "session:resize" => UiAction::SessionResize(of(data)?),
        "session:close" => UiAction::SessionClose(of(data)?),
        "session:throttle" => UiAction::SessionThrottle(of(data)?),
        "subscribe" => UiAction::Subscribe(of(data)?),
        "unsubscribe" => UiAction::Unsubscribe(of(data)?),
        _ => {
            let names = UiAction::NAMES.map(|name| format!("`{name}`")).join(", ");
            return Err(Error::invalid("action", format!("unknown action, expected one of {names}")));
        }
    })
}

/// Bounds what is typed before it is decoded.
fn checked_input(action: SessionInputAction) -> Result<SessionInputAction, Error> {
    if action.input.len() > MAX_INPUT.div_ceil(3) * 4 {
        return Err(Error::PayloadTooLarge(format!("input: more than {MAX_INPUT} bytes")));
    }
    Ok(action)
}

/// The id of a message of which something else is wrong, so that the client knows which one it was.
fn request_id_of(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Id {
        request_id: String,
    }
    let Id { request_id } = serde_json::from_str(text).ok()?;
    (request_id.chars().count() <= MAX_REQUEST_ID).then_some(request_id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use hive_core::wire::ui::SatelliteSelector;

    const SESSION: &str = "sess_01kge3h900e41861050r3gg28a";

    fn check(text: &str, request_id: Option<&str>, field: &str) {
        let refused = read(text).expect_err(text);
        assert_eq!(refused.request_id.as_deref(), request_id, "{text}");
        match refused.error {
            Error::InvalidInput { field: named, .. } => assert_eq!(named, field, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn an_action_is_read_with_its_id() {
        let read = read(r#"{"action":"subscribe","request_id":"7","data":{"satellites":["*"]}}"#).unwrap();
        assert_eq!(read.request_id.as_deref(), Some("7"));
        let UiAction::Subscribe(change) = read.action else { panic!("{read:?}") };
        assert_eq!(change.satellites, [SatelliteSelector::All]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        check("", None, "message");
        check("garbage", None, "message");
        check("[]", None, "message");
        check(r#"{"request_id":"7"}"#, Some("7"), "action");
        check(r#"{"action":"reboot","request_id":"7"}"#, Some("7"), "action");
        check(r#"{"action":"subscribe","request_id":"7","extra":1}"#, Some("7"), "extra");
        check(r#"{"action":"subscribe","request_id":7}"#, None, "request_id");
        check(r#"{"action":"subscribe","request_id":"7"}"#, Some("7"), "data");
        check(r#"{"action":"subscribe","data":[]}"#, None, "data");
        check(r#"{"action":"subscribe","data":{}}"#, None, "satellites");
        check(r#"{"action":"subscribe","data":{"satellites":["web"]}}"#, None, "satellites[0]");
        check(r#"{"action":"subscribe","data":{"satellites":[],"other":1}}"#, None, "other");
        check(&format!(r#"{{"action":"session:resize","data":{{"session_id":"{SESSION}","cols":80}}}}"#), None, "rows");
        check(r#"{"action":"session:close","data":{"session_id":"sess_1"}}"#, None, "session_id");
        let long = "x".repeat(MAX_REQUEST_ID + 1);
        check(&format!(r#"{{"action":"subscribe","request_id":"{long}"}}"#), None, "request_id");
    }

    #[test]
    fn a_long_message_and_long_input_are_refused() {
        let is_too_large = |text: &str| matches!(read(text).unwrap_err().error, Error::PayloadTooLarge(_));
        assert!(is_too_large(&" ".repeat(MAX_ACTION + 1)));
        let input = |len: usize| {
            format!(r#"{{"action":"session:input","data":{{"session_id":"{SESSION}","input":"{}"}}}}"#, "A".repeat(len))
        };
        assert!(is_too_large(&input(MAX_INPUT * 4 / 3 + 8)));
        assert!(read(&input(MAX_INPUT / 3 * 4)).is_ok());
    }

    proptest! {
        #[test]
        fn no_text_is_more_than_refused(text in ".{0,200}") {
            prop_assert!(read(&text).is_err());
        }
    }
}
