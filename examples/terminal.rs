//! A terminal on a satellite, driven by a program: what is typed, what is shown, how it ends.
//!
//! Run it with `HIVE_URL=http://127.0.0.1:3000 HIVE_API_KEY=… cargo run --example terminal`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use anyhow::{Context, bail};
use hive_core::RemoteHive;
use hive_core::terminal::{Terminal, TerminalEvent, ViewOptions};
use hive_core::wire::api::{PageRequest, SatelliteFilter, SessionCreate};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::var("HIVE_URL").context("set HIVE_URL to the address of a hive")?;
    let key = std::env::var("HIVE_API_KEY").context("set HIVE_API_KEY to an API key of it")?;
    let hive = RemoteHive::connect(&url, key.into())?;

    let online = SatelliteFilter { online: Some(true), ..SatelliteFilter::default() };
    let satellites = hive.satellites().list(online, PageRequest::default()).await?.items;
    let satellite = satellites.first().context("no satellite is online")?;

    // Without `shell` it is the login shell of the agent's user.
    let wanted = SessionCreate { shell: Some("/bin/sh".into()), ..SessionCreate::on(satellite.id) };
    let session = hive.sessions().create(wanted).await?;
    let mut terminal = Terminal::open(hive.sessions(), session.id, ViewOptions::default()).await?;
    terminal.write("echo $((6 * 7)); exit 3\n".into())?;

    let (mut screen, mut end) = (Vec::new(), None);
    while let Some(event) = terminal.next().await {
        match event {
            TerminalEvent::Output { end, data } => {
                screen.extend_from_slice(&data);
                // The program waits for who types, as it would for a slow terminal: so it has to hear how far we are.
                terminal.ack(end);
            }
            // The way to the hive may break and come back. The terminal lives on, and nothing has to be done here.
            TerminalEvent::Disconnected { cause, retry_in } => println!("away: {cause}; again in {retry_in:?}"),
            TerminalEvent::Ended(how) => end = Some(how),
            TerminalEvent::Refused(error) => bail!(error.message),
            _ => {}
        }
    }
    let screen = String::from_utf8_lossy(&screen);
    println!("{}", screen.escape_debug());
    assert!(screen.contains("42"), "the shell has reckoned");
    assert_eq!(end.and_then(|end| end.exit_code), Some(3));
    Ok(())
}
