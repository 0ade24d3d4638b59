//! Bodies of the HTTPS API for satellites.

use hive_wire::api::SatelliteType;
use hive_wire::satellite_api as satellite;
use hive_wire::{HiveId, SatelliteId, TeamId};

use super::{Golden, SEED};

#[test]
fn what_satellites_exchange_over_https() {
    let mut golden = Golden::open("satellite_api");
    let register = satellite::RegisterRequest {
        name: "web-server-01".into(),
        capabilities: ["stdio", "http", "sse"].map(String::from).to_vec(),
        tags: vec!["web".into()],
        satellite_url: Some("https://web-01.example.org".into()),
        system_info: satellite::RegisterSystemInfo {
            os: "linux".into(),
            arch: "x86_64".into(),
            memory_mb: 32_000,
            hostname: Some("web-01".into()),
            agent_version: Some("0.1.0".into()),
        },
        attempt: None,
    };
    golden.check("register_request", &register);
    let registered = satellite::RegisteredSatellite {
        id: SatelliteId::new(SEED),
        name: "web-server-01".into(),
        satellite_type: SatelliteType::Team,
        team_id: Some(TeamId::new(SEED)),
        status: "inactive".into(),
        api_key: "hive_satellite_api_team_EXAMPLE".into(),
    };
    let response = satellite::RegisterResponse {
        success: true,
        satellite: registered,
        message: "registered".into(),
        hive_id: Some(HiveId::new(SEED)),
    };
    golden.check("register_response", &response);
    let refused = satellite::ErrorResponse {
        success: false,
        error: "registration_token_used".into(),
        message: "the registration token was used before".into(),
        instructions: "ask for a new one".into(),
        hive_id: None,
        class: None,
    };
    golden.check("error", &refused);
    for (name, class) in [
        ("key_unknown", satellite::RejectionClass::UnknownKey),
        ("key_superseded", satellite::RejectionClass::Superseded),
        ("key_of_another_hive", satellite::RejectionClass::OtherHive),
    ] {
        let rejected = satellite::ErrorResponse {
            error: "auth_invalid".into(),
            message: "the credentials are not valid".into(),
            instructions: String::new(),
            hive_id: Some(HiveId::new(SEED)),
            class: Some(class),
            ..refused.clone()
        };
        golden.check(name, &rejected);
    }
    let status = satellite::RegisterStatus {
        registration_method: "token_based".into(),
        token_required: true,
        supported_prefixes: vec!["hive_satellite_global_".into()],
        instructions: "ask an admin for a token".into(),
    };
    golden.check("register_status", &status);
    let heartbeat = satellite::HeartbeatRequest { status: "active".into(), version: Some("0.1.0".into()) };
    golden.check("heartbeat_request", &heartbeat);
    let answer = satellite::HeartbeatResponse { success: true, status: "active".into(), config_version: 0 };
    golden.check("heartbeat_response", &answer);
    golden.close();
}
