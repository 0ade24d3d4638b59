//! One command on all satellites of a hive, with its progress: a job, which goes on whoever watches.
//!
//! Run it with `HIVE_URL=http://127.0.0.1:3000 HIVE_API_KEY=… cargo run --example fan_out`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use anyhow::Context;
use hive_core::RemoteHive;
use hive_core::jobs::JobOptions;
use hive_core::wire::agent::Channel;
use hive_core::wire::api::{ExecCommand, JobEvent, PageRequest, Target};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::var("HIVE_URL").context("set HIVE_URL to the address of a hive")?;
    let key = std::env::var("HIVE_API_KEY").context("set HIVE_API_KEY to an API key of it")?;
    let hive = RemoteHive::connect(&url, key.into())?;

    // From here on it is durable: at most twenty satellites at a time, and each of them once.
    let options = JobOptions { concurrency: Some(20), ..JobOptions::default() };
    let job = hive.jobs().submit(vec![Target::All], ExecCommand::program("uname", ["-sr"]), options).await?;

    let (mut told, mut ended) = (0, None);
    let mut events = hive.jobs().subscribe(job.id).await?;
    while let Some(event) = events.next().await {
        match event {
            JobEvent::Progress { counts } => println!("{} of {} have ended", counts.ended(), counts.total()),
            JobEvent::Target { satellite_name, status, .. } => {
                println!("{satellite_name}: {}", status.as_str());
                told += 1;
            }
            JobEvent::Ended(job) => ended = Some(job),
            _ => {}
        }
    }
    let job = ended.context("the way to the hive broke; the job goes on, and may be watched again")?;
    assert_eq!(told, job.counts.total(), "each end is told once");

    // The output lies with the hive, by the command of each target.
    for target in hive.jobs().list_targets(job.id, PageRequest::default()).await?.items {
        let Some(command) = target.command_id else { continue };
        let output = hive.commands().output(command, Channel::Stdout, 0).await?;
        println!("{}: {}", target.satellite_name, String::from_utf8_lossy(&output).trim().escape_debug());
        assert_eq!(output.len() as u64, target.stdout_bytes);
    }
    Ok(())
}
