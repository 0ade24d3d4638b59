//! Terminals, through real servers, satellites and command lines.

mod command_line;
mod crowd;
mod escaped;
mod feel;
mod keyboard;
mod lanes;
mod life;
mod programs;
mod resume;
mod rogue;
mod rules;
mod viewer;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use hive_core::wire::SessionId;
use hive_core::wire::api::SessionCreate;
use hive_core::{RemoteHive, SessionManager};
use hive_testkit::{FaultProxy, SatelliteOptions, ServerOptions, TestHive, TestSatellite, until_some};
use serde_json::Value;

use viewer::Viewer;

/// The satellite of every site.
const NAME: &str = "web-server-01";
/// A shell whose prompt is the same everywhere.
const SHELL: &str = "/bin/sh";

/// A hive with one satellite.
struct Site {
    // The satellite ends before the folder of the hive goes.
    satellite: TestSatellite,
    hive: TestHive,
}

impl Site {
    async fn start() -> Self {
        Self::start_with(&[], &[]).await
    }

    /// Starts both with further arguments.
    async fn start_with(server: &[&str], satellite: &[&str]) -> Self {
        let hive = hive_with(server).await;
        let satellite = hive.satellite_with(NAME, options(satellite)).await;
        Self { satellite, hive }
    }

    /// Starts both with a proxy in the link, over which the satellite comes back at once.
    async fn behind(proxy: impl FnOnce(&str) -> FaultProxy, server: &[&str], satellite: &[&str]) -> (Self, FaultProxy) {
        let hive = hive_with(server).await;
        let proxy = proxy(hive.url());
        let mut options = options(satellite);
        options.server = Some(proxy.url().to_owned());
        options.args(["--reconnect-initial", "0.02", "--reconnect-max", "0.1"]);
        let satellite = hive.satellite_with(NAME, options).await;
        (Self { satellite, hive }, proxy)
    }

    /// The hive, from elsewhere.
    fn remote(&self) -> Arc<dyn SessionManager> {
        self.remote_at(self.hive.url())
    }

    fn remote_at(&self, url: &str) -> Arc<dyn SessionManager> {
        RemoteHive::connect(url, self.hive.api_key().into()).unwrap().sessions()
    }

    /// A terminal to be opened here, with a small shell.
    fn wanted(&self) -> SessionCreate {
        self.wanted_with(SHELL)
    }

    fn wanted_with(&self, shell: &str) -> SessionCreate {
        let wanted = SessionCreate::on(self.satellite.id().parse().unwrap());
        SessionCreate { shell: Some(shell.to_owned()), ..wanted }
    }

    /// Opens a terminal with a small shell.
    async fn open(&self) -> SessionId {
        self.remote().create(self.wanted()).await.unwrap().id
    }

    /// Writes a script that has its terminal in raw mode, says `ready` and runs these lines; its path.
    fn script(&self, name: &str, lines: &str) -> String {
        let path = self.hive.dir().join(name);
        std::fs::write(&path, format!("#!/bin/sh\nstty raw -echo\nprintf ready\n{lines}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Opens a terminal with such a script instead of a shell.
    async fn open_script(&self, name: &str, lines: &str) -> SessionId {
        let wanted = self.wanted_with(&self.script(name, lines));
        self.remote().create(wanted).await.unwrap().id
    }

    /// Opens a terminal with a small shell, and somebody in front of it.
    async fn shell(&self) -> Viewer {
        Viewer::open(self.remote(), self.open().await).await
    }

    /// A terminal as REST tells it.
    async fn session(&self, id: SessionId) -> Value {
        self.hive.rest().get(&format!("/api/v1/sessions/{id}")).await.data()
    }

    /// Waits until a terminal has ended; how.
    async fn until_ended(&self, id: SessionId) -> Value {
        until_some(&format!("{id} has ended"), async || {
            let mut session = self.session(id).await;
            (session["status"] == "ended").then(|| session["end"].take())
        })
        .await
    }
}

async fn hive_with(args: &[&str]) -> TestHive {
    let args = args.iter().map(ToString::to_string).collect();
    TestHive::start_with(ServerOptions { args, ..ServerOptions::default() }).await
}

fn options(args: &[&str]) -> SatelliteOptions {
    SatelliteOptions { args: args.iter().map(ToString::to_string).collect(), ..SatelliteOptions::default() }
}
