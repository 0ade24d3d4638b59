//! The bytes of every message, as files: what is written today is what stands there, and what stands there can be read.
//!
//! A file that differs is a change of the protocol. When it is meant, refresh with
//! `HIVE_REFRESH_GOLDEN=1 cargo test -p hive-wire --test golden` and read the diff. Once a release has written a shape
//! that is then changed, its file moves to `golden/old/` and must stay readable.

#![expect(clippy::unwrap_used, reason = "a failed check panics")]

mod api;
mod document;
mod identity;
mod link;
mod registration;
mod session;
mod ui;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hive_wire::agent::{self, ToAgent, ToServer};
use hive_wire::api::ApiError;
use hive_wire::frame::Frame;
use hive_wire::id::Seed;
use hive_wire::satellite_api as satellite;
use hive_wire::{CommandId, ErrorCode, SessionId, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

const SEED: Seed = Seed { unix_millis: 1_770_000_000_000, random: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] };

/// The files of one folder, as the test meets them.
struct Golden {
    dir: PathBuf,
    seen: BTreeSet<String>,
    is_refreshing: bool,
}

impl Golden {
    fn open(folder: &str) -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder);
        fs::create_dir_all(&dir).unwrap();
        Self { dir, seen: BTreeSet::new(), is_refreshing: std::env::var_os("HIVE_REFRESH_GOLDEN").is_some() }
    }

    /// The message is written as its file says, and the file reads as something that is written the same again.
    fn check<T: Serialize + DeserializeOwned>(&mut self, name: &str, message: &T) {
        let encode = |message: &T| serde_json::to_vec(message).unwrap();
        let stored = self.check_bytes(&format!("{name}.json"), &encode(message));
        let read: T =
            serde_json::from_slice(&stored).unwrap_or_else(|error| panic!("{name} does not read back: {error}"));
        assert_eq!(encode(&read), stored, "{name} loses something when it is read");
    }

    fn check_frame(&mut self, name: &str, frame: &Frame) {
        let stored = self.check_bytes(&format!("{name}.bin"), &frame.encode());
        assert_eq!(Frame::decode(stored.into()).as_ref(), Ok(frame), "{name} does not read back");
    }

    fn check_bytes(&mut self, file: &str, encoded: &[u8]) -> Vec<u8> {
        let path = self.dir.join(file);
        if self.is_refreshing {
            fs::write(&path, encoded).unwrap();
        }
        let stored = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; {HOW_TO_REFRESH}", path.display()));
        let (written, expected) = (String::from_utf8_lossy(encoded), String::from_utf8_lossy(&stored));
        assert_eq!(written, expected, "{file} is written differently now; {HOW_TO_REFRESH}");
        assert!(self.seen.insert(file.to_owned()), "{file} stands for two messages");
        stored
    }

    /// No file may be left that nothing writes any more.
    fn close(self) {
        let files: BTreeSet<String> = files_of(&self.dir).map(|(name, _)| name).collect();
        assert_eq!(files, self.seen, "files that no message writes belong to golden/old or nowhere");
    }
}

const HOW_TO_REFRESH: &str = "if that is meant: HIVE_REFRESH_GOLDEN=1 cargo test -p hive-wire --test golden, and keep a released file in golden/old";

fn files_of(dir: &Path) -> impl Iterator<Item = (String, PathBuf)> + use<> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path))
}

fn now() -> Timestamp {
    "2026-02-05T05:42:00.123456Z".parse().unwrap()
}

fn id() -> CommandId {
    CommandId::new(SEED)
}

fn session() -> SessionId {
    SessionId::new(SEED)
}

fn error() -> agent::ErrorBody {
    agent::ErrorBody { code: ErrorCode::CommandBlocked, message: "the satellite's policy blocks \"rm\"".into() }
}

fn api_error() -> ApiError {
    let agent::ErrorBody { code, message } = error();
    ApiError { code, message, details: Some(serde_json::json!({ "satellite": "web-01" })) }
}

fn system() -> agent::SystemInfo {
    agent::SystemInfo {
        hostname: "web-01".into(),
        os: "linux".into(),
        os_version: "Debian 12".into(),
        arch: "x86_64".into(),
        kernel: "6.1.0".into(),
        uptime_seconds: 86_400,
        cpu_cores: 8,
        memory_total_mb: 32_000,
        memory_available_mb: 16_000,
    }
}

/// Shapes that other versions write: the first part of the file's name says how to read it.
#[test]
fn old_and_foreign_shapes_still_read() {
    for (name, path) in files_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/old")) {
        let text = fs::read_to_string(path).unwrap();
        let read = match name.split_once('.').expect("a kind, a dot, a name").0 {
            "to_server" => serde_json::from_str::<ToServer>(&text).map(|message| message != ToServer::Unknown),
            "to_agent" => serde_json::from_str::<ToAgent>(&text).map(|message| message != ToAgent::Unknown),
            "register" => serde_json::from_str::<satellite::RegisterRequest>(&text).map(|_| true),
            "heartbeat" => serde_json::from_str::<satellite::HeartbeatRequest>(&text).map(|_| true),
            kind => panic!("{name}: no way to read {kind}"),
        };
        assert!(matches!(read, Ok(true)), "{name} does not read any more: {read:?}");
    }
}
