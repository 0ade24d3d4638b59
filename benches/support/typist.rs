//! Somebody in front of a terminal who measures: a program on a PTY, driven by one thread without a runtime in between.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Child;

use anyhow::{Context, ensure};
use hive_testkit::{TestHive, binary};
use pty_process::blocking::{Command, Pty};
use tokio::time::Instant;

use super::sshd::Sshd;

/// A program on a PTY. It ends with its value.
pub(crate) struct Typist {
    pty: Pty,
    program: Child,
    buffer: Vec<u8>,
}

impl Typist {
    /// The program itself, with nothing in between.
    pub(crate) fn local(program: &Path) -> anyhow::Result<Self> {
        Self::start(Command::new(program))
    }

    /// The program behind `hive shell`.
    pub(crate) fn hive(hive: &TestHive, satellite: &str, program: &Path) -> anyhow::Result<Self> {
        let command = Command::new(binary("hive"))
            .env_clear()
            .env("TERM", "xterm-256color")
            .env("HOME", hive.dir())
            .env("HIVE_URL", hive.url())
            .env("HIVE_API_KEY", hive.api_key())
            .args(["shell", satellite, "--shell"])
            .arg(program);
        Self::start(command)
    }

    /// The program behind the ssh client.
    pub(crate) fn ssh(sshd: &Sshd, program: &Path) -> anyhow::Result<Self> {
        // Known beforehand: ssh must neither ask nor warn.
        let known_hosts = sshd.user_key().with_file_name("known_hosts");
        let host_key = std::fs::read_to_string(sshd.host_key())?;
        std::fs::write(&known_hosts, format!("[127.0.0.1]:{} {host_key}", sshd.port))?;
        let command = Command::new("ssh")
            .args(["-tt", "-F", "none", "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR", "-p"])
            .arg(sshd.port.to_string())
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", known_hosts.display()))
            .arg("-i")
            .arg(sshd.user_key())
            .arg("127.0.0.1")
            .arg(program);
        Self::start(command)
    }

    /// Starts it and waits until it says `ready`.
    fn start(command: Command) -> anyhow::Result<Self> {
        let (pty, terminal) = pty_process::blocking::open()?;
        pty.resize(pty_process::Size::new(24, 80))?;
        let program = command.spawn(terminal)?;
        let mut typist = Self { pty, program, buffer: vec![0; 64 * 1024] };
        let mut said = Vec::new();
        while !said.ends_with(b"ready") {
            let len = typist.read()?;
            said.extend_from_slice(&typist.buffer[..len]);
            // A prompt of ssh, or an error, would be read for ever.
            ensure!(said.len() < 4096, "not ready: {}", String::from_utf8_lossy(&said));
        }
        Ok(typist)
    }

    /// Presses a key, and reads as many bytes; returns the seconds from the key to the last byte.
    pub(crate) fn press(&mut self, bytes: u64) -> anyhow::Result<f64> {
        let began = Instant::now();
        self.pty.write_all(b"x")?;
        let mut missing = bytes;
        while missing > 0 {
            let len = self.read()? as u64;
            missing = missing.checked_sub(len).context("more bytes than were sent")?;
        }
        Ok(began.elapsed().as_secs_f64())
    }

    fn read(&mut self) -> anyhow::Result<usize> {
        let len = self.pty.read(&mut self.buffer).context("the program is gone")?;
        ensure!(len > 0, "the program is gone");
        Ok(len)
    }
}

impl Drop for Typist {
    fn drop(&mut self) {
        self.program.kill().ok();
        self.program.wait().ok();
    }
}

/// Writes a script that has the terminal in raw mode and says `ready`.
pub(crate) fn script(hive: &TestHive, name: &str, lines: &str) -> anyhow::Result<std::path::PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let path = hive.dir().join(name);
    // Without echo, so that each byte that is read comes from the program.
    std::fs::write(&path, format!("#!/bin/sh\nstty raw -echo\nprintf ready\n{lines}\n"))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}
