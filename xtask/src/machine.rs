//! Makes a bare Debian machine ready: installs, by its package's name, what is missing and only that.

use anyhow::{Result, bail};

use crate::run::{program, run, works};

/// A program the tests call, and the Debian package it comes in.
pub(crate) struct Tool {
    program: &'static str,
    /// How it is asked for its version, and does nothing else.
    version: &'static [&'static str],
    package: &'static str,
}

/// What builds and tries the bindings. Python is also for the tests that damage a database from outside.
pub(crate) const BINDINGS: [Tool; 4] = [
    Tool::new("python3", "python3"),
    // Debian leaves out of Python what makes environments.
    Tool { program: "python3", version: &["-c", "import ensurepip, venv"], package: "python3-venv" },
    Tool { program: "python3", version: &["-c", "import pip"], package: "python3-pip" },
    Tool::new("cc", "gcc"),
];

/// Programs that own the whole screen, for the tests of terminals.
pub(crate) const SCREENS: [Tool; 5] = [
    Tool::new("vim", "vim"),
    Tool::new("less", "less"),
    Tool { program: "top", version: &["-v"], package: "procps" },
    Tool::new("htop", "htop"),
    Tool { program: "tmux", version: &["-V"], package: "tmux" },
];

/// What makes disks fail and clocks wrong, and small disks, for the tests of bad days.
pub(crate) const BAD_DAYS: [Tool; 3] = [
    Tool::new("strace", "strace"),
    // The library alone is preloaded; its program is there to be found.
    Tool::new("faketime", "faketime"),
    Tool::new("mount", "mount"),
];

/// A keyring, and the bus of a desktop to find it on.
pub(crate) const KEYRING: [Tool; 2] =
    [Tool::new("dbus-run-session", "dbus-daemon"), Tool::new("gnome-keyring-daemon", "gnome-keyring")];

impl Tool {
    const fn new(program: &'static str, package: &'static str) -> Self {
        Self { program, version: &["--version"], package }
    }
}

/// Makes sure that all these can be called.
pub(crate) fn ensure<'t>(tools: impl IntoIterator<Item = &'t Tool>) -> Result<()> {
    let is_missing = |tool: &&Tool| !works(tool.program, tool.version);
    let missing: Vec<&str> = tools.into_iter().filter(is_missing).map(|tool| tool.package).collect();
    if missing.is_empty() { Ok(()) } else { install(missing) }
}

/// Installs Debian packages.
pub(crate) fn install<'p>(packages: impl IntoIterator<Item = &'p str>) -> Result<()> {
    let packages: Vec<&str> = packages.into_iter().collect();
    if !works("apt-get", ["--version"]) {
        bail!("please install: {}", packages.join(" "));
    }
    run(as_root("apt-get").args(["update", "--quiet"]))?;
    run(as_root("apt-get").args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(packages))
}

fn as_root(name: &str) -> std::process::Command {
    let is_root = crate::run::output_of(program("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if is_root {
        return program(name);
    }
    let mut command = program("sudo");
    command.args(["--non-interactive", name]);
    command
}
