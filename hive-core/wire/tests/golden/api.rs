//! Bodies of REST: commands, satellites, the audit log, errors.

use hive_wire::agent::Channel;
use hive_wire::api::{self, CommandStatus, ExecEvent, JobEvent, TargetStatus};
use hive_wire::{AuditId, ErrorCode, JobId, SatelliteId, SatelliteName, TeamId};

use super::{Golden, SEED, error, id, now, system};

fn exec_result() -> api::ExecResult {
    api::ExecResult {
        satellite_id: SatelliteId::new(SEED),
        satellite_name: "web-server-01".try_into().unwrap(),
        command_id: Some(id()),
        status: TargetStatus::Command(CommandStatus::Failed),
        exit_code: Some(3),
        stdout: "out\n".into(),
        stderr: "err\n".into(),
        duration_ms: 12,
        truncated: false,
        error: None,
    }
}

#[test]
fn commands_over_rest() {
    let mut golden = Golden::open("api_command");
    let exec = api::ExecCommand {
        env: [("LANG".into(), "C".into())].into(),
        cwd: Some("/tmp".into()),
        stdin: Some("aGVsbG8=".into()),
        timeout_seconds: Some(5),
        expires_in_seconds: Some(600),
        idempotent: true,
        priority: Some(api::Priority::High),
        ..api::ExecCommand::program("printf", ["%s", "a b"])
    };
    golden.check("exec", &exec);
    golden.check("exec_line", &api::ExecCommand::shell("uptime"));
    let targets = vec!["tag:web".into(), "all".into()];
    let many = api::ExecManyRequest { targets, concurrency: Some(8), confirm: None, command: exec };
    golden.check("exec_many", &many);
    golden.check("exec_many_confirmed", &api::ExecManyRequest { confirm: Some(137), ..many });
    golden.check("exec_result", &api::Envelope::new(exec_result()));
    let not_run = api::ExecResult {
        command_id: None,
        status: TargetStatus::NotRun,
        exit_code: None,
        error: Some(error()),
        ..exec_result()
    };
    golden.check("exec_result_not_run", &not_run);
    let accepted = ExecEvent::Accepted { satellite_id: SatelliteId::new(SEED), command_id: id() };
    golden.check("event_accepted", &accepted);
    let output = ExecEvent::Output {
        satellite_id: SatelliteId::new(SEED),
        channel: Channel::Stdout,
        offset: 4,
        data: "b3V0Cg==".into(),
    };
    golden.check("event_output", &output);
    let link = ExecEvent::Link { satellite_id: SatelliteId::new(SEED), online: false, seconds_left: Some(65) };
    golden.check("event_link", &link);
    golden.check("event_exit", &ExecEvent::Exit(Box::new(exec_result())));
    let info = api::CommandInfo {
        id: id(),
        satellite_id: SatelliteId::new(SEED),
        command_type: api::CommandType::Exec,
        summary: "uptime".into(),
        status: CommandStatus::OutcomeUnknown,
        exit_code: None,
        stdout: String::new(),
        stderr: String::new(),
        duration_ms: None,
        truncated: false,
        error: Some(error()),
        created_by: "admin".into(),
        created_at: now(),
        expires_at: now(),
        finished_at: Some(now()),
        redacted: false,
    };
    golden.check("info", &info);
    let power = api::PowerRequest {
        action: api::PowerAction::Reboot,
        delay_seconds: 60,
        message: Some("maintenance".into()),
        priority: None,
    };
    golden.check("power", &power);
    golden.close();
}

#[test]
fn jobs_over_rest() {
    let mut golden = Golden::open("api_job");
    let create = api::JobCreate {
        targets: vec!["tag:web".into(), "all".into()],
        concurrency: Some(8),
        confirm: None,
        deadline_seconds: Some(3600),
        command: api::ExecCommand { timeout_seconds: Some(5), ..api::ExecCommand::shell("uptime") },
    };
    golden.check("create", &create);
    let bare = api::JobCreate { concurrency: None, deadline_seconds: None, ..create };
    golden.check("create_bare", &bare);
    let mut counts = api::JobCounts::default();
    counts.add(&TargetStatus::Command(CommandStatus::Succeeded), 2);
    counts.add(&TargetStatus::NotRun, 1);
    let job = api::Job {
        id: JobId::new(SEED),
        status: api::JobStatus::Running,
        summary: "uptime".into(),
        targets: vec!["tag:web".into()],
        counts: counts.clone(),
        concurrency: 8,
        created_by: "admin".into(),
        created_at: now(),
        deadline_at: now(),
        cancelled_at: None,
        finished_at: None,
        redacted: false,
    };
    golden.check("job", &api::Envelope::new(job.clone()));
    let status = api::JobStatus::Cancelled;
    let ended = api::Job { status, cancelled_at: Some(now()), finished_at: Some(now()), ..job };
    golden.check("job_cancelled", &ended);
    let target = api::JobTarget {
        satellite_id: SatelliteId::new(SEED),
        satellite_name: "web-server-01".try_into().unwrap(),
        command_id: Some(id()),
        status: TargetStatus::Command(CommandStatus::Failed),
        exit_code: Some(3),
        duration_ms: Some(12),
        stdout_bytes: 4,
        stderr_bytes: 0,
        truncated: false,
        error: None,
        finished_at: Some(now()),
    };
    golden.check("target", &target);
    let status = TargetStatus::NotRun;
    let not_run =
        api::JobTarget { command_id: None, status, exit_code: None, duration_ms: None, error: Some(error()), ..target };
    golden.check("target_not_run", &not_run);
    golden.check("event_progress", &JobEvent::Progress { counts });
    let told = JobEvent::Target {
        satellite_id: SatelliteId::new(SEED),
        satellite_name: "web-server-01".try_into().unwrap(),
        command_id: Some(id()),
        status: TargetStatus::Command(CommandStatus::Succeeded),
        exit_code: Some(0),
    };
    golden.check("event_target", &told);
    golden.check("event_ended", &JobEvent::Ended(Box::new(ended)));
    golden.close();
}

#[test]
fn satellites_over_rest() {
    let mut golden = Golden::open("api_satellite");
    let satellite = api::Satellite {
        id: SatelliteId::new(SEED),
        name: "web-server-01".try_into().unwrap(),
        satellite_type: api::SatelliteType::Global,
        team_id: None,
        status: api::SatelliteStatus::Active,
        online: true,
        tags: vec!["web".into()],
        claimed_tags: vec!["rack-7".into()],
        region: Some("eu".into()),
        capabilities: vec!["shell".into()],
        system: system(),
        agent_version: Some("0.1.0".into()),
        satellite_url: None,
        problems: Vec::new(),
        last_seen: Some(now()),
        conflict_at: Some(now()),
        created_at: now(),
        updated_at: now(),
    };
    let page = api::Page {
        items: vec![satellite],
        total: 21,
        total_is_estimate: false,
        page: Some(2),
        per_page: 20,
        next_cursor: None,
    };
    golden.check("list", &page.into_envelope());
    let update = api::SatelliteUpdate {
        name: Some("web-server-02".try_into().unwrap()),
        tags: Some(vec![]),
        status: Some(api::SatelliteStatus::Maintenance),
        region: Some("eu".into()),
        team_id: None,
    };
    golden.check("update", &update);
    let update = api::SatelliteUpdate { team_id: Some(None), ..api::SatelliteUpdate::default() };
    golden.check("update_to_no_team", &update);
    let id = SatelliteId::new(SEED);
    let name: SatelliteName = "web-server-01".try_into().unwrap();
    let other_name = name.clone();
    let system = Some(Box::new(system()));
    golden.check("event_online", &api::SatelliteEvent::Online { seq: 1, id, name: name.clone(), system });
    golden.check("event_online_of_earlier", &api::SatelliteEvent::Online { seq: 1, id, name, system: None });
    let last_seen = Some(now());
    golden.check("event_offline", &api::SatelliteEvent::Offline { seq: 2, id, last_seen });
    let changes = [("tags".into(), serde_json::json!(["web"]))].into();
    golden.check("event_updated", &api::SatelliteEvent::Updated { seq: 3, id, changes });
    golden.check("event_key_replaced", &api::SatelliteEvent::KeyReplaced { seq: 5, id, name: other_name.clone() });
    golden.check("event_conflict", &api::SatelliteEvent::Conflict { seq: 6, id, name: other_name });
    golden.check("event_removed", &api::SatelliteEvent::Removed { seq: 4, id });
    let cursor = api::EventCursor { epoch: 0x9f3a_1c07_b2d4_e856, seq: 7 };
    golden.check("event_resync", &api::Resync { cursor });
    golden.close();
}

#[test]
fn the_audit_trail() {
    let mut golden = Golden::open("api_audit");
    let entry = api::AuditEntry {
        seq: 1,
        id: AuditId::new(SEED),
        timestamp: now(),
        actor: api::Actor {
            kind: "api_key".into(),
            id: "key_1".into(),
            name: "ci".into(),
            ip: Some("192.0.2.1".into()),
        },
        action: "satellite.exec".into(),
        target: api::AuditTarget { kind: "satellite".into(), id: SatelliteId::new(SEED).to_string() },
        team_id: Some(TeamId::new(SEED)),
        details: serde_json::json!({"command": "uptime"}),
        result: api::AuditResult::Failure,
        error: Some("satellite is offline".into()),
        previous_hash: "0".repeat(64),
        hash: "ab".repeat(32),
    };
    golden.check("entry", &entry);
    let record = api::AuditExportLine::Record {
        seq: 1,
        previous_hash: "0".repeat(64),
        hash: "ab".repeat(32),
        record: "{}".into(),
    };
    golden.check("export_record", &record);
    let manifest = api::AuditManifest {
        version: 1,
        first_seq: 1,
        last_seq: 1,
        head_hash: "ab".repeat(32),
        exported_at: now(),
        public_key: "EXAMPLE".into(),
    };
    golden.check("manifest", &manifest);
    let signed = api::AuditExportLine::Manifest {
        manifest: serde_json::to_string(&manifest).unwrap(),
        signature: "EXAMPLE".into(),
    };
    golden.check("export_manifest", &signed);
    let faults = vec![
        api::ChainFault::Changed { seq: 1 },
        api::ChainFault::Removed { first: 2, last: 3 },
        api::ChainFault::Reordered { seq: 4 },
        api::ChainFault::Inserted { seq: 5 },
        api::ChainFault::TailCut { last_seq: 6, expected: 9 },
        api::ChainFault::ManifestMissing,
        api::ChainFault::ManifestForged,
        api::ChainFault::Unreadable { line: 7 },
        api::ChainFault::CheckpointForged { seq: 8 },
    ];
    let verification = api::AuditVerification {
        valid: false,
        records: 6,
        head_hash: "ab".repeat(32),
        public_key: Some("EXAMPLE".into()),
        faults,
    };
    golden.check("verification", &verification);
    golden.close();
}

#[test]
fn an_error_over_rest() {
    let mut golden = Golden::open("api");
    let refused = api::ErrorEnvelope {
        success: false,
        error: api::ApiError {
            code: ErrorCode::CommandTimeout,
            message: "the command did not end in its time".into(),
            details: Some(serde_json::json!({"command_id": id()})),
        },
    };
    golden.check("error", &refused);
    golden.close();
}
