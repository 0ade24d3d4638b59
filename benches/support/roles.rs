//! A bench that starts itself again in another role, so that what the other role costs is not counted as its own.

use std::process::Stdio;

use anyhow::Context;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

/// Plays a role until the bench that started it is gone: then standard input ends.
pub(crate) async fn while_wanted(role: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let (mut stdin, mut byte) = (tokio::io::stdin(), [0]);
    tokio::select! {
        ended = role => ended,
        read = stdin.read(&mut byte) => read.map(drop).context("cannot read standard input"),
    }
}

/// Starts this program in another role. It ends with its value.
pub(crate) fn start(role: &[&str]) -> anyhow::Result<Child> {
    // Its standard input is a pipe from here: it ends with this process, however that ends.
    let mut command = Command::new(std::env::current_exe()?);
    Ok(command.args(role).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?)
}

/// What it says first.
pub(crate) async fn first_line<T: DeserializeOwned>(child: &mut Child) -> anyhow::Result<T> {
    let stdout = child.stdout.take().context("stdout was piped")?;
    let line = BufReader::new(stdout).lines().next_line().await?.context("it ended without a word")?;
    Ok(serde_json::from_str(&line)?)
}
