//! A hive inside another program: no server, no file, no port.
//!
//! Run it with `cargo run --example embed`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use hive_core::wire::api::{RegistrationTokenCreate, TokenScope};
use hive_core::wire::satellite_api::{RegisterRequest, RegisterSystemInfo};
use hive_core::{AuditLogger, DeviceRegistry, Hive, Identity};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // `.data_dir("hive-data")` instead keeps everything.
    let hive = Hive::builder().in_memory().build().await?;

    // Nobody acts on a hive but as somebody. The program itself is the system; its users would be principals of their own.
    let system = hive.as_system();

    let token = RegistrationTokenCreate {
        scope: TokenScope::Global,
        team_id: None,
        expires_in_hours: None,
        description: Some("the first satellite".into()),
    };
    let token = system.registration_token_create(token).await?.token;
    let request = RegisterRequest {
        name: "web-server-01".into(),
        capabilities: vec!["shell".into()],
        tags: vec!["production".into()],
        satellite_url: None,
        system_info: RegisterSystemInfo::default(),
    };
    system.register(token.into(), request).await?;

    for satellite in system.get_by_tag("production").await? {
        println!("{} {} {:?}", satellite.id, satellite.name, satellite.status);
    }
    let trail = system.verify().await?;
    println!("{} audit records, valid: {}", trail.records, trail.valid);
    hive.shutdown().await;
    Ok(())
}
