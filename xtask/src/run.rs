//! Starting programs: each is named before it runs, and one that fails ends the chore.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// All crates, with the features that tests and lints need: the same everywhere, so that nothing is compiled twice.
pub(crate) const WORKSPACE: [&str; 3] = ["--workspace", "--features", "hive-ffi/bindgen"];

/// The top of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root")
}

/// Where Cargo puts what it builds in this profile.
pub(crate) fn built(profile: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    root().join(target).join(profile)
}

/// Cargo in the root of the repository.
pub(crate) fn cargo<const N: usize>(args: [&str; N]) -> Command {
    let mut command = without_us(program(std::env::var("CARGO").as_deref().unwrap_or("cargo")));
    command.args(args);
    command
}

/// As if it were called from a shell: what Cargo says about this package would make it build some dependencies anew.
pub(crate) fn without_us(mut command: Command) -> Command {
    let about_us = |name: &String| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for name in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(about_us) {
        command.env_remove(name);
    }
    command
}

/// A program in the root of the repository.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// Whether the program can be started with these arguments and is content.
pub(crate) fn works<'a>(name: &str, args: impl AsRef<[&'a str]>) -> bool {
    let mut command = program(name);
    command.args(args.as_ref()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs it and waits; its output goes where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = describe(command);
    println!("$ {line}");
    let status = command.status().with_context(|| format!("cannot start {line}"))?;
    ensure!(status.success(), "{line} failed: {status}");
    Ok(())
}

/// Runs it and returns what it printed.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let line = describe(command);
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start {line}"))?;
    ensure!(output.status.success(), "{line} failed: {}", output.status);
    String::from_utf8(output.stdout).with_context(|| format!("{line} printed no text"))
}

/// Runs it and hands over each line it prints, as it comes.
pub(crate) fn each_line(command: &mut Command, mut take: impl FnMut(&str)) -> Result<()> {
    let line = describe(command);
    println!("$ {line}");
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {line}"))?;
    let stdout = child.stdout.take().context("its output was piped")?;
    for printed in BufReader::new(stdout).lines() {
        take(&printed.with_context(|| format!("{line} printed no text"))?);
    }
    let status = child.wait()?;
    ensure!(status.success(), "{line} failed: {status}");
    Ok(())
}

fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
