//! A hive and a satellite of it in one program, over a real WebSocket on the loopback interface.
//!
//! Run it with `cargo run --example satellite`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::net::Ipv4Addr;

use hive_agent::{Agent, AgentConfig, LinkState};
use hive_core::Hive;
use hive_core::commands::ExecOptions;
use hive_core::wire::api::{ExecCommand, RegistrationTokenCreate};
use hive_server::Server;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (tasks, stop_server, stop_agent) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());

    // The hive, and a server that lets satellites reach it.
    let hive = Hive::builder().in_memory().build().await?;
    let listen = (Ipv4Addr::LOCALHOST, 0).into();
    let server = Server::bind(hive_server::Config { listen, ..Default::default() }, hive.clone()).await?;
    let url = format!("http://{}", server.local_addr());
    let serving = tasks.spawn(server.run(stop_server.clone()));

    // The satellite: it registers once by its token, and from then on knows its key from the data directory.
    let system = hive.as_system();
    let token = system.identity().registration_token_create(RegistrationTokenCreate::global()).await?.token;
    let data_dir = tempfile::tempdir()?;
    let mut config = AgentConfig::new(url.parse()?, "in-process".try_into()?, data_dir.path());
    config.registration_token = Some(token.into());
    let agent = Agent::connect(config).await?;
    let (id, mut link) = (agent.satellite_id(), agent.link_state());
    let living = tasks.spawn(agent.run(stop_agent.clone()));
    link.wait_for(|state| matches!(state, LinkState::Online { .. })).await?;

    let command = ExecCommand::program("echo", ["hello", "from", "here"]);
    let result = system.commands().exec(id, command, ExecOptions::default()).await?;
    println!("{}: {}", result.satellite_name, result.stdout.trim());
    assert_eq!((result.stdout.as_str(), result.exit_code), ("hello from here\n", Some(0)));

    // The satellite ends what it runs and says so, as long as the server is there to hear it.
    stop_agent.cancel();
    living.await??;
    stop_server.cancel();
    serving.await?;
    Ok(())
}
