//! A terminal by the library, as a program that embeds it has one.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use hive_core::terminal::{Terminal, TerminalEvent, ViewOptions};
use hive_core::wire::api::SessionCreate;
use hive_core::{RemoteHive, SessionManager};
use hive_testkit::{TestHive, TestSatellite};
use tokio::time::Instant;

/// Bytes a program says before it is pressed.
const READY: u64 = "ready".len() as u64;

/// An attached terminal.
pub(crate) struct Screen {
    terminal: Terminal,
}

impl Screen {
    /// Opens a terminal with this program and waits until it says `ready`.
    pub(crate) async fn open(hive: &TestHive, satellite: &TestSatellite, program: &Path) -> anyhow::Result<Self> {
        let remote: Arc<dyn SessionManager> = RemoteHive::connect(hive.url(), hive.api_key().into())?.sessions();
        let wanted = SessionCreate::on(satellite.id().parse()?);
        let shell = program.to_str().map(String::from);
        let session = remote.create(SessionCreate { shell, ..wanted }).await?;
        let mut screen = Self { terminal: Terminal::open(remote, session.id, ViewOptions::default()).await? };
        screen.read(READY).await?;
        Ok(screen)
    }

    /// Presses a key, and reads as many bytes; returns the seconds from the key to the last byte.
    pub(crate) async fn press(&mut self, bytes: u64) -> anyhow::Result<f64> {
        let began = Instant::now();
        self.terminal.write("x".into())?;
        self.read(bytes).await?;
        Ok(began.elapsed().as_secs_f64())
    }

    async fn read(&mut self, bytes: u64) -> anyhow::Result<()> {
        let mut missing = bytes;
        while missing > 0 {
            match self.terminal.next().await.context("the terminal has ended")? {
                TerminalEvent::Output { end, data } => {
                    missing = missing.checked_sub(data.len() as u64).context("more bytes than were sent")?;
                    self.terminal.ack(end);
                }
                TerminalEvent::Message(_) => {}
                // Where it began with the screen as it stood.
                TerminalEvent::Reset { .. } => ensure!(missing == READY, "output was left out"),
                event => anyhow::bail!("unexpected: {event:?}"),
            }
        }
        Ok(())
    }
}
