//! A hive inside another program: no server, no file, no port.
//!
//! Run it with `cargo run --example embed`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use hive_core::Hive;
use hive_core::wire::api::RegistrationTokenCreate;
use hive_core::wire::satellite_api::{RegisterRequest, RegisterSystemInfo};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // `.data_dir("hive-data")` instead keeps everything.
    let hive = Hive::builder().in_memory().build().await?;

    // Nobody acts on a hive but as somebody. The program itself is the system; its users would be principals of their own.
    let system = hive.as_system();

    // Its tags come from the token: what a satellite says of itself matches nothing.
    let wanted = RegistrationTokenCreate { tags: vec!["production".into()], ..RegistrationTokenCreate::global() };
    let token = system.identity().registration_token_create(wanted).await?.token;
    let request = RegisterRequest {
        name: "web-server-01".into(),
        capabilities: vec!["shell".into()],
        tags: Vec::new(),
        satellite_url: None,
        system_info: RegisterSystemInfo::default(),
        attempt: None,
    };
    let registered = system.satellites().register(token.into(), request).await?;

    let in_production = system.satellites().get_by_tag("production").await?;
    for satellite in &in_production {
        println!("{} {} {:?}", satellite.id, satellite.name, satellite.status);
    }
    assert_eq!(in_production[0].id, registered.id);

    // The token that was made and the satellite that registered: what changes something leaves a record.
    let audit_log = system.audit().verify().await?;
    println!("{} audit records, valid: {}", audit_log.records, audit_log.valid);
    assert!(audit_log.valid && audit_log.records == 2);
    hive.shutdown().await;
    Ok(())
}
