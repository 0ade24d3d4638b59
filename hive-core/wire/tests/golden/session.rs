//! Terminals: the socket of a viewer, and the bodies of REST.

use hive_wire::api::{self, EndReason, SessionEnd, SessionStatus, Size};
use hive_wire::session::{AttachRequest, Attached, Control, FromViewer, ToViewer, ViewMode};
use hive_wire::{SatelliteId, ViewerId};

use super::{Golden, SEED, api_error, error, now, session};

const SIZE: Size = Size { cols: 120, rows: 40 };

pub(super) fn open() -> api::Session {
    api::Session {
        id: session(),
        satellite_id: SatelliteId::new(SEED),
        satellite_name: "web-server-01".try_into().unwrap(),
        status: SessionStatus::Open,
        online: true,
        size: SIZE,
        shell: None,
        created_by: api::Actor { kind: "user".into(), id: "usr_1".into(), name: "anna".into(), ip: None },
        created_at: now(),
        ended_at: None,
        end: None,
        viewers: 2,
    }
}

#[test]
fn what_a_viewer_says() {
    let mut golden = Golden::open("from_viewer");
    let again = AttachRequest {
        viewer: Some(ViewerId::new(SEED)),
        output: Some(65_536),
        mode: ViewMode::Take,
        size: Some(SIZE),
    };
    golden.check("attach_again", &FromViewer::Attach(again));
    golden.check("attach", &FromViewer::Attach(AttachRequest::default()));
    let watch = AttachRequest { mode: ViewMode::ReadOnly, ..AttachRequest::default() };
    golden.check("attach_read_only", &FromViewer::Attach(watch));
    golden.check("ack", &FromViewer::Ack { offset: 65_536 });
    golden.check("resize", &FromViewer::Resize(SIZE));
    golden.check("request_control", &FromViewer::RequestControl);
    golden.check("grant_control", &FromViewer::GrantControl { to: 2 });
    golden.check("take_control", &FromViewer::TakeControl);
    golden.check("release_control", &FromViewer::ReleaseControl);
    golden.close();
}

#[test]
fn what_a_viewer_is_told() {
    let mut golden = Golden::open("to_viewer");
    let mine = Control { is_mine: true, input: 12, holder: Some("anna".into()) };
    let attached = Attached {
        session: open(),
        viewer: ViewerId::new(SEED),
        output: 65_536,
        modes: Some("\u{1b}[?2004h".into()),
        control: mine.clone(),
        is_resumed: false,
    };
    let resumed = Attached { modes: None, is_resumed: true, ..attached.clone() };
    golden.check("attached", &ToViewer::Attached(Box::new(attached)));
    golden.check("attached_again", &ToViewer::Attached(Box::new(resumed)));
    golden.check("gap", &ToViewer::Gap { from: 1, to: 65_536 });
    golden.check("reset", &ToViewer::Reset { output: 65_536, modes: "\u{1b}[?1049h".into() });
    golden.check("applied", &ToViewer::Applied { offset: 12 });
    golden.check("resized", &ToViewer::Resized(SIZE));
    golden.check("control", &ToViewer::Control(mine));
    golden.check("control_free", &ToViewer::Control(Control::default()));
    golden.check("control_requested", &ToViewer::ControlRequested { by: 2, name: "ben".into() });
    golden.check("link", &ToViewer::Link { online: false });
    let end = SessionEnd { reason: EndReason::Exited, exit_code: Some(0), error: None };
    golden.check("ended", &ToViewer::Ended(end));
    golden.check("error", &ToViewer::Error { error: api_error() });
    golden.close();
}

#[test]
fn terminals_over_rest() {
    let mut golden = Golden::open("api_session");
    let create = api::SessionCreate {
        shell: Some("/bin/zsh".into()),
        env: [("EDITOR".into(), "vim".into())].into(),
        ..api::SessionCreate::on(SatelliteId::new(SEED))
    };
    golden.check("create", &create);
    golden.check("create_bare", &api::SessionCreate::on(SatelliteId::new(SEED)));
    golden.check("session", &api::Envelope::new(open()));
    let end = SessionEnd { reason: EndReason::Error, exit_code: None, error: Some(error()) };
    let ended = api::Session { status: SessionStatus::Ended, ended_at: Some(now()), end: Some(end), ..open() };
    golden.check("session_ended", &ended);
    golden.check("input", &api::SessionInput { data: "bHMK".into() });
    golden.check("size", &SIZE);
    golden.close();
}
