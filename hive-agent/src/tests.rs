//! Tests of the whole agent against a hive that follows the protocol, and one that does not.

mod commands;
mod keys;
mod links;
mod sessions;
mod slow_disk;

use std::path::Path;
use std::time::Duration;

use hive_test_peers::hive::{HiveLink, KEY, TOKEN, command_id, hive_id, shell};
use hive_test_peers::{FakeHive, FromSatellite};
use hive_wire::ErrorCode;
use hive_wire::SatelliteName;
use hive_wire::agent::{
    Channel, ErrorBody, HandshakeAck, PROTOCOL_VERSION, Payload, Received, SUBPROTOCOL, ToAgent, ToServer, close,
};
use hive_wire::api::CommandStatus;
use hive_wire::credential::Secret;
use hive_wire::frame::StreamId;
use hive_wire::satellite_api::RejectionClass;
use hive_wire::stream::INITIAL_WINDOW;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{Agent, AgentConfig, Error, KeyRejectionPolicy, clock};

struct AgentRig {
    hive: FakeHive,
    dir: TempDir,
    config: AgentConfig,
}

/// A configuration for a satellite of this hive.
pub(crate) fn config_for(hive: &FakeHive, dir: &Path) -> AgentConfig {
    let name = SatelliteName::try_from("web-server-01").unwrap();
    let mut config = AgentConfig::new(hive.url().parse().unwrap(), name, dir.join("data"));
    config.registration_token = Some(TOKEN.into());
    config.reconnect.initial = Duration::from_millis(20);
    config.reconnect.max = Duration::from_millis(100);
    config.account.home = dir.to_string_lossy().into_owned();
    config
}

async fn rig() -> AgentRig {
    let hive = FakeHive::start().await;
    let dir = tempfile::tempdir().unwrap();
    let config = config_for(&hive, dir.path());
    AgentRig { hive, dir, config }
}

/// A running agent.
struct AgentRun {
    stop: CancellationToken,
    tasks: TaskTracker,
    ended: tokio::task::JoinHandle<Result<(), Error>>,
}

impl AgentRig {
    fn start(&self) -> AgentRun {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (config, shutdown) = (self.config.clone(), stop.clone());
        let ended = tasks.spawn(async move { Agent::connect(config).await?.run(shutdown).await });
        AgentRun { stop, tasks, ended }
    }

    async fn start_and_link(&mut self) -> (AgentRun, HiveLink) {
        let agent = self.start();
        (agent, self.hive.link().await)
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    fn stored_key(&self) -> bool {
        self.file("data/backend.key.json").contains(KEY)
    }
}

impl AgentRun {
    async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.ended.await.unwrap().unwrap();
    }
}
