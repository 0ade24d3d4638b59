//! Messages and data of the link between a satellite and its server.

use std::collections::BTreeMap;

use bytes::Bytes;
use hive_wire::agent::{self, Channel, Payload, Received, ToAgent, ToServer};
use hive_wire::api::{CommandStatus, EndReason, PowerAction, SessionEnd, Size};
use hive_wire::credential::Secret;
use hive_wire::frame::{Frame, StreamId};
use hive_wire::{ErrorCode, HiveId, SatelliteId, ViewerId};

use super::{Golden, SEED, error, id, now, session, system};

const SIZE: Size = Size { cols: 120, rows: 40 };

fn command(payload: Payload) -> ToAgent {
    ToAgent::Command(Box::new(agent::Command {
        id: id(),
        expires_in_ms: 300_000,
        sent_at: Some(now()),
        received: Received { stdout: 7, stderr: 0 },
        started: false,
        payload,
    }))
}

#[test]
fn what_a_satellite_says() {
    let mut golden = Golden::open("to_server");
    let handshake = agent::Handshake {
        agent_id: SatelliteId::new(SEED),
        version: "0.1.0".into(),
        protocol_version: agent::PROTOCOL_VERSION.into(),
        capabilities: ["shell", "power"].map(String::from).to_vec(),
        features: vec![],
        capacity: Some(512),
        journal_id: "6f1c9d3ae2b8".into(),
        journal_position: None,
        start_id: None,
        earlier_start_ids: Vec::new(),
        sessions: Vec::new(),
        boot_id: Some("b0a7".into()),
        system: system(),
    };
    golden.check("handshake", &ToServer::Handshake(Box::new(handshake.clone())));
    let told = agent::Handshake {
        journal_position: Some(104),
        start_id: Some("c3d2f1".into()),
        earlier_start_ids: vec!["a1b2c3".into()],
        ..handshake
    };
    golden.check("handshake_of_a_process", &ToServer::Handshake(Box::new(told)));
    let metrics = agent::Metrics {
        cpu_percent: 12.5,
        memory_percent: 50.0,
        disk_percent: 80.25,
        load_average: [0.5, 0.25, 0.125],
        network_rx_bytes: 1 << 40,
        network_tx_bytes: 3,
        active_sessions: 2,
        problems: vec!["no space is left in /var/lib/satellite".into()],
    };
    let pong = |metrics, capacity| ToServer::HeartbeatPong { timestamp: now(), metrics, capacity };
    golden.check("heartbeat_pong", &pong(Some(metrics), Some(512)));
    golden.check("heartbeat_pong_bare", &pong(None, None));
    let acknowledged = |journal_position| ToServer::CommandAck { id: id(), journal_position };
    golden.check("command_ack", &acknowledged(Some(105)));
    golden.check("command_ack_bare", &acknowledged(None));
    golden.check("busy", &ToServer::Busy { id: id() });
    let open = |channel, offset| ToServer::StreamOpen { stream: StreamId(3), command_id: id(), channel, offset };
    golden.check("stream_open_stdout", &open(Channel::Stdout, 0));
    golden.check("stream_open_stderr", &open(Channel::Stderr, 65_536));
    let result = |status, exit_code, error| {
        ToServer::CommandResult(agent::CommandResult {
            id: id(),
            status,
            exit_code,
            duration_ms: 1_234,
            sent: Received { stdout: 12, stderr: 0 },
            truncated: false,
            error,
        })
    };
    for status in [
        CommandStatus::Succeeded,
        CommandStatus::Failed,
        CommandStatus::TimedOut,
        CommandStatus::Cancelled,
        CommandStatus::Expired,
        CommandStatus::OutcomeUnknown,
    ] {
        golden.check(&format!("command_result_{}", status.as_str()), &result(status, Some(0), None));
    }
    let started = agent::PtyStarted {
        session_id: session(),
        stream: StreamId(5),
        output: 65_536,
        input: 12,
        keep: Some(65_000),
        writer: Some(ViewerId::new(SEED)),
        size: SIZE,
    };
    golden.check("pty_started", &ToServer::PtyStarted(started.clone()));
    let bare = agent::PtyStarted { keep: None, writer: None, ..started };
    golden.check("pty_started_bare", &ToServer::PtyStarted(bare));
    golden.check("pty_gap", &ToServer::PtyGap { session_id: session(), from: 1, to: 65_536 });
    golden.check("pty_applied", &ToServer::PtyApplied { session_id: session(), offset: 12 });
    let ended = |reason, exit_code, error| ToServer::PtyEnded {
        session_id: session(),
        end: SessionEnd { reason, exit_code, error },
    };
    for reason in [EndReason::Exited, EndReason::Killed, EndReason::Timeout, EndReason::Lost] {
        golden.check(&format!("pty_ended_{}", reason.as_str()), &ended(reason, Some(130), None));
    }
    golden.check("pty_ended_error", &ended(EndReason::Error, None, Some(error())));
    let unsupported = agent::ErrorBody {
        code: ErrorCode::Unsupported,
        message: "this satellite's agent does not know commands of the kind \"firmware\"; update the agent".into(),
    };
    golden.check("command_result_unsupported", &result(CommandStatus::Failed, None, Some(unsupported)));
    golden.check("command_result_refused", &result(CommandStatus::Failed, None, Some(error())));
    golden.check("disconnect", &ToServer::Disconnect { reason: "shutdown".into() });
    golden.check("error", &ToServer::Error { error: error() });
    golden.close();
}

#[test]
fn what_a_server_says() {
    let mut golden = Golden::open("to_agent");
    let ack = |error: Option<agent::ErrorBody>| {
        let ack = agent::HandshakeAck {
            success: error.is_none(),
            protocol_version: agent::PROTOCOL_VERSION.into(),
            server_time: now(),
            sent_at: Some(now()),
            heartbeat_interval: 30,
            hive_id: Some(HiveId::new(SEED)),
            error,
        };
        ToAgent::HandshakeAck(Box::new(ack))
    };
    golden.check("handshake_ack", &ack(None));
    golden.check("handshake_refused", &ack(Some(error())));
    golden.check("heartbeat_ping", &ToAgent::HeartbeatPing { timestamp: now(), sent_at: Some(now()) });
    let exec = agent::ExecSpec {
        command: "printf".into(),
        args: Some(vec!["%s".into(), "a b".into()]),
        env: [("LANG".into(), "C".into())].into(),
        cwd: Some("/tmp".into()),
        stdin: Some("aGVsbG8=".into()),
        timeout_seconds: 60,
    };
    golden.check("command_exec", &command(Payload::Exec(exec)));
    let line =
        agent::ExecSpec { command: "uptime | cut -c1-20".into(), timeout_seconds: 60, ..agent::ExecSpec::default() };
    golden.check("command_exec_line", &command(Payload::Exec(line)));
    for action in
        [PowerAction::Shutdown, PowerAction::Reboot, PowerAction::Sleep, PowerAction::Hibernate, PowerAction::Cancel]
    {
        let name = format!("command_power_{action}");
        let power = agent::PowerSpec { action, delay_seconds: 60, message: Some("maintenance".into()) };
        golden.check(&name, &command(Payload::Power(power)));
    }
    let later = Payload::Unknown { command_type: "firmware".into(), payload: serde_json::json!({ "image": "fw-7" }) };
    golden.check("command_of_a_later_kind", &command(later));
    golden.check("command_cancel", &ToAgent::CommandCancel { id: id() });
    golden.check("result_ack", &ToAgent::ResultAck { id: id() });
    let credit = ToAgent::StreamCredit { stream: StreamId(3), limit: 1 << 20 };
    golden.check("stream_credit", &credit);
    let spec = agent::PtySpec {
        session_id: session(),
        shell: Some("/bin/zsh".into()),
        size: SIZE,
        env: [("EDITOR".into(), "vim".into())].into(),
        idle_timeout_seconds: Some(3_600),
        linger_seconds: 600,
    };
    let bare = agent::PtySpec { shell: None, env: BTreeMap::new(), idle_timeout_seconds: None, ..spec.clone() };
    golden.check("pty_start", &ToAgent::PtyStart(Box::new(spec)));
    golden.check("pty_start_bare", &ToAgent::PtyStart(Box::new(bare)));
    golden.check("pty_attach", &ToAgent::PtyAttach { session_id: session(), received: Some(7) });
    golden.check("pty_attach_bare", &ToAgent::PtyAttach { session_id: session(), received: None });
    let flow = |keep| ToAgent::PtyFlow { session_id: session(), limit: 1 << 20, keep };
    golden.check("pty_flow", &flow(Some(65_536)));
    golden.check("pty_flow_bare", &flow(None));
    golden.check("pty_writer", &ToAgent::PtyWriter { session_id: session(), writer: Some(ViewerId::new(SEED)) });
    golden.check("pty_resize", &ToAgent::PtyResize { session_id: session(), size: SIZE, redraw: true });
    golden.check("pty_end", &ToAgent::PtyEnd { session_id: session() });
    golden.check("pty_end_ack", &ToAgent::PtyEndAck { session_id: session() });
    let disconnect = |retry_after_ms| ToAgent::Disconnect { reason: "the server stops".into(), retry_after_ms };
    let api_key = Secret("hive_satellite_api_team_0123_secret".into());
    golden.check("rotate_key", &ToAgent::RotateKey { api_key });
    golden.check("disconnect", &disconnect(Some(5_000)));
    golden.check("disconnect_bare", &disconnect(None));
    golden.check("error", &ToAgent::Error { error: error() });
    golden.close();
}

#[test]
fn the_data_on_the_link() {
    let mut golden = Golden::open("frame");
    let data = |offset, payload: &'static [u8], is_last| {
        Frame::data(StreamId(3), offset, Bytes::from_static(payload), is_last)
    };
    golden.check_frame("data", &data(0, b"hello\n", false));
    golden.check_frame("data_last", &data(0x0102_0304_0506_0708, b"\x00\xff", true));
    golden.check_frame("end", &data(65_536, b"", true));
    golden.close();
}
