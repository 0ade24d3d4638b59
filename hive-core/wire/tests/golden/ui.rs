//! The UI socket: the page about it shows every message, as it is written.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use hive_wire::agent::Metrics;
use hive_wire::api::{self, CommandStatus, EndReason, JobCounts, JobStatus, PlatformRole, SessionCreate, Size};
use hive_wire::session::ViewMode;
use hive_wire::ui::{
    ActionResult, CHANGED_INTERVAL_MS, InitialState, MAX_ACTION, MAX_ATTACHED, MAX_INPUT, MAX_MESSAGE, MAX_REQUEST_ID,
    MAX_SATELLITES, MAX_SUBSCRIBED, STATE_INTERVAL_MS, SatelliteCounts, SatelliteMetrics, SatelliteSelector,
    SessionAttachAction, SessionAttached, SessionCloseAction, SessionInputAction, SessionResizeAction,
    SessionThrottleAction, SubscriptionChange, UiAction, UiEvent, UiMessage, UiRequest, UiUser,
};
use hive_wire::{JobId, SatelliteId};

use super::session::open;
use super::{Golden, SEED, api_error, files_of, id, now, session};

fn satellite() -> SatelliteId {
    SatelliteId::new(SEED)
}

#[test]
fn what_a_client_asks_for() {
    let mut golden = Golden::open("ui_request");
    let mut check = |name: &str, request_id: Option<&str>, action: UiAction| {
        golden.check(name, &UiRequest { request_id: request_id.map(str::to_owned), action });
    };
    let create = SessionCreate { cols: 120, rows: 40, ..SessionCreate::on(satellite()) };
    check("create", Some("1"), UiAction::SessionCreate(create));
    let attach =
        SessionAttachAction { session_id: session(), mode: ViewMode::Control, cols: Some(120), rows: Some(40) };
    check("attach", Some("2"), UiAction::SessionAttach(attach));
    let watch = SessionAttachAction { session_id: session(), mode: ViewMode::ReadOnly, cols: None, rows: None };
    check("attach_read_only", Some("3"), UiAction::SessionAttach(watch));
    check("input", None, UiAction::SessionInput(SessionInputAction { session_id: session(), input: "bHMK".into() }));
    let resize = SessionResizeAction { session_id: session(), cols: 132, rows: 43 };
    check("resize", None, UiAction::SessionResize(resize));
    check("close", Some("4"), UiAction::SessionClose(SessionCloseAction { session_id: session() }));
    let throttle = SessionThrottleAction { session_id: session(), pause: true };
    check("throttle", None, UiAction::SessionThrottle(throttle));
    let some = SubscriptionChange { satellites: vec![SatelliteSelector::One(satellite())] };
    check("subscribe", Some("5"), UiAction::Subscribe(some));
    let all = SubscriptionChange { satellites: vec![SatelliteSelector::All] };
    check("unsubscribe", None, UiAction::Unsubscribe(all));
    golden.close();
}

#[test]
fn what_a_client_is_told() {
    let mut golden = Golden::open("ui_message");
    let mut check = |name: &str, event: UiEvent| golden.check(name, &UiMessage::Event(event));
    let user = UiUser {
        id: "usr_01kge3h900e41861050r3gg28a".into(),
        name: "anna".into(),
        email: String::new(),
        roles: vec![PlatformRole::GlobalAdmin],
    };
    let state = InitialState { satellites: Vec::new(), user, more: false, version: "0.1.0".into() };
    check("initial_state", UiEvent::InitialState(Box::new(state)));
    check("satellites_changed", UiEvent::SatellitesChanged { counts: SatelliteCounts { total: 1201, online: 1190 } });
    let metrics = SatelliteMetrics { id: satellite(), at: now(), metrics: Metrics::default() };
    check("metrics", UiEvent::Metrics(metrics.clone()));
    check("metrics_of_several", UiEvent::MetricsOfSeveral { satellites: vec![metrics.clone(), metrics] });
    let (session_id, satellite_id) = (session(), satellite());
    check("session_started", UiEvent::SessionStarted { session_id, satellite_id, created_at: now() });
    check("session_output", UiEvent::SessionOutput { session_id, output: "aGVsbG8=".into() });
    check("session_reset", UiEvent::SessionReset { session_id, modes: "G1s/MjAwNGg=".into() });
    check("session_control", UiEvent::SessionControl { session_id, is_mine: false, holder: Some("ben".into()) });
    check("session_resized", UiEvent::SessionResized { session_id, size: Size { cols: 132, rows: 43 } });
    check("session_link", UiEvent::SessionLink { session_id, online: false });
    let reason = EndReason::Exited;
    check("session_ended", UiEvent::SessionEnded { session_id, reason, exit_code: Some(0), error: None });
    check("session_detached", UiEvent::SessionDetached { session_id, error: api_error() });
    let status = CommandStatus::Succeeded;
    check("command", UiEvent::CommandUpdated { id: id(), satellite_id, status, exit_code: Some(0) });
    let mut counts = JobCounts::default();
    counts.add(&api::TargetStatus::Command(CommandStatus::Queued), 9);
    counts.add(&api::TargetStatus::Command(CommandStatus::Succeeded), 1);
    check("job", UiEvent::JobProgress { id: JobId::new(SEED), status: JobStatus::Running, counts });
    check("backpressure", UiEvent::Backpressure { delay_ms: 1000 });
    check("resync", UiEvent::Resync);
    check("error", UiEvent::Error(api_error()));
    let attached = SessionAttached { session_id, is_mine: true, modes: None, session: open() };
    let success = ActionResult::success("1".into(), Some(serde_json::to_value(attached).unwrap()));
    golden.check("success", &UiMessage::Result(success));
    golden.check("failure", &UiMessage::Result(ActionResult::failure(Some("2".into()), api_error())));
    golden.close();
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ui-socket.md");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What the examples of a kind in the page are called, and what those of the golden files are.
fn check_shown<T: serde::Serialize + serde::de::DeserializeOwned>(folder: &str, tag: &str) {
    let name_of = |text: &str| -> String {
        let message: serde_json::Value = serde_json::from_str(text).unwrap();
        message[tag].as_str().unwrap().to_owned()
    };
    let lines = super::document::examples(&page(), &format!("json {folder}"));
    let shown: BTreeSet<_> = lines
        .iter()
        .map(|line| {
            super::document::check::<T>(line);
            name_of(line)
        })
        .collect();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder);
    let written = files_of(&dir).map(|(_, path)| name_of(&fs::read_to_string(path).unwrap()));
    let missing: Vec<_> = written.filter(|name| !shown.contains(name)).collect();
    assert!(missing.is_empty(), "the page does not show {missing:?}");
}

#[test]
fn the_page_of_the_ui_socket_shows_every_message() {
    check_shown::<UiRequest>("ui_request", "action");
    check_shown::<UiMessage>("ui_message", "event");
}

#[test]
fn the_numbers_of_the_page_of_the_ui_socket_are_those_of_the_protocol() {
    let page = page();
    let kib = |bytes: usize| format!("{} KiB", bytes / 1024);
    for (what, value) in [
        ("satellites of a message", MAX_SATELLITES.to_string()),
        ("an action", kib(MAX_ACTION)),
        ("a WebSocket message of the client", kib(MAX_MESSAGE)),
        ("a `request_id`", format!("{MAX_REQUEST_ID} characters")),
        ("satellites subscribed to by id", format!("{},{:03}", MAX_SUBSCRIBED / 1000, MAX_SUBSCRIBED % 1000)),
        ("attached sessions", MAX_ATTACHED.to_string()),
        ("bytes of one `session:input`", kib(MAX_INPUT)),
        ("between two messages with metrics", format!("{STATE_INTERVAL_MS} ms")),
        ("between two `satellites:changed`", format!("{} s", CHANGED_INTERVAL_MS / 1000)),
    ] {
        let row = format!("| {what} | {value} |");
        assert!(page.contains(&row), "the page does not say {row}");
    }
}
