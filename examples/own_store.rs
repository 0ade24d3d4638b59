//! A store of one's own: a layer over SQLite that tells an inventory which machines have joined.
//!
//! A layer says something about a few methods and leaves the others to the store below it. One that keeps everything
//! elsewhere implements the small traits of `hive_core::store` itself, and holds itself against the same checks.
//!
//! Run it with `cargo run --example own_store`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hive_core::Hive;
use hive_core::audit::AuditDraft;
use hive_core::store::{Database, NewSatellite, RegisterOutcome, Store, StoreLayer, StoreResult};
use hive_core::wire::RegistrationTokenId;
use hive_core::wire::api::RegistrationTokenCreate;
use hive_core::wire::satellite_api::{RegisterRequest, RegisterSystemInfo};

struct Inventoried {
    below: Arc<dyn Store>,
    inventory: Mutex<Vec<String>>,
}

impl Inventoried {
    async fn open() -> anyhow::Result<Self> {
        Ok(Self { below: Database::in_memory().open().await?, inventory: Mutex::default() })
    }
}

#[async_trait]
impl StoreLayer for Inventoried {
    fn below(&self) -> &dyn Store {
        self.below.as_ref()
    }

    async fn satellite_register(
        &self,
        token: RegistrationTokenId,
        satellite: NewSatellite,
        audit: AuditDraft,
    ) -> StoreResult<RegisterOutcome> {
        let outcome = self.below.satellite_register(token, satellite, audit).await?;
        if let RegisterOutcome::Registered(row) = &outcome {
            self.inventory.lock().expect("nobody panics while they hold it").push(row.name.to_string());
        }
        Ok(outcome)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Everything the hive relies on. It panics at the first promise that is not kept.
    hive_store_conformance::check_all(Arc::new(Inventoried::open().await?)).await;

    let store = Arc::new(Inventoried::open().await?);
    let hive = Hive::builder().store(store.clone()).build().await?;
    let system = hive.as_system();
    let token = system.identity().registration_token_create(RegistrationTokenCreate::global()).await?.token;
    for name in ["web-server-01", "web-server-02"] {
        let request = RegisterRequest {
            name: name.into(),
            capabilities: Vec::new(),
            tags: Vec::new(),
            satellite_url: None,
            system_info: RegisterSystemInfo::default(),
            attempt: None,
        };
        let registered = system.satellites().register(token.clone().into(), request).await;
        println!(
            "{name}: {}",
            registered.map_or_else(|refused| refused.to_string(), |satellite| satellite.id.to_string())
        );
    }
    let inventory = store.inventory.lock().expect("nobody panics while they hold it").clone();
    assert_eq!(inventory, ["web-server-01"], "a token is good for one registration");
    hive.shutdown().await;
    Ok(())
}
