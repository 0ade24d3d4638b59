//! The page about the protocol: its examples are messages as they are written, none is missing, and its numbers are ours.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use hive_wire::agent::{
    HANDSHAKE_TIMEOUT_SECONDS, MAX_MESSAGE, MAX_OUTPUT, MAX_STDIN, SUBPROTOCOL, ToAgent, ToServer, close,
};
use hive_wire::api::MAX_SCREEN;
use hive_wire::frame::{Frame, MAX_PAYLOAD};
use hive_wire::satellite_api::{ErrorResponse, RegisterRequest};
use hive_wire::session::{self, FromViewer, INPUT_WINDOW, SCROLLBACK, ToViewer};
use hive_wire::stream::INITIAL_WINDOW;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::files_of;

const KIB: u64 = 1024;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/wire-protocol.md");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines of all blocks of this kind.
pub(super) fn examples(page: &str, kind: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut is_inside = false;
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(info) => is_inside = info == kind,
            None if is_inside => lines.push(line.to_owned()),
            None => {}
        }
    }
    assert!(!lines.is_empty(), "no example of {kind}");
    lines
}

/// Reads an example, writes it again, and finds in it all that stands in the page.
pub(super) fn check<T: Serialize + DeserializeOwned>(line: &str) -> Value {
    let read: T = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let (said, written) = (serde_json::from_str::<Value>(line).unwrap(), serde_json::to_value(&read).unwrap());
    for (field, value) in said.as_object().unwrap() {
        assert_eq!(written.get(field), Some(value), "{field} of {line}");
    }
    said
}

/// The types of the messages in the page are those of the golden files.
fn check_all<T: Serialize + DeserializeOwned>(page: &str, kind: &str) {
    let lines = examples(page, &format!("json {kind}"));
    let shown: BTreeSet<String> = lines.iter().map(|line| type_of(&check::<T>(line))).collect();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(kind);
    let written = files_of(&dir).map(|(_, path)| fs::read_to_string(path).unwrap());
    let written: BTreeSet<String> = written.map(|text| type_of(&serde_json::from_str(&text).unwrap())).collect();
    assert_eq!(shown, written, "what the page shows of {kind}, and what there is");
}

fn type_of(message: &Value) -> String {
    message["type"].as_str().expect("a message has a type").to_owned()
}

#[test]
fn the_page_shows_every_message_as_it_is_written() {
    let page = page();
    check_all::<ToServer>(&page, "to_server");
    check_all::<ToAgent>(&page, "to_agent");
    check_all::<FromViewer>(&page, "from_viewer");
    check_all::<ToViewer>(&page, "to_viewer");
    for line in examples(&page, "json register") {
        check::<RegisterRequest>(&line);
    }
    for line in examples(&page, "json rejection") {
        check::<ErrorResponse>(&line);
    }
}

#[test]
fn the_page_shows_a_frame_as_it_is_written() {
    for line in examples(&page(), "frame") {
        let hex: String = line.split_whitespace().collect();
        let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
        let frame = Frame::decode(bytes.clone().into()).unwrap();
        assert_eq!((frame.stream.0, frame.offset, &frame.payload[..], frame.is_last), (3, 258, &b"hi"[..], true));
        assert_eq!(frame.encode(), bytes);
    }
}

#[test]
fn the_numbers_of_the_page_are_those_of_the_protocol() {
    let page = page();
    let size = |bytes: u64| {
        if bytes.is_multiple_of(KIB * KIB) {
            format!("{} MiB", bytes / KIB / KIB)
        } else {
            format!("{} KiB", bytes / KIB)
        }
    };
    for (what, value) in [
        ("a message on a satellite's link", size(MAX_MESSAGE as u64)),
        ("the payload of a frame", size(MAX_PAYLOAD as u64)),
        ("the first message of a satellite", format!("64 KiB, within {HANDSHAKE_TIMEOUT_SECONDS} s")),
        ("the window of a command's output before any credit", size(INITIAL_WINDOW)),
        ("typed bytes in flight", size(INPUT_WINDOW)),
        ("output of a session that is kept", size(SCROLLBACK as u64)),
        ("output of a command that is kept, per stream", size(MAX_OUTPUT)),
        ("standard input of a command", size(MAX_STDIN as u64)),
        ("a screen", format!("{MAX_SCREEN} columns, {MAX_SCREEN} rows")),
    ] {
        let row = format!("| {what} | {value} |");
        assert!(page.contains(&row), "the page does not say {row}");
    }
    for (code, who) in [
        (close::GOING_AWAY, "server"),
        (close::PROTOCOL_ERROR, "both"),
        (close::AUTH_FAILED, "server"),
        (close::TIMEOUT, "server"),
        (close::REPLACED, "server"),
        (close::IDENTITY_CONFLICT, "server"),
        (close::OVERLOADED, "server"),
    ] {
        let row = format!("| {code} | {who} |");
        assert!(page.contains(&row), "the page does not say {row}");
    }
    for protocol in [SUBPROTOCOL, session::SUBPROTOCOL] {
        assert!(page.contains(&format!("`{protocol}`")), "the page does not name {protocol}");
    }
}
